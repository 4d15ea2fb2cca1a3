//! Requests for sessions of other nodes: each is sent on to the node that its session's id names, in one hop.
//!
//! The node that the client has reached counts the request, bounds its body and judges its token; the owner of the session
//! decides by the digest of that. A node that has gone has no sessions any more (404): clients begin new ones.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, MatchedPath, Request, State};
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, LOCATION, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use tracing::{debug, warn};

use crate::auth::Denied;
use crate::cluster::{Call, CallError, Calls, NodeId, read};
use crate::http::base_path::BasePath;
use crate::http::error::Problem;
use crate::http::guard::from_node::FromNode;
use crate::http::listener::place::Place;
use crate::http::media_types::{ACCEL_BUFFERING, ACCEPT_PATCH, ACCEPT_POST, EVENT_STREAM, FRAGMENT_LIMIT};
use crate::http::request::asker::Asker;
use crate::http::request::body::read_bytes;
use crate::http::request::connection::Connection;
use crate::http::request::forwarded::{CLIENT, Forwarded};
use crate::http::request::path::{NO_SUCH_SESSION, split_tag};
use crate::http::shared::node::Shared;
use crate::session::ClientSource;

/// When to ask again for a session whose node does not answer.
const RETRY: Duration = Duration::from_secs(2);

const SLOW: Problem =
    Problem::Unavailable { detail: "the node of this session does not answer: try again", retry_after: RETRY };

const REFUSED: Problem = Problem::Unavailable {
    detail: "the node of this session does not accept calls of this node, whose log says why: try again",
    retry_after: RETRY,
};

/// Headers of the client that matter to the owner of its session.
const ASKED: [HeaderName; 3] = [CONTENT_TYPE, IF_MATCH, ACCEPT];

/// Headers of the owner that matter to the client; the others are for the connection between the nodes.
const ANSWERED: [HeaderName; 11] = [
    CONTENT_TYPE,
    ETAG,
    RETRY_AFTER,
    WWW_AUTHENTICATE,
    ACCEPT,
    ACCEPT_ENCODING,
    ACCEPT_PATCH,
    ACCEPT_POST,
    ALLOW,
    CACHE_CONTROL,
    ACCEL_BUFFERING,
];

/// Sends requests for sessions of other nodes to these; all others go on here.
pub(in crate::http) async fn layer(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let Some(calls) = &shared.calls else { return next.run(request).await };
    match owner(calls, &request) {
        Owner::Here => next.run(request).await,
        Owner::Gone => NO_SUCH_SESSION.into_response(),
        Owner::Node(node) => forward(&shared, calls, &node, request).await.unwrap_or_else(Problem::into_response),
    }
}

/// The node of a request's session.
enum Owner {
    /// This one, or the request is not about a session.
    Here,
    Node(NodeId),
    /// One that does not live.
    Gone,
}

fn owner(calls: &Calls, request: &Request) -> Owner {
    let matched = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let is_about_session = matched.starts_with("/session/") && request.method() != Method::OPTIONS;
    let id = request.uri().path().split('/').nth(2).filter(|_| is_about_session);
    let Some(tag) = id.and_then(split_tag).map(|(tag, _)| tag).filter(|tag| *tag != calls.own_tag()) else {
        return Owner::Here;
    };
    // What a node has sent on stays where it is.
    if request.extensions().get::<FromNode>().is_some() {
        return Owner::Gone;
    }
    calls.node_with(tag).map_or(Owner::Gone, Owner::Node)
}

async fn forward(shared: &Shared, calls: &Calls, node: &NodeId, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let Ok(asker) = Asker::from_request_parts(&mut parts, shared).await;
    let identified = asker.identify(&shared.access).await.map(|identified| identified.credential);
    if identified.is_ok() {
        asker.accepted();
    }
    let body = read_bytes(&parts.headers, body, FRAGMENT_LIMIT, shared.body_deadline).await?;
    let client =
        Forwarded { address: client(&parts), shown: asker.has_authorization().then(|| asker.shown()), identified };
    let call = Call {
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        headers: headers(&parts.headers, &client),
        body: body.into(),
    };
    let answer = match calls.send(node, call).await {
        Ok(answer) => answer,
        Err(error) => return Err(refusal(node, &error)),
    };
    let mut response = take(&parts, answer).await?;
    if let Err(denied) = identified
        && [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&response.status())
    {
        response.extensions_mut().insert::<Denied>(denied);
    }
    Ok(response)
}

/// The address of the client, if it is known.
fn client(parts: &Parts) -> Option<IpAddr> {
    let connection: Connection = *parts.extensions.get()?;
    (connection.source != ClientSource::Unreadable).then(|| connection.remote.ip())
}

fn headers(asked: &HeaderMap, client: &Forwarded) -> HeaderMap {
    let mut headers = chosen(asked, &ASKED);
    headers.insert(CLIENT, client.write());
    headers
}

/// The lines of these headers.
fn chosen(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let lines = names.iter().flat_map(|name| headers.get_all(name).iter().map(move |value| (name, value)));
    lines.fold(HeaderMap::new(), |mut chosen, (name, value)| {
        chosen.append(name.clone(), value.clone());
        chosen
    })
}

/// Why there is no answer of the owner.
fn refusal(node: &NodeId, error: &CallError) -> Problem {
    match error {
        CallError::TooSlow(_) => {
            warn!(%node, "a session's node does not answer: {error}");
            SLOW
        }
        CallError::Foreign(_) => {
            warn!(%node, "a session's node refuses the call: {error}");
            REFUSED
        }
        CallError::NotAllowed(_) => {
            warn!(%node, "a session's node is not called: {error}");
            NO_SUCH_SESSION
        }
        _ => {
            debug!(%node, "a session's node is gone: {error}");
            NO_SUCH_SESSION
        }
    }
}

/// The answer of the owner, for the client: an event stream as it comes, everything else as a whole.
async fn take(asked: &Parts, answer: hyper::Response<Incoming>) -> Result<Response, Problem> {
    let (answered, body) = answer.into_parts();
    let mut headers = chosen(&answered.headers, &ANSWERED);
    if let Some(location) = answered.headers.get(LOCATION).and_then(|location| location.to_str().ok()) {
        headers.insert(LOCATION, relocated(asked, location).ok_or(NO_SUCH_SESSION)?);
    }
    let is_event_stream = headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes() == EVENT_STREAM.as_bytes());
    let body = match asked.extensions.get::<Place>().filter(|_| is_event_stream && asked.method != Method::HEAD) {
        Some(place) => {
            place.hold_open()?;
            Body::new(body)
        }
        None => read(body).await.map_err(|_| SLOW)?.into(),
    };
    Ok((answered.status, headers, body).into_response())
}

/// A path below `/session` as the client finds it: the owner may have another base path.
fn relocated(asked: &Parts, location: &str) -> Option<HeaderValue> {
    let location: Uri = location.parse().ok()?;
    let from = location.path().find("/session/")?;
    let base_path: BasePath = asked.extensions.get().cloned().unwrap_or_default();
    HeaderValue::try_from(base_path.join(&location.path()[from..])).ok()
}
