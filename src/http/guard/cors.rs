//! Cross-origin rules (Fetch standard): players live on other pages than the relay's. An origin is answered with `*`
//! or with itself when it is listed, never merely reflected, and never with credentials: tokens travel in a header
//! that the page sets itself.
//!
//! WHIP, WHEP and sessions are for pages of other origins. Of everything else those pages may read what went wrong, a
//! 404 for a misspelt path for example, and of what is for operators nothing.
//!
//! tower-http's `CorsLayer` answers every OPTIONS itself, so that `Accept-Post` and `Allow` would be missing and a
//! foreign page would not get its 403; and its rules do not differ by path.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::origin;
use crate::auth::Access;
use crate::http::error::Detail;
use crate::http::media_types::{METHODS, options};

/// What scripts of other origins may read of a response.
const EXPOSED: HeaderValue = HeaderValue::from_static("Location, ETag, Link, Accept-Patch, Retry-After");
/// What pages may send in any case; a preflight may ask for more.
const HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("authorization"),
    HeaderName::from_static("content-type"),
    HeaderName::from_static("if-match"),
];
/// Headers that one preflight may ask for; those behind are not allowed.
const MAX_HEADERS: usize = 64;
/// How long browsers may remember a preflight: two hours is the most that Chromium does.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// Which pages may use the relay from a browser.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Every page.
    #[default]
    Any,
    /// The pages of these origins, such as `https://example.org`, or of all subdomains: `https://*.example.org`.
    Listed(Vec<String>),
}

impl Origins {
    /// Whether pages of this origin may use the relay.
    pub(in crate::http) fn lists(&self, origin: &HeaderValue) -> bool {
        self.allow(Some(origin)).is_some()
    }

    /// The value of Access-Control-Allow-Origin for a request.
    fn allow(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        let Self::Listed(list) = self else { return Some(HeaderValue::from_static("*")) };
        let asking = origin?.to_str().ok()?;
        list.iter().any(|listed| origin::covers(listed, asking)).then(|| origin.cloned())?
    }
}

/// What decides which pages may read what.
pub(in crate::http) struct CrossOrigin {
    access: Arc<Access>,
    origins: Origins,
}

impl CrossOrigin {
    pub(in crate::http) fn new(access: Arc<Access>, origins: Origins) -> Self {
        Self { access, origins }
    }
}

/// What pages of other origins may read at a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readable {
    Everything,
    Problems,
    Nothing,
}

impl Readable {
    fn at(matched: Option<&str>) -> Self {
        let below = |prefixes: &[&str]| matched.is_some_and(|path| prefixes.iter().any(|it| path.starts_with(it)));
        if below(&["/whip/", "/whep/", "/session/"]) {
            Self::Everything
        } else if below(&["/api/", "/metrics", "/healthz", "/readyz"]) {
            Self::Nothing
        } else {
            Self::Problems
        }
    }
}

/// Adds the cross-origin headers to every response that pages of other origins may read, errors included.
pub(in crate::http) async fn layer(State(rules): State<Arc<CrossOrigin>>, request: Request, next: Next) -> Response {
    let readable = Readable::at(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    let origin = request.headers().get(ORIGIN).cloned();
    let is_options = request.method() == Method::OPTIONS;
    let asked = (is_options && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)).then(|| asked(&request));
    let mut response = next.run(request).await;
    if readable == Readable::Nothing {
        return response;
    }
    if asked.is_some() && response.status() == StatusCode::NOT_FOUND {
        // The request itself gets the 404, in a sentence that the page can read.
        response = options(METHODS);
    } else if readable == Readable::Problems && asked.is_none() && response.extensions().get::<Detail>().is_none() {
        return response;
    }
    write(response.headers_mut(), &rules.origins, origin.as_ref(), asked);
    response
}

/// The same for `/api`: only with an admin token, which the page must have, and only for listed origins.
pub(in crate::http) async fn for_operators(
    State(rules): State<Arc<CrossOrigin>>,
    request: Request,
    next: Next,
) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let is_api = request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str().starts_with("/api/"));
    let is_guarded = !rules.access.is_open();
    if !is_api || !is_guarded || rules.origins == Origins::Any {
        return next.run(request).await;
    }
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let asked = is_preflight.then(|| asked(&request));
    let is_listed = origin.as_ref().is_some_and(|origin| rules.origins.lists(origin));
    let mut response = if is_preflight && is_listed { options(METHODS) } else { next.run(request).await };
    write(response.headers_mut(), &rules.origins, origin.as_ref(), asked);
    response
}

/// The headers that a preflight asks for, beside those that are always allowed.
fn asked(request: &Request) -> Vec<HeaderName> {
    let lines = request.headers().get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let names = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let names = names.filter_map(|name| HeaderName::try_from(name.trim()).ok());
    names.filter(|name| !HEADERS.contains(name)).take(MAX_HEADERS).collect()
}

fn write(headers: &mut HeaderMap, origins: &Origins, origin: Option<&HeaderValue>, asked: Option<Vec<HeaderName>>) {
    if matches!(origins, Origins::Listed(_)) {
        // A cache must not show one origin the answer to another.
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    let Some(allowed) = origins.allow(origin) else { return };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if let Some(asked) = asked {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        let mut names = "Authorization, Content-Type, If-Match".to_owned();
        asked.iter().for_each(|name| names += &format!(", {name}"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::try_from(names).expect("names of headers are ASCII"));
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

    #[test]
    fn a_preflight_is_allowed_the_headers_that_it_asks_for_and_no_nonsense() {
        let ask =
            |line: String| Request::builder().header(ACCESS_CONTROL_REQUEST_HEADERS, line).body(().into()).unwrap();
        let asked_for = |line: &str| asked(&ask(line.to_owned()));
        assert_eq!(asked_for("authorization, X-Trace-Id,traceparent ,,"), ["x-trace-id", "traceparent"]);
        assert_eq!(asked_for("a b, x(y), \u{e9}"), Vec::<HeaderName>::new());
        assert_eq!(asked(&ask("x-a,".repeat(1000))).len(), MAX_HEADERS);
    }
}
