//! The nodes of the cluster as `/api` shows them.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::administrator::Administrator;
use crate::http::openapi::refusals::{Forbidden, Unauthorized};
use crate::http::shared::node::Shared;

/// A node of the cluster.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ClusterNode {
    /// Its name: that of its machine and random digits, new at each start.
    node: String,
    /// Its URL (--node-url).
    #[schema(required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// The URL by which clients reach it, if they may be sent there.
    #[schema(required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    public_url: Option<String>,
    /// Its region (--region).
    #[schema(required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    /// Whether it is the node that answers.
    here: bool,
    /// The part of their time in which its workers are busy.
    #[schema(minimum = 0, maximum = 1)]
    load: f32,
    /// Whether it is about to end, and accepts no new sessions.
    draining: bool,
    /// Legs on which it sends streams to other relays.
    legs: u32,
    /// Streams with a publisher on it.
    streams: usize,
}

/// The nodes of the cluster whose lease has not expired; without a cluster, this one
#[utoipa::path(
    get,
    path = "/api/nodes",
    operation_id = "nodes",
    tag = "api",
    security((), ("admin" = [])),
    responses((status = 200, description = "By name.", body = Vec<ClusterNode>), Unauthorized, Forbidden),
)]
pub(in crate::http) async fn list(State(shared): State<Shared>, _: Administrator) -> Json<Vec<ClusterNode>> {
    let listed = shared.directory.nodes().into_iter().map(|listed| ClusterNode {
        here: listed.node == *shared.directory.node(),
        node: listed.node.to_string(),
        url: listed.url,
        public_url: listed.public_url,
        region: listed.region,
        load: listed.load,
        draining: listed.is_draining,
        legs: listed.legs,
        streams: listed.streams,
    });
    Json(listed.collect())
}
