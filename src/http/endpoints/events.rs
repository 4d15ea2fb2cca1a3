//! `/session/{id}/events`: a viewer learns whether its stream has a publisher, which layers its video has, and how many
//! viewers there are (WHEP core extensions, server-sent events).
//!
//! A POST makes an event stream, with the events that the viewer wants, and a GET on its Location reads it. What
//! happens meanwhile waits in a bounded queue, so a viewer may read only when it has a reason to: browsers open six
//! connections to a host and no more.
//!
//! `reconnect` tells viewers to begin a session elsewhere: a node of a cluster sends it when it is about to stop. A relay
//! alone never sends it: while it drains it refuses new sessions, so viewers that reconnected then would lose the rest of
//! the media.
//!
//! POST and DELETE need the credential of the session, as everything else of a session does. For GET its Location is
//! enough: `EventSource` cannot send a header, and the Location holds 128 random bits that only the holder of the
//! credential was sent. A credential that is sent all the same must be the session's.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::sse::{Event as Line, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::session::own_session;
use crate::http::base_path::BasePath;
use crate::http::error::Problem;
use crate::http::listener::place::Place;
use crate::http::media_types::{ACCEL_BUFFERING, ACCEPT_POST, EVENT_STREAM, JSON};
use crate::http::openapi::refusals::{
    ForeignPage, Malformed, NotAcceptable, NotFound, TooLarge, TooMany, TooManyEventStreams, TooSlow, Unauthorized,
    Unavailable, WrongType,
};
use crate::http::openapi::texts::{EventList, JsonType};
use crate::http::request::asker::Asker;
use crate::http::request::body::read_bytes;
use crate::http::request::headers::{require_accepted, require_type};
use crate::http::request::path::{EventStream, NO_SUCH_EVENT_STREAM, NO_SUCH_SESSION, SessionPath};
use crate::http::shared::event_stream::{Closed, PublisherEvent, Reader, ViewerEvent};
use crate::http::shared::event_streams::EventStreamsFull;
use crate::http::shared::node::Shared;
use crate::label::Label as _;
use crate::metrics::EventName;
use crate::name::Role;
use crate::stream::Absence;

const RELATION: &str = "urn:ietf:params:whep:ext:core:server-sent-events";

/// The largest list of events.
const LIST_LIMIT: usize = 4 * 1024;

/// When to ask a relay again that has too many event streams.
const FULL_RETRY: Duration = Duration::from_secs(10);

/// The Link header of the 201: where event streams are made, and of what.
pub(in crate::http) fn link(base_path: &BasePath, session: &str) -> HeaderValue {
    let path = base_path.join(&format!("/session/{session}/events"));
    let link = format!("<{path}>; rel=\"{RELATION}\"; events=\"{}\"", names().join(","));
    HeaderValue::try_from(link).expect("a base path, a session id and names of events are visible ASCII")
}

/// Makes an event stream: publisher, layers and viewers of the viewer's stream (WHEP, server-sent events)
#[utoipa::path(
    post,
    path = "/session/{id}/events",
    operation_id = "openEventStream",
    tag = "session",
    security((), ("watch" = [])),
    params(SessionPath),
    request_body(content = inline(EventList), content_type = "application/json",
        description = "The events to send: all of them if the request has no body."),
    responses(
        (status = 201, description = "The event stream is open.",
            headers(("Location" = String, description = "The absolute path at which the event stream is read. It \
                cannot be guessed, because EventSource sends no token."))),
        Malformed, Unauthorized, ForeignPage, NotFound, TooSlow, TooManyEventStreams, TooLarge, WrongType, TooMany, Unavailable,
    ),
)]
pub(in crate::http) async fn post(
    State(shared): State<Shared>,
    SessionPath(id): SessionPath,
    asker: Asker,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let info = own_session(&shared, &id, &asker).await?;
    if info.role != Role::Viewer {
        return Err(Problem::NotFound("a publisher has no event streams: its viewers have"));
    }
    let list = read_bytes(&parts.headers, body, LIST_LIMIT, shared.body_deadline).await?;
    let wanted = if list.is_empty() && !parts.headers.contains_key(CONTENT_TYPE) {
        EventName::ALL.to_vec()
    } else {
        require_type(&parts.headers, JSON)?;
        read_list(&list)?
    };
    let key = shared.event_streams.open(&shared.media, id, &info.stream, wanted).map_err(|full| match full {
        EventStreamsFull::OfSession(limit) => {
            Problem::AtLimit(format!("this session has {limit} event streams already: close one of them with DELETE"))
        }
        EventStreamsFull::OfRelay => Problem::Unavailable {
            detail: "this relay has too many event streams: try again, the session plays without one",
            retry_after: FULL_RETRY,
        },
    })?;
    if shared.media.lookup(&id).is_none() {
        // It ended in this moment, perhaps before there was anything to close.
        shared.event_streams.end_session(&id);
        return Err(NO_SUCH_SESSION);
    }
    let base_path: BasePath = parts.extensions.get().cloned().unwrap_or_default();
    let session = shared.own_tag().join(&id);
    let location = HeaderValue::try_from(base_path.join(&format!("/session/{session}/events/{key}")));
    let location = location.expect("a base path, a session id and a key are visible ASCII");
    Ok((StatusCode::CREATED, [(LOCATION, location)]).into_response())
}

/// Reads it until it is closed, its session ends, or another reader takes it over; HEAD too
#[utoipa::path(
    get,
    path = "/session/{id}/events/{events}",
    operation_id = "readEventStream",
    tag = "session",
    security((), ("watch" = [])),
    params(EventStream),
    responses(
        (status = 200, body = String, content_type = "text/event-stream",
            description = "Events (active: {}, inactive: {\"reason\": \"ended\"} or {\"reason\": \"lost\"}, viewercount: \
                {\"viewercount\": 3}, layers: for each mediaId the active and inactive encodings of the video and the \
                layers that can be selected, reconnect: {\"url\": \"/whep/cam\"}), each in one data line, and a comment every 15 s."),
        Unauthorized, ForeignPage, NotFound, NotAcceptable, Unavailable,
    ),
)]
pub(in crate::http) async fn get(
    State(shared): State<Shared>,
    EventStream { session, key }: EventStream,
    connection: Place,
    asker: Asker,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if asker.has_authorization() {
        own_session(&shared, &session, &asker).await?;
    }
    let found = shared.event_streams.find(&session, &key).ok_or(NO_SUCH_EVENT_STREAM)?;
    require_accepted(&headers, EVENT_STREAM)?;
    if method == Method::HEAD {
        let head = [(CONTENT_TYPE, EVENT_STREAM), (CACHE_CONTROL, "no-cache"), (ACCEL_BUFFERING, "no")];
        return Ok(head.into_response());
    }
    connection.hold_open()?;
    let lines = stream::unfold(Reader::new(found), async |mut reader| match reader.next().await {
        Ok(event) => Some((Ok::<_, Infallible>(line(event)), reader)),
        Err(Closed) => None,
    });
    let alive = KeepAlive::new().interval(shared.event_keep_alive);
    Ok(([(ACCEL_BUFFERING, "no")], Sse::new(lines).keep_alive(alive)).into_response())
}

/// Closes it; the session goes on
#[utoipa::path(
    delete,
    path = "/session/{id}/events/{events}",
    operation_id = "closeEventStream",
    tag = "session",
    security((), ("watch" = [])),
    params(EventStream),
    responses((status = 200, description = "It is closed."), Unauthorized, ForeignPage, NotFound, TooMany),
)]
pub(in crate::http) async fn delete(
    State(shared): State<Shared>,
    EventStream { session, key }: EventStream,
    asker: Asker,
) -> Result<StatusCode, Problem> {
    own_session(&shared, &session, &asker).await?;
    if shared.event_streams.close(&session, &key) { Ok(StatusCode::OK) } else { Err(NO_SUCH_EVENT_STREAM) }
}

/// What it accepts; never needs a token
#[utoipa::path(
    options,
    path = "/session/{id}/events",
    operation_id = "eventStreamsOptions",
    tag = "session",
    params(SessionPath),
    responses(
        (status = 204, description = "The headers say it.",
            headers(("Accept-Post" = inline(JsonType), description = "What a POST must be."))),
        ForeignPage,
    ),
)]
pub(in crate::http) async fn options() -> Response {
    let takes = [(ALLOW, HeaderValue::from_static("POST,OPTIONS")), (ACCEPT_POST, HeaderValue::from_static(JSON))];
    (StatusCode::NO_CONTENT, takes).into_response()
}

/// What it accepts; never needs a token
#[utoipa::path(
    options,
    path = "/session/{id}/events/{events}",
    operation_id = "eventStreamOptions",
    tag = "session",
    params(EventStream),
    responses((status = 204, description = "The Allow header says it."), ForeignPage),
)]
pub(in crate::http) async fn stream_options() -> Response {
    (StatusCode::NO_CONTENT, [(ALLOW, "GET,HEAD,DELETE,OPTIONS")]).into_response()
}

/// Reads which events a viewer wants: a JSON array of their names.
fn read_list(text: &[u8]) -> Result<Vec<EventName>, Problem> {
    let malformed = || {
        let example = serde_json::json!(names());
        Problem::Malformed(format!("the body is not a list of events: send a JSON array of names, such as {example}"))
    };
    let list: Vec<String> = serde_json::from_slice(text).map_err(|_| malformed())?;
    if list.is_empty() {
        return Err(malformed());
    }
    let known = |name: &String| {
        let short: String = name.chars().take(64).collect();
        let unknown = || format!("no event is called {short:?}: there are {}", names().join(", "));
        EventName::named(name).ok_or_else(|| Problem::Malformed(unknown()))
    };
    list.iter().map(known).collect()
}

fn names() -> Vec<&'static str> {
    EventName::ALL.iter().map(|name| name.as_str()).collect()
}

/// An event in one data line. The draft leaves the data of `inactive` open: the reason lets a page choose what to show.
fn line(event: ViewerEvent) -> Line {
    let name = event.name();
    let data = match event {
        ViewerEvent::Publisher(PublisherEvent::Active) => "{}".to_owned(),
        ViewerEvent::Publisher(PublisherEvent::Inactive(Absence::Ended)) => "{\"reason\":\"ended\"}".to_owned(),
        ViewerEvent::Publisher(PublisherEvent::Inactive(Absence::Lost)) => "{\"reason\":\"lost\"}".to_owned(),
        ViewerEvent::Layers(media_id, layers) => format!("{{\"{media_id}\":{layers}}}"),
        ViewerEvent::Reconnect(url) => serde_json::json!({ "url": &*url }).to_string(),
        ViewerEvent::ViewerCount(viewers) => format!("{{\"viewercount\":{viewers}}}"),
    };
    Line::default().event(name.as_str()).data(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_events_is_read_strictly_and_an_unknown_event_is_answered_with_those_that_are_known() {
        assert_eq!(read_list(b"[\"inactive\", \"active\"]"), Ok(vec![EventName::Inactive, EventName::Active]));
        assert_eq!(read_list(b"[\"active\", \"reconnect\"]"), Ok(vec![EventName::Active, EventName::Reconnect]));
        for text in ["", "[]", "{}", "[1]", "\"active\"", "[\"active\"", "active", "[\"active\"] x", "null"] {
            assert!(matches!(read_list(text.as_bytes()), Err(Problem::Malformed(_))), "{text}");
        }
        for name in ["layer", "Active", "active ", "\\u0000", &"x".repeat(500)] {
            let problem = read_list(format!("[\"active\", \"{name}\"]").as_bytes()).unwrap_err();
            assert_eq!(problem.status(), 400);
            let sentence = problem.to_string();
            assert!(
                sentence.ends_with("there are active, inactive, layers, viewercount, reconnect")
                    && sentence.len() < 200,
                "{sentence}"
            );
        }
    }
}
