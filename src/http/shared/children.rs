//! Legs: sessions by which other nodes take a stream from this one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};

use crate::cluster::placement::{self, Asked, Own, Refusal};
use crate::cluster::{Calls, Directory, NodeId};
use crate::http::error::Problem;
use crate::name::{SessionId, StreamName};
use crate::node::Handle;

/// The nodes from the origin of the stream to the one that answers, separated by commas.
pub(in crate::http) const PATH: HeaderName = HeaderName::from_static("sluice-path");

/// When to ask again a node that receives no media of the stream, or has no place.
const RETRY: Duration = Duration::from_secs(1);

/// The nodes that take streams from this one. Requests of nodes write and read.
#[derive(Debug, Default)]
pub(in crate::http) struct Children(Mutex<HashMap<StreamName, Vec<(NodeId, SessionId)>>>);

/// The legs of one stream while one more is made, so that two at once do not take the same place.
pub(in crate::http) struct Place<'a> {
    legs: MutexGuard<'a, HashMap<StreamName, Vec<(NodeId, SessionId)>>>,
    node: NodeId,
    stream: StreamName,
}

impl Children {
    /// Looks for a place for a node that asks for a stream.
    ///
    /// # Errors
    /// A 409 if the node is in the path of the stream to this one, a 503 if no media arrives here, or without a place.
    pub(in crate::http) fn place(
        &self,
        node: NodeId,
        stream: &StreamName,
        (calls, directory, media): (&Calls, &Directory, &Handle),
    ) -> Result<Place<'_>, Problem> {
        let mut legs = self.living(media);
        let children = names(legs.get(stream));
        let path = calls.path(stream);
        let asked = Asked { path: &path, is_receiving: media.is_receiving(stream), children: &children };
        let view = directory.view();
        let own = Own { region: view.region(&node).map(str::to_owned), node: node.clone(), hops: None };
        placement::admit(&view, stream, asked, &own, &mut rand::rng()).map_err(refusal)?;
        drop(view);
        legs.entry(stream.clone()).or_default();
        Ok(Place { legs, node, stream: stream.clone() })
    }

    /// How many legs of a stream there are.
    pub(in crate::http) fn count(&self, stream: &StreamName, media: &Handle) -> usize {
        self.living(media).get(stream).map_or(0, Vec::len)
    }

    /// All, without those that have ended.
    fn living(&self, media: &Handle) -> MutexGuard<'_, HashMap<StreamName, Vec<(NodeId, SessionId)>>> {
        let mut legs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        legs.retain(|_, of_stream| {
            of_stream.retain(|(_, session)| media.lookup(session).is_some());
            !of_stream.is_empty()
        });
        legs
    }
}

impl Place<'_> {
    /// Takes the place for a session.
    pub(in crate::http) fn take(mut self, session: SessionId) {
        self.legs.entry(self.stream).or_default().push((self.node, session));
    }
}

/// The path of a stream to this node, as the answer has it.
pub(in crate::http) fn path(calls: &Calls, stream: &StreamName) -> HeaderValue {
    let path: Vec<String> = calls.path(stream).iter().map(ToString::to_string).collect();
    HeaderValue::try_from(path.join(",")).expect("names of nodes are visible ASCII")
}

fn names(legs: Option<&Vec<(NodeId, SessionId)>>) -> Vec<NodeId> {
    legs.into_iter().flatten().map(|(node, _)| node.clone()).collect()
}

fn refusal(refusal: Refusal) -> Problem {
    let detail = refusal.to_string();
    match refusal {
        Refusal::OwnPath => Problem::Conflict { detail, retry_after: RETRY },
        Refusal::NoMedia => Problem::NoLeg { detail, others: Vec::new(), retry_after: RETRY },
        Refusal::NoPlace { others } => {
            let others = others.iter().map(ToString::to_string).collect();
            Problem::NoLeg { detail, others, retry_after: RETRY }
        }
    }
}
