//! The node as `/api` shows it: its version, the addresses of its media port, and what looks wrong with them.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::administrator::Administrator;
use crate::http::openapi::refusals::{Forbidden, Unauthorized};
use crate::http::shared::node::Shared;

/// The relay itself.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Node {
    version: &'static str,
    /// IP addresses and ports that clients on other machines try for media, best first.
    #[schema(value_type = Vec<String>)]
    media_addresses: Vec<SocketAddr>,
    /// Sentences that say which addresses clients try and what looks wrong with them.
    self_check: Vec<String>,
}

/// The relay's version, its addresses for media, and what looks wrong with them
#[utoipa::path(
    get,
    path = "/api/node",
    operation_id = "node",
    tag = "api",
    security((), ("admin" = [])),
    responses((status = 200, description = "The relay.", body = Node), Unauthorized, Forbidden),
)]
pub(in crate::http) async fn get(State(shared): State<Shared>, _: Administrator) -> Json<Node> {
    let checked = shared.media.self_check(shared.media_by_http);
    let self_check = checked.sentences();
    Json(Node { version: env!("CARGO_PKG_VERSION"), media_addresses: checked.addresses, self_check })
}
