//! Restarts ICE of a session (RFC 9725 4.3.2): new credentials on both sides, under the same session.

use std::net::{IpAddr, SocketAddr};

use super::create_request::RETRY_AFTER;
use super::handle::{Handle, PatchError};
use crate::ice::{Admission, Credentials};
use crate::name::SessionId;
use crate::sdp::Candidates;
use crate::session::ClientSource;
use crate::session::random_ids::{random_credentials, random_etag};
use crate::worker::config::{HttpArrival, candidates_by_http};
use crate::worker::message::Message;

/// New credentials of a client (RFC 9725 4.3.2).
#[derive(Debug)]
pub struct Restart {
    /// The client's new ICE credentials.
    pub remote: Credentials,
    /// The relay's address on which the HTTP request arrived, if known.
    pub http_local: Option<IpAddr>,
    /// The address of the HTTP listener, if it takes media too.
    pub media_by_http: Option<SocketAddr>,
    /// The client's address.
    pub http_remote: IpAddr,
    /// How that address is known.
    pub source: ClientSource,
}

/// A session's new ICE credentials on the relay's side.
#[derive(Debug)]
pub struct Patched {
    /// The credentials that the answered fragment has.
    pub(crate) local: Credentials,
    /// The relay's candidates.
    pub(crate) candidates: Candidates,
    /// Entity tag of the new ICE session, with quotes.
    pub(crate) etag: String,
}

impl Handle {
    /// Gives a session new ICE credentials; the old ones live until the new path is proven (RFC 9725 4.3.2).
    ///
    /// # Errors
    /// [`PatchError`]; the session goes on as it was.
    pub fn restart(&self, session: &SessionId, restart: Restart) -> Result<Patched, PatchError> {
        let local = random_credentials();
        let etag = random_etag();
        let owner = self.shared().pending_sessions.restart(session, &local, &restart.remote, etag.clone());
        if let Some(worker) = owner.ok_or(PatchError::NoSuchSession)? {
            let admission = Box::new(Admission { local: local.clone(), remote: restart.remote });
            let message = Message::Restart { session: *session, admission };
            self.tell(worker, message).map_err(|_| PatchError::Busy { retry_after: RETRY_AFTER })?;
        }
        let arrival = HttpArrival::of(restart.http_local, restart.http_remote, restart.source);
        let candidates = self.candidates(arrival, restart.media_by_http);
        if let Some(record) = self.record(session) {
            record.set_candidates(candidates.clone());
        }
        Ok(Patched { local, candidates, etag })
    }

    /// The relay's addresses for a client whose HTTP request arrived like this, best first.
    pub(super) fn candidates(&self, arrival: Option<HttpArrival>, media_by_http: Option<SocketAddr>) -> Candidates {
        let shared = self.shared();
        let advertised = shared.advertised.current();
        let udp = shared.config.candidates(&advertised, shared.media_port, arrival);
        let mut tcp = if shared.has_ice_tcp { udp.clone() } else { Vec::new() };
        if let Some(listener) = media_by_http {
            tcp.extend(candidates_by_http(&advertised, &udp, listener));
        }
        Candidates { udp, tcp }
    }
}
