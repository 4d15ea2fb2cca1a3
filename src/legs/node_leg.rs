//! A leg from another node of the cluster: its session here and there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use hyper::{HeaderMap, Method, StatusCode};

use super::context::Context;
use super::failure::Failure;
use crate::cluster::{Call, Calls, NodeId, read};
use crate::name::{Role, SessionId, StreamName};
use crate::node::Dial;
use crate::reason::EndReason;
use crate::sdp::OwnOffer;

/// The nodes from the origin of the stream to the one that answers, separated by commas.
const PATH: HeaderName = HeaderName::from_static("sluice-path");

/// A leg from another node. Dropping it ends its session there.
pub(super) struct NodeLeg {
    pub(super) session: SessionId,
    pub(super) parent: NodeId,
    /// The nodes from the origin to the parent.
    pub(super) path: Vec<NodeId>,
    /// Of the claim for which it was asked.
    pub(super) epoch: u64,
    _there: There,
}

/// The session on the parent.
struct There {
    calls: Arc<Calls>,
    node: NodeId,
    /// Below the URL of the node.
    location: String,
}

impl NodeLeg {
    /// Asks a node for a stream and begins a session from its answer, if that comes within the limit.
    ///
    /// # Errors
    /// [`Failure`]; then nothing is left here or there.
    pub(super) async fn begin(
        context: &Context,
        calls: &Arc<Calls>,
        stream: &StreamName,
        parent: &NodeId,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let asked = tokio::time::timeout(limit, Self::ask(context, calls, stream, parent));
        asked.await.unwrap_or(Err(Failure::Slow(limit)))
    }

    async fn ask(context: &Context, calls: &Arc<Calls>, stream: &StreamName, parent: &NodeId) -> Result<Self, Failure> {
        let epoch = calls.epoch(stream);
        let local = context.media.call(stream);
        let credentials = local.credentials.clone();
        let offer = OwnOffer::to_pull(local, &[]);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/sdp"));
        let call = Call { method: Method::POST, path: format!("/whep/{stream}"), headers, body: offer.text().into() };
        let answer = calls.send(parent, call).await?;
        if answer.status() != StatusCode::CREATED {
            return Err(Failure::NodeRefused(answer.status().as_u16()));
        }
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = calls.below(parent, location.unwrap_or_default());
        let there = There { calls: Arc::clone(calls), node: parent.clone(), location };
        let path = answer.headers().get(PATH).and_then(|value| value.to_str().ok()).map(read_path);
        let body = read(answer.into_body()).await?;
        let text = std::str::from_utf8(&body).unwrap_or_default();
        let answered = offer.read_answer(text)?;
        let admitted = answered.candidates.iter().copied().filter(|address| calls.admits_media(address.ip()));
        let candidates: Vec<_> = admitted.collect();
        if candidates.is_empty() {
            let first = answered.candidates.first();
            return Err(first.map_or(Failure::NoAddress, |first| Failure::NodeNotAllowed(first.ip().to_string())));
        }
        let session = context.media.dial(Dial {
            role: Role::Publisher,
            stream: stream.clone(),
            local: credentials,
            negotiated: answered.negotiated,
            candidates,
            remote: parent.to_string(),
            is_carried: true,
        })?;
        let path = path.filter(|path| !path.is_empty()).unwrap_or_else(|| vec![parent.clone()]);
        Ok(Self { session, parent: parent.clone(), path, epoch, _there: there })
    }

    /// The node that has the publisher.
    pub(super) fn origin(&self) -> &NodeId {
        self.path.first().unwrap_or(&self.parent)
    }

    /// Legs between this node and the origin.
    pub(super) fn hops(&self) -> u8 {
        u8::try_from(self.path.len()).unwrap_or(u8::MAX)
    }

    /// Ends it here, and soon there.
    pub(super) async fn end(self, context: &Context) {
        let (media, session) = (context.media.clone(), self.session);
        // A worker that is behind blocks the one that ends its session. One that has ended by itself is as good.
        let ending = tokio::task::spawn_blocking(move || drop(media.end(&session, EndReason::Deleted)));
        let _ = ending.await;
    }
}

/// Reads the names of nodes; what is no name is left out.
fn read_path(text: &str) -> Vec<NodeId> {
    text.split(',').filter_map(|name| name.trim().parse().ok()).collect()
}

impl Drop for There {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (calls, node, path) = (Arc::clone(&self.calls), self.node.clone(), std::mem::take(&mut self.location));
        runtime.spawn(async move {
            let call = Call { method: Method::DELETE, path, headers: HeaderMap::new(), body: Bytes::new() };
            // One that has ended there is as good, and one that hears nothing ends by itself.
            let _ = calls.send(&node, call).await;
        });
    }
}
