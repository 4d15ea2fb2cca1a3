//! The parts of a path that name a stream, a session or an event stream.

use axum::extract::{FromRef, FromRequestParts, Path};
use axum::http::request::Parts;
use utoipa::IntoParams;

use crate::cluster::NodeTag;
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

/// The tag of this node in front of the ids of its sessions; without calls between nodes there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct OwnTag(pub(in crate::http) Option<NodeTag>);

impl OwnTag {
    /// A session as paths name it.
    pub(in crate::http) fn join(self, session: &SessionId) -> String {
        self.0.map_or_else(|| session.to_string(), |tag| format!("{tag}{session}"))
    }

    /// The session that a path names, if it is of this node: with its tag, or without one, as `/api` shows it.
    fn session(self, text: &str) -> Option<SessionId> {
        let id = match split_tag(text) {
            Some((tag, id)) if self.0 == Some(tag) => id,
            Some(_) => return None,
            None => text,
        };
        id.parse().ok()
    }
}

/// The tag of a node and the id behind it; `None` for a text without a tag.
pub(in crate::http) fn split_tag(text: &str) -> Option<(NodeTag, &str)> {
    let (tag, id) = text.split_at_checked(NodeTag::LENGTH).filter(|(_, id)| id.len() == SessionId::LENGTH)?;
    Some((NodeTag::read(tag)?, id))
}

impl<S: Sync> FromRequestParts<S> for SessionPath
where
    OwnTag: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, &state).await.map_err(|_| NO_SUCH_SESSION)?;
        OwnTag::from_ref(state).session(&text).map(Self).ok_or(NO_SUCH_SESSION)
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

impl<S: Sync> FromRequestParts<S> for EventStream
where
    OwnTag: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = Path::<(String, String)>::from_request_parts(parts, &state).await;
        let Path((session, key)) = found.map_err(|_| NO_SUCH_EVENT_STREAM)?;
        let session = OwnTag::from_ref(state).session(&session).ok_or(NO_SUCH_EVENT_STREAM)?;
        Ok(Self { session, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_with_the_tag_of_its_node_or_without_one() {
        let tag = |name: &str| NodeTag::of(&name.parse().unwrap());
        let (own, session) = (OwnTag(Some(tag("a"))), SessionId::random());
        let (named, plain) = (own.join(&session), session.to_string());
        assert_eq!(split_tag(&named), Some((tag("a"), plain.as_str())));
        assert_eq!((own.session(&named), own.session(&plain)), (Some(session), Some(session)));
        for foreign in [OwnTag(None), OwnTag(Some(tag("b")))] {
            assert_eq!((foreign.session(&named), foreign.session(&plain)), (None, Some(session)));
        }
        assert_eq!(OwnTag(None).join(&session), plain);
        for wrong in ["", "x", &named[1..], &format!("{named}x"), &"ä".repeat(15)] {
            assert_eq!(own.session(wrong), None, "{wrong}");
        }
    }
}
