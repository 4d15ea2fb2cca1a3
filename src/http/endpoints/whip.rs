//! `/whip/{stream}`: publish (RFC 9725).

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::auth::Action;
use crate::http::Shared;
use crate::http::endpoints::offer as endpoint;
use crate::http::error::Problem;
use crate::http::request::{Connection, Stream, bearer};
use crate::name::Role;

/// Starts to publish.
pub(in crate::http) async fn post(
    State(shared): State<Shared>,
    Stream(stream): Stream,
    connection: Connection,
    request: Request,
) -> Result<Response, Problem> {
    let grant = shared.access.grant(bearer(request.headers()), Action::Publish, &stream)?;
    endpoint::create(&shared, grant, Role::Publisher, connection, request).await
}

/// GET and HEAD: the endpoint is there, and has nothing to show (RFC 9725 4.1).
pub(in crate::http) async fn get(
    State(shared): State<Shared>,
    Stream(stream): Stream,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    shared.access.grant(bearer(&headers), Action::Publish, &stream)?;
    Ok(StatusCode::NO_CONTENT)
}
