//! Requests of other nodes. A token that the secret of the cluster signs shows them, for one method and path; headers that
//! nodes send count with it alone.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::auth::Denied;
use crate::cluster::{Calls, NODE, NodeId};
use crate::http::error::Problem;
use crate::http::request::asker::bearer;
use crate::http::shared::node::Shared;

/// The node that sends a request; for a request of a client there is none.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "sessions of nodes name the node")]
pub(in crate::http) struct FromNode(pub(in crate::http) NodeId);

/// Checks the token of a node, and says in the answer which node it is that answers.
pub(in crate::http) async fn layer(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let Some(calls) = &shared.calls else { return next.run(request).await };
    let bearer = bearer(request.headers()).filter(|bearer| Calls::is_of_node(bearer.token()));
    let Some(bearer) = bearer else { return next.run(request).await };
    let Some(node) = calls.verify(bearer.token(), request.method(), request.uri().path()) else {
        return Problem::from(Denied::NotANode).into_response();
    };
    // It is no client's token.
    request.headers_mut().remove(AUTHORIZATION);
    request.extensions_mut().insert(FromNode(node));
    let mut response = next.run(request).await;
    let own = HeaderValue::from_str(shared.directory.node().as_str()).expect("the name of a node is visible ASCII");
    response.headers_mut().insert(NODE, own);
    response
}

impl<S: Sync> FromRequestParts<S> for FromNode {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or(Problem::Unauthorized(Denied::NotANode))
    }
}
