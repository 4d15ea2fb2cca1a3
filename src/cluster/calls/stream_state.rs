//! What a node says of a stream to another one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::cluster::node_id::NodeId;

/// A stream on the node that answers. Members that are not known are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct StreamState {
    /// The version of this answer; later ones only add members.
    pub(crate) version: u32,
    /// Of the stream's claim in the directory, as the node has read it; absent without a claim.
    #[schema(nullable = false)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) epoch: Option<u64>,
    /// The node that has the publisher, as the node that answers knows it; absent if it knows none.
    #[schema(value_type = Option<String>, nullable = false)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<NodeId>,
    /// The nodes from the origin to the one that answers, which is the last; empty if that one does not have the stream.
    #[schema(value_type = Vec<String>)]
    #[serde(default)]
    pub(crate) path: Vec<NodeId>,
    /// The names of the simulcast encodings that its publisher sends.
    #[serde(default)]
    pub(crate) rids: Vec<String>,
    /// What its publisher sends, by the names of SDP.
    #[serde(default)]
    pub(crate) codecs: Vec<String>,
    /// Sessions of other nodes that take the stream from this one.
    #[serde(default)]
    pub(crate) legs: usize,
    /// Whether its media arrives.
    #[serde(default)]
    pub(crate) receiving: bool,
}

impl StreamState {
    /// The version that this node writes.
    pub(crate) const VERSION: u32 = 1;
}
