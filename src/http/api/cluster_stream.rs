//! The streams of the cluster as `/api` shows them.

use std::collections::HashSet;
use std::time::SystemTime;

use serde::Serialize;
use utoipa::ToSchema;

use crate::cluster::{Carrier, ClaimedStream, Directory};
use crate::name::StreamName;
use crate::node::Handle;

/// One stream of the cluster.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ClusterStream {
    name: String,
    /// The node that has its publisher.
    node: String,
    /// The URL of that node (--node-url).
    #[schema(required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Whether it is the node that answers.
    here: bool,
    /// Whether that node lives. The directory keeps the claim of a node that does not for about a minute.
    live: bool,
    /// Whether the stream is claimed in the directory. One that is not is live on its node alone.
    claimed: bool,
    /// Since its publisher connected, by the clocks of both nodes; 0 if it is not claimed.
    #[schema(minimum = 0)]
    seconds: f64,
    /// The nodes that pull the stream from others, by name.
    carriers: Vec<StreamCarrier>,
}

/// A node that pulls a stream from another one.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct StreamCarrier {
    node: String,
    /// The node that it pulls from.
    parent: String,
    /// Legs between it and the node of the publisher.
    #[schema(minimum = 1)]
    hops: u8,
    /// Whether it lives.
    live: bool,
}

impl ClusterStream {
    /// The streams that the directory knows, and those of this node that are not claimed.
    pub(super) fn list(directory: &Directory, media: &Handle) -> Vec<Self> {
        let claimed = directory.streams();
        let of_this = claimed.iter().filter(|listed| listed.node == *directory.node());
        let claimed_here: HashSet<StreamName> = of_this.map(|listed| listed.stream.clone()).collect();
        let live = media.streams().into_iter().filter(|info| info.publisher.is_some() && !info.is_carried);
        let unclaimed = live.filter(|info| !claimed_here.contains(&info.name)).map(|info| Self {
            name: info.name.to_string(),
            node: directory.node().to_string(),
            url: None,
            here: true,
            live: true,
            claimed: false,
            seconds: 0.0,
            carriers: Vec::new(),
        });
        let now = SystemTime::now();
        let mut list: Vec<_> = claimed.into_iter().map(|listed| Self::of(listed, directory, now)).collect();
        list.extend(unclaimed);
        list.sort_by(|left, right| left.name.cmp(&right.name));
        list
    }

    fn of(listed: ClaimedStream, directory: &Directory, now: SystemTime) -> Self {
        Self {
            here: listed.node == *directory.node(),
            carriers: directory.carriers(&listed.stream).into_iter().map(StreamCarrier::from).collect(),
            name: listed.stream.to_string(),
            node: listed.node.to_string(),
            url: listed.url,
            live: listed.is_live,
            claimed: true,
            seconds: now.duration_since(listed.started).unwrap_or_default().as_secs_f64(),
        }
    }
}

impl From<Carrier> for StreamCarrier {
    fn from(carrier: Carrier) -> Self {
        let Carrier { node, parent, hops, is_live, .. } = carrier;
        Self { node: node.to_string(), parent: parent.to_string(), hops, live: is_live }
    }
}
