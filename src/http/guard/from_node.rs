//! Requests of other nodes. A token that the secret of the cluster signs shows them, for one method and path; what a node
//! says of a client whose request it sends on counts with such a token alone.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::auth::{Credential, Denied};
use crate::cluster::{Calls, NODE, NodeId};
use crate::http::error::Problem;
use crate::http::listener::place::Place;
use crate::http::request::asker::bearer;
use crate::http::request::connection::Connection;
use crate::http::request::forwarded::{CLIENT, Forwarded};
use crate::session::ClientSource;

/// The node that sends a request; a request of a client has none.
#[derive(Clone, Debug)]
pub(in crate::http) struct FromNode(pub(in crate::http) NodeId);

/// Checks the token of a node, and says in the answer which node it is that answers.
pub(in crate::http) async fn layer(
    State(calls): State<Option<Arc<Calls>>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(calls) = calls else { return next.run(request).await };
    let bearer = bearer(request.headers()).filter(|bearer| Calls::is_of_node(bearer.token()));
    let Some(bearer) = bearer else { return next.run(request).await };
    let Some(node) = calls.verify(bearer.token(), request.method(), request.uri().path()) else {
        return Problem::from(Denied::NotANode).into_response();
    };
    let forwarded = match request.headers().get(CLIENT).map(Forwarded::read) {
        Some(None) => return Problem::Malformed(format!("{CLIENT} cannot be read")).into_response(),
        Some(Some(forwarded)) => forwarded,
        None => of_node(&node),
    };
    note_client(&mut request, &forwarded);
    // It is no client's token.
    request.headers_mut().remove(AUTHORIZATION);
    request.extensions_mut().insert(forwarded);
    request.extensions_mut().insert(FromNode(node));
    let mut response = next.run(request).await;
    let own = HeaderValue::from_str(calls.own().as_str()).expect("the name of a node is visible ASCII");
    response.headers_mut().insert(NODE, own);
    response
}

/// A node that asks for itself, such as the client of a session.
fn of_node(node: &NodeId) -> Forwarded {
    let credential = Credential::of_node(node.as_str());
    Forwarded { address: None, shown: Some(credential), identified: Ok(credential) }
}

/// Replaces the address of the node by that of the client, as a trusted proxy's is.
fn note_client(request: &mut Request, forwarded: &Forwarded) {
    if let Some(place) = request.extensions().get::<Place>() {
        place.serve_node();
    }
    let connection: Option<Connection> = request.extensions().get().copied();
    if let (Some(connection), true) = (connection, request.headers().contains_key(CLIENT)) {
        let (remote, source) = match forwarded.address {
            // Its port is not known.
            Some(address) => ((address, 0).into(), ClientSource::Proxied),
            None => (connection.remote, ClientSource::Unreadable),
        };
        request.extensions_mut().insert(Connection { remote, source, ..connection });
    }
}

impl<S: Sync> FromRequestParts<S> for FromNode {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or(Problem::Unauthorized(Denied::NotANode))
    }
}
