//! The parts of a path that name a stream, a session or an event stream.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use utoipa::IntoParams;

use crate::http::error::Problem;
use crate::http::openapi::texts;
use crate::name::{SessionId, StreamName};

/// The one text for every session that is not the client's, so that it learns nothing about others.
pub(in crate::http) const NO_SUCH_SESSION: Problem =
    Problem::NotFound("no such session: it has ended or never existed; begin a new one with a POST to /whip or /whep");

pub(in crate::http) const NO_SUCH_EVENT_STREAM: Problem =
    Problem::NotFound("no such event stream: it was closed, or its session has ended");

/// The `{stream}` of the path.
#[derive(Debug, IntoParams)]
#[into_params(names("stream"), parameter_in = Path)]
pub(in crate::http) struct StreamPath(
    /// The stream's name.
    #[param(value_type = texts::StreamName, inline)]
    pub(in crate::http) StreamName,
);

impl<S: Sync> FromRequestParts<S> for StreamPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let malformed = |reason: &dyn ToString| Problem::Malformed(reason.to_string());
        let Path(text) = Path::<String>::from_request_parts(parts, &state).await.map_err(|error| malformed(&error))?;
        text.parse().map(Self).map_err(|error| malformed(&error))
    }
}

/// The `{id}` of the path; a text that is not an id names no session either.
#[derive(Debug, IntoParams)]
#[into_params(names("id"), parameter_in = Path)]
pub(in crate::http) struct SessionPath(
    /// The session's id: the last part of its Location.
    #[param(value_type = texts::SessionId, inline)]
    pub(in crate::http) SessionId,
);

impl<S: Sync> FromRequestParts<S> for SessionPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, &state).await.map_err(|_| NO_SUCH_SESSION)?;
        text.parse().map(Self).map_err(|_| NO_SUCH_SESSION)
    }
}

/// The path of one event stream; texts that are not an id and a key name no event stream either.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http) struct EventStream {
    /// The session's id: the last part of its Location.
    #[param(rename = "id", value_type = texts::SessionId, inline)]
    pub(in crate::http) session: SessionId,
    /// The event stream: the last part of its Location.
    #[param(rename = "events", value_type = texts::EventStreamKey, inline)]
    pub(in crate::http) key: String,
}

impl<S: Sync> FromRequestParts<S> for EventStream {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = Path::<(String, String)>::from_request_parts(parts, &state).await;
        let Path((session, key)) = found.map_err(|_| NO_SUCH_EVENT_STREAM)?;
        Ok(Self { session: session.parse().map_err(|_| NO_SUCH_EVENT_STREAM)?, key })
    }
}
