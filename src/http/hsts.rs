//! Strict-Transport-Security (RFC 6797): browsers that have seen it use HTTPS only. It is sent over HTTPS alone, the
//! relay's own or that of a trusted proxy (RFC 6797 7.2).

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::STRICT_TRANSPORT_SECURITY;
use axum::middleware::Next;
use axum::response::Response;

use crate::http::request::connection::{Connection, Scheme};

/// The header's value, if it is sent.
#[derive(Clone, Debug)]
pub(in crate::http) struct Hsts(Option<HeaderValue>);

impl Hsts {
    /// For this time; `None` sends nothing.
    pub(in crate::http) fn new(age: Option<Duration>) -> Self {
        let value = |age: Duration| format!("max-age={}", age.as_secs());
        Self(age.map(|age| HeaderValue::try_from(value(age)).expect("digits are visible ASCII")))
    }
}

/// Adds the header to what a client got by HTTPS.
pub(in crate::http) async fn layer(
    State(hsts): State<Hsts>,
    connection: Connection,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    if let Some(value) = hsts.0
        && connection.scheme == Scheme::Https
    {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, value);
    }
    response
}
