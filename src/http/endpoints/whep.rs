//! `/whep/{stream}`: watch (draft-ietf-wish-whep).

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

use crate::auth::Action;
use crate::http::Shared;
use crate::http::endpoints::offer as endpoint;
use crate::http::error::Problem;
use crate::http::request::{Connection, Stream, bearer};
use crate::name::Role;

/// Starts to watch. Nobody need publish yet: the viewer waits, unless `--refuse-early-viewers` says otherwise.
pub(in crate::http) async fn post(
    State(shared): State<Shared>,
    Stream(stream): Stream,
    connection: Connection,
    request: Request,
) -> Result<Response, Problem> {
    let grant = shared.access.grant(bearer(request.headers()), Action::Watch, &stream)?;
    endpoint::create(&shared, grant, Role::Viewer, connection, request).await
}

/// GET and HEAD: the endpoint is there, and speaks SDP (WHEP 4.2).
pub(in crate::http) async fn get(
    State(shared): State<Shared>,
    Stream(stream): Stream,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    shared.access.grant(bearer(&headers), Action::Watch, &stream)?;
    Ok([(CONTENT_TYPE, HeaderValue::from_static(endpoint::SDP))].into_response())
}
