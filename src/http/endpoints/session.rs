//! `/session/{id}`: trickle, restart and end one session (RFC 9725 4.2, 4.3; the same for WHEP). Only the client that
//! made a session may change it; for every other client it does not exist.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Denied;
use crate::http::error::Problem;
use crate::http::media_types::{FRAGMENT, FRAGMENT_LIMIT, entity_tag, options as accepts};
use crate::http::openapi::refusals::{
    ForeignPage, Malformed, NoIfMatch, NotFound, Stale, TooLarge, TooMany, TooSlow, Unauthorized, Unavailable,
    WrongType,
};
use crate::http::openapi::texts::{EntityTag, FragmentType, RestartAnswer, SdpFragment};
use crate::http::request::asker::Asker;
use crate::http::request::body::read_text;
use crate::http::request::connection::Connection;
use crate::http::request::headers::require_type;
use crate::http::request::path::{NO_SUCH_SESSION, SessionPath};
use crate::http::shared::node::Shared;
use crate::name::{Role, SessionId};
use crate::node::{PatchError, Restart, SessionInfo};
use crate::reason::EndReason;
use crate::sdp::TrickleFragment;

/// What a session answers to.
const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,PATCH,DELETE,OPTIONS");

/// Whether the session exists; HEAD too (RFC 9725 4.1)
#[utoipa::path(
    get,
    path = "/session/{id}",
    operation_id = "session",
    tag = "session",
    security((), ("publish" = []), ("watch" = [])),
    params(SessionPath),
    responses(
        (status = 204, description = "It exists.",
            headers(("ETag" = inline(EntityTag), description = "Strong tag of the ICE session, with quotes."))),
        Unauthorized,
        ForeignPage,
        NotFound,
    ),
)]
pub(in crate::http) async fn get(
    State(shared): State<Shared>,
    SessionPath(id): SessionPath,
    asker: Asker,
) -> Result<Response, Problem> {
    let info = own_session(&shared, &id, &asker).await?;
    Ok((StatusCode::NO_CONTENT, [(ETAG, entity_tag(&info.etag))]).into_response())
}

/// What a client may know of its session that has ended.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Ending {
    /// Why it did not connect or carried no media, and what to do; absent in its first 3 s and once media has passed.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<String>,
}

/// Ends the session (RFC 9725 4.2)
///
/// Entity tags do not matter.
#[utoipa::path(
    delete,
    path = "/session/{id}",
    operation_id = "endSession",
    tag = "session",
    security((), ("publish" = []), ("watch" = [])),
    params(SessionPath),
    responses(
        (status = 200, description = "It has ended.", body = Ending),
        Unauthorized, ForeignPage, NotFound, TooMany,
    ),
)]
pub(in crate::http) async fn delete(
    State(shared): State<Shared>,
    SessionPath(id): SessionPath,
    asker: Asker,
) -> Result<Json<Ending>, Problem> {
    let identified = asker.identify(&shared.access).await.ok();
    let holders = [Some(asker.shown()), identified.map(|identified| identified.credential)];
    if holders.iter().flatten().any(|holder| shared.media.has_departed(&id, holder)) {
        return Ok(Json(Ending { explanation: shared.media.explanation(&id) }));
    }
    own_session(&shared, &id, &asker).await?;
    let explanation = shared.media.explanation(&id);
    // It may wait for room in a worker's inbox, so not on a thread that serves other requests.
    let media = shared.media.clone();
    let ended = tokio::task::spawn_blocking(move || media.end(&id, EndReason::Deleted)).await;
    ended.unwrap_or(Err(PatchError::NoSuchSession))?;
    Ok(Json(Ending { explanation }))
}

/// Takes trickled candidates or, with If-Match: *, restarts ICE (RFC 9725 4.3)
#[utoipa::path(
    patch,
    path = "/session/{id}",
    operation_id = "changeSession",
    tag = "session",
    security((), ("publish" = []), ("watch" = [])),
    params(SessionPath, ("If-Match" = String, Header, description = "The session's entity tag, or * for a restart.")),
    request_body(content = inline(SdpFragment), content_type = "application/trickle-ice-sdpfrag"),
    responses(
        (status = 200, description = "The relay's new credentials and candidates.",
            body = inline(RestartAnswer), content_type = "application/trickle-ice-sdpfrag",
            headers(("ETag" = inline(EntityTag), description = "Strong tag of the ICE session, with quotes."))),
        (status = 204, description = "The candidates were taken."),
        Malformed, Unauthorized, ForeignPage, NotFound, TooSlow, Stale, TooLarge, WrongType, NoIfMatch, TooMany, Unavailable,
    ),
)]
pub(in crate::http) async fn patch(
    State(shared): State<Shared>,
    SessionPath(id): SessionPath,
    connection: Connection,
    asker: Asker,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let info = own_session(&shared, &id, &asker).await?;
    require_type(&headers, FRAGMENT)?;
    let restarts = match if_match(&headers, &info.etag)? {
        IfMatch::Any => true,
        IfMatch::Current => false,
        IfMatch::Stale => return Err(Problem::Stale),
        IfMatch::Weak => return Err(Problem::WeakTag),
    };
    let text = read_text(&headers, body, FRAGMENT_LIMIT, shared.body_deadline).await?;
    let fragment = TrickleFragment::parse(&text).map_err(|error| Problem::Malformed(error.to_string()))?;
    if !restarts {
        // Trickled candidates are read and left alone: clients come to the relay, it never dials them.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let remote = fragment.credentials.clone().ok_or_else(|| {
        Problem::Malformed("an ICE restart needs the new a=ice-ufrag and a=ice-pwd: send both".to_owned())
    })?;
    let (http_local, http_remote) = (Some(connection.local.ip()), connection.remote.ip());
    let (source, media_by_http) = (connection.source, shared.media_by_http);
    let patched = shared.media.restart(&id, Restart { remote, http_local, media_by_http, http_remote, source })?;
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(FRAGMENT)), (ETAG, entity_tag(&patched.etag))];
    Ok((headers, fragment.answer_restart(&patched.local, &patched.candidates)).into_response())
}

/// What the session accepts; never needs a token
#[utoipa::path(
    options,
    path = "/session/{id}",
    operation_id = "sessionOptions",
    tag = "session",
    params(SessionPath),
    responses(
        (status = 204, description = "The headers say it.",
            headers(("Accept-Patch" = inline(FragmentType), description = "What a PATCH must be."))),
        ForeignPage,
    ),
)]
pub(in crate::http) async fn options() -> Response {
    accepts(METHODS)
}

/// What a publisher may know of its stream without being an operator.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct OwnStream {
    name: String,
    /// Whether it has a publisher now.
    live: bool,
    /// Connected viewers.
    viewers: usize,
}

/// How many viewers this publisher has; for publishers alone
///
/// It says nothing of other streams, and nothing of the viewers but their number.
#[utoipa::path(
    get,
    path = "/session/{id}/stream",
    operation_id = "ownStream",
    tag = "session",
    security((), ("publish" = [])),
    params(SessionPath),
    responses((status = 200, description = "Its stream.", body = OwnStream), Unauthorized, ForeignPage, NotFound),
)]
pub(in crate::http) async fn stream(
    State(shared): State<Shared>,
    SessionPath(id): SessionPath,
    asker: Asker,
) -> Result<Response, Problem> {
    let info = own_session(&shared, &id, &asker).await?;
    if info.role != Role::Publisher {
        return Err(Problem::NotFound("a viewer has no stream of its own: only publishers have"));
    }
    let found = shared.media.stream(&info.stream);
    let (live, viewers) = found.map_or((false, 0), |stream| (stream.publisher.is_some(), stream.viewers));
    let own = OwnStream { name: info.stream.to_string(), live, viewers };
    Ok(([(CACHE_CONTROL, "no-store")], Json(own)).into_response())
}

/// What it accepts; never needs a token
#[utoipa::path(
    options,
    path = "/session/{id}/stream",
    operation_id = "ownStreamOptions",
    tag = "session",
    params(SessionPath),
    responses((status = 204, description = "The Allow header says it."), ForeignPage),
)]
pub(in crate::http) async fn stream_options() -> Response {
    (StatusCode::NO_CONTENT, [(ALLOW, "GET,HEAD,OPTIONS")]).into_response()
}

/// Finds a session that the holder of the request's token made.
pub(in crate::http) async fn own_session(
    shared: &Shared,
    id: &SessionId,
    asker: &Asker,
) -> Result<SessionInfo, Problem> {
    let info = shared.media.lookup(id);
    // A session stays with its client when the client's token does not count any more.
    let shown = asker.shown();
    if let Some(info) = info.as_ref().filter(|info| info.credential.is_shown_by(&shown)) {
        asker.accepted();
        return Ok(info.clone());
    }
    let identified = match &info {
        Some(info) => asker.identify_for(&shared.access, info.role.into(), &info.stream).await?,
        None => match asker.identify(&shared.access).await {
            // The webhook decides about a token for a stream, and there is none: this may be a token that it allows.
            Err(Denied::UnknownToken) if shared.access.has_webhook() => return Err(NO_SUCH_SESSION),
            identified => identified?,
        },
    };
    asker.accepted();
    let info = info.ok_or(NO_SUCH_SESSION)?;
    if info.credential.is_shown_by(&identified.credential) {
        // The client has renewed its token: the session now lasts as long as the new one.
        if let Some(holder) = &identified.holder {
            shared.leases.keep(*id, holder);
        }
        return Ok(info);
    }
    Err(if identified.credential.is_anonymous() { Denied::NoToken.into() } else { NO_SUCH_SESSION })
}

/// Which ICE session a PATCH means.
#[derive(Debug, PartialEq, Eq)]
enum IfMatch {
    /// Whichever there is: the way to ask for a restart (RFC 9725 4.3.3).
    Any,
    /// The one that the session has.
    Current,
    /// One that it had, or never had.
    Stale,
    /// None but a weak one.
    Weak,
}

/// Reads If-Match, by hand because `headers::IfMatch` matches no tag without quotes and does not distinguish a weak tag
/// from a stale one. Of a list any match is a match (RFC 9110 13.1.1); a weak tag never matches. `*` is taken with and
/// without quotes, and a tag too: clients send both.
fn if_match(headers: &HeaderMap, current: &str) -> Result<IfMatch, Problem> {
    let values = headers.get_all(IF_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim).filter(|tag| !tag.is_empty()).peekable();
    tags.peek().ok_or(Problem::NoIfMatch)?;
    let bare = current.trim_matches('"');
    Ok(tags.fold(IfMatch::Stale, |found, tag| match found {
        IfMatch::Any | IfMatch::Current => found,
        _ if tag == "*" || tag == "\"*\"" => IfMatch::Any,
        _ if tag == current || tag == bare => IfMatch::Current,
        _ if tag.starts_with("W/") || tag.starts_with("w/") => IfMatch::Weak,
        found => found,
    }))
}

impl From<PatchError> for Problem {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::NoSuchSession => NO_SUCH_SESSION,
            PatchError::Busy { retry_after } => {
                Self::Unavailable { detail: "the relay is busy, the session goes on as it was: try again", retry_after }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> Result<IfMatch, Problem> {
        let values = values.iter().map(|value| (IF_MATCH, HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(name, value);
        }
        if_match(&headers, "\"now\"")
    }

    #[test]
    fn if_match_is_a_tag_a_list_or_a_star_with_or_without_quotes() {
        for current in ["\"now\"", "now", "\"old\", \"now\""] {
            assert_eq!(read(&[current]), Ok(IfMatch::Current), "{current}");
        }
        assert_eq!(read(&["\"old\"", "\"now\""]), Ok(IfMatch::Current));
        for any in ["*", "\"*\""] {
            assert_eq!(read(&[any]), Ok(IfMatch::Any), "{any}");
        }
        for weak in ["W/\"now\"", "\"old\", W/\"now\"", "W/\"now\", \"old\""] {
            assert_eq!(read(&[weak]), Ok(IfMatch::Weak), "{weak}");
        }
        assert_eq!(read(&["W/\"old\", \"now\""]), Ok(IfMatch::Current));
        for stale in ["\"old\"", "\"no\", \"w\""] {
            assert_eq!(read(&[stale]), Ok(IfMatch::Stale), "{stale}");
        }
        assert_eq!(read(&[]), Err(Problem::NoIfMatch));
        assert_eq!(read(&[" "]), Err(Problem::NoIfMatch));
    }
}
