//! One attempt to run a leg: from the offer to the session.

use std::sync::Arc;

use super::configured::Configured;
use super::context::Context;
use super::failure::Failure;
use super::remote::Remote;
use crate::client::HttpClient;
use crate::forward::codec::Format;
use crate::metrics::LegDirection;
use crate::name::{Role, SessionId};
use crate::node::Dial;
use crate::reason::EndReason;
use crate::sdp::{AnswerError, OwnOffer};
use crate::setting::Network;

/// A leg whose session has begun here. Dropping it ends the session on the other server.
pub(super) struct Call {
    pub(super) session: SessionId,
    /// The formats that a push has offered.
    pub(super) formats: Vec<Format>,
    remote: Remote,
}

impl Call {
    /// Posts an offer and begins a session from the answer.
    ///
    /// # Errors
    /// [`Failure`]; then nothing is left here or there.
    pub(super) async fn begin(context: &Context, configured: &Configured) -> Result<Self, Failure> {
        let config = context.config();
        let token = configured.token.read().map_err(Failure::Token)?;
        let local = context.media.call(&configured.stream);
        let credentials = local.credentials.clone();
        let (role, formats, offer) = match configured.direction {
            LegDirection::Pull => (Role::Publisher, Vec::new(), OwnOffer::to_pull(local, &[])),
            LegDirection::Push => {
                let info = context.media.stream(&configured.stream);
                let formats = info.map(|info| info.formats).unwrap_or_default();
                let offer = OwnOffer::to_push(local, &formats);
                (Role::Viewer, formats, offer.ok_or(Failure::Answer(AnswerError::NothingAccepted))?)
            }
        };
        let allowed = config.allowed.clone();
        let admits = move |address| Network::admit(&allowed, address);
        let client = HttpClient::reaching(token.as_deref(), config.authorities.as_ref(), Arc::new(admits));
        let remote = Remote::post(client, configured.url.to_string(), offer.text()).await?;
        let answered = offer.read_answer(remote.answer())?;
        let admitted = answered.candidates.iter().filter(|address| Network::admit(&config.allowed, address.ip()));
        let candidates: Vec<_> = admitted.copied().collect();
        if candidates.is_empty() {
            let first = answered.candidates.first();
            return Err(first.map_or(Failure::NoAddress, |first| Failure::NotAllowed(first.ip().to_string())));
        }
        let session = context.media.dial(Dial {
            role,
            stream: configured.stream.clone(),
            local: credentials,
            negotiated: answered.negotiated,
            candidates,
            remote: configured.url.host_str().unwrap_or_default().to_owned(),
            is_carried: false,
        })?;
        Ok(Self { session, formats, remote })
    }

    /// Ends both sessions, and waits until that is done.
    pub(super) async fn end(self, context: &Context) {
        let (media, session) = (context.media.clone(), self.session);
        // A worker that is behind blocks the one that ends its session. One that has ended by itself is as good.
        let ending = tokio::task::spawn_blocking(move || drop(media.end(&session, EndReason::Deleted)));
        let _ = ending.await;
        self.remote.end().await;
    }
}
