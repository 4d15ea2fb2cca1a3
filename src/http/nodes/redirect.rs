//! Sends a client to another node while this one has no room for it.
//!
//! Browsers drop Authorization on the way to another origin, so the URL of the other node carries a ticket, which is valid
//! for 30 s, for one action on one stream. Who comes with a ticket is not sent on again.

use std::collections::HashSet;

use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use rand::seq::IteratorRandom as _;

use crate::auth::Grant;
use crate::cluster::{ListedNode, NodeId};
use crate::http::request::query::parameter;
use crate::http::shared::node::Shared;
use crate::name::{Role, StreamName};

/// The parameter of the query that holds a ticket.
pub(in crate::http) const TICKET: &str = "ticket";

/// The load from which a node gets no clients of others.
const FULL: f32 = 0.9;

/// A redirect to a node that has room; `None` if there is none, or if the client comes from another node.
pub(in crate::http) fn elsewhere(shared: &Shared, role: Role, grant: &Grant, query: Option<&str>) -> Option<Response> {
    let calls = shared.calls.as_ref()?;
    if parameter(query, TICKET).is_some() {
        return None;
    }
    let (node, url) = choose(shared, role, grant.stream())?;
    let endpoint = match role {
        Role::Publisher => "whip",
        Role::Viewer => "whep",
    };
    let ticket = calls.ticket(&node, role.into(), grant.stream(), grant.pass());
    let standby = if parameter(query, "standby") == Some("1") { "&standby=1" } else { "" };
    let location = format!("{url}/{endpoint}/{}?{TICKET}={ticket}{standby}", grant.stream());
    let headers =
        [(LOCATION, HeaderValue::try_from(location).ok()?), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Some((StatusCode::TEMPORARY_REDIRECT, headers).into_response())
}

/// One of the two best nodes: a viewer goes to one that has the stream, if it can, and everyone to one with little load.
pub(super) fn choose(shared: &Shared, role: Role, stream: &StreamName) -> Option<(NodeId, String)> {
    let directory = &shared.directory;
    let carriers = directory.carriers(stream).into_iter().map(|carrier| carrier.node);
    let having: HashSet<NodeId> = carriers.chain(directory.lookup(stream).map(|claim| claim.node)).collect();
    let has_room = |listed: &ListedNode| {
        listed.node != *directory.node() && listed.public_url.is_some() && !listed.is_draining && listed.load < FULL
    };
    let rank = |listed: &ListedNode| role == Role::Viewer && !having.contains(&listed.node);
    let mut nodes: Vec<ListedNode> = directory.nodes().into_iter().filter(has_room).collect();
    nodes.sort_by(|left, right| rank(left).cmp(&rank(right)).then(left.load.total_cmp(&right.load)));
    let best = nodes.first().map(rank)?;
    let chosen = nodes.into_iter().filter(|listed| rank(listed) == best).take(2).choose(&mut rand::rng())?;
    Some((chosen.node, chosen.public_url?))
}
