//! The media types of WHIP and WHEP, how much of each is taken, and the answers to OPTIONS that name them.

use axum::http::header::ALLOW;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

/// The type of offers and answers.
pub(super) const SDP: &str = "application/sdp";
/// The type of candidates and ICE restarts (RFC 8840 9).
pub(super) const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
/// The type of lists of events.
pub(super) const JSON: &str = "application/json";

/// The type of event streams.
pub(super) const EVENT_STREAM: &str = "text/event-stream";

pub(super) use crate::sdp::{FRAGMENT_LIMIT, OFFER_LIMIT};

/// nginx holds a response back until it is complete or large; this header turns that off.
pub(super) const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
pub(super) const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
pub(super) const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// The methods of all paths together.
pub(super) const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE, OPTIONS");

/// The answer to OPTIONS: what an endpoint and its sessions accept. Never needs a token (Fetch: a preflight has none).
pub(super) fn options(methods: HeaderValue) -> Response {
    let accepts = [
        (ALLOW, methods),
        (ACCEPT_POST, HeaderValue::from_static(SDP)),
        (ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT)),
    ];
    (StatusCode::NO_CONTENT, accepts).into_response()
}

/// An entity tag as a header, strong and in quotes (RFC 9110 8.8.3).
pub(super) fn entity_tag(tag: &str) -> HeaderValue {
    HeaderValue::try_from(tag).expect("the relay makes entity tags of visible ASCII")
}
