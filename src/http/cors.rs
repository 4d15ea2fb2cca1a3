//! Cross-origin rules (Fetch standard): players live on other pages than the relay's. An origin is answered with `*`
//! or with itself when it is listed, never merely reflected, and never with credentials: tokens travel in a header
//! that the page sets itself.

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;

use super::Shared;

/// What scripts of other origins may read of a response.
const EXPOSED: HeaderValue = HeaderValue::from_static("Location, ETag, Link, Accept-Patch, Retry-After");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE, OPTIONS");
const HEADERS: HeaderValue = HeaderValue::from_static("Authorization, Content-Type, If-Match");
/// How long browsers may remember a preflight: two hours is the most that Chromium does.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// Which pages may use the relay from a browser.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Every page.
    #[default]
    Any,
    /// The pages of these origins, such as `https://example.org`.
    Listed(Vec<String>),
}

impl Origins {
    /// The value of Access-Control-Allow-Origin for a request.
    fn allow(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        match self {
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::Listed(list) => origin.filter(|origin| list.iter().any(|listed| *origin == listed)).cloned(),
        }
    }
}

/// Adds the cross-origin headers to every response of WHIP, WHEP and session, errors included.
pub(super) async fn layer(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = next.run(request).await;
    write(response.headers_mut(), &shared.origins, origin.as_ref(), is_preflight);
    response
}

fn write(headers: &mut HeaderMap, origins: &Origins, origin: Option<&HeaderValue>, is_preflight: bool) {
    if matches!(origins, Origins::Listed(_)) {
        // A cache must not show one origin the answer to another.
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    let Some(allowed) = origins.allow(origin) else { return };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if is_preflight {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_that_is_not_listed_gets_nothing() {
        let listed = Origins::Listed(vec!["https://a.example".to_owned()]);
        let good = HeaderValue::from_static("https://a.example");
        let bad = HeaderValue::from_static("https://a.example.evil");
        assert_eq!(listed.allow(Some(&good)), Some(good.clone()));
        assert_eq!(listed.allow(Some(&bad)), None);
        assert_eq!(listed.allow(None), None);
        assert_eq!(Origins::Any.allow(Some(&bad)), Some(HeaderValue::from_static("*")));
    }
}
