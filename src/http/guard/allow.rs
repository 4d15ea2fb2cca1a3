//! Every path lists its methods in `Allow`: in the answer to OPTIONS, and if the request used another method
//! (RFC 9110 9.3.7, 15.5.6).

use axum::Router;
use axum::extract::Request;
use axum::http::header::ALLOW;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};

use crate::http::media_types::METHODS;

/// The same routes, which answer OPTIONS too where they have no answer of their own. Around them all, because a router
/// adds `Allow` outside of its own layers.
pub(in crate::http) fn with_allow_header(routes: Router) -> Router {
    Router::new().fallback_service(routes).layer(from_fn(add_allow_header))
}

async fn add_allow_header(request: Request, next: Next) -> Response {
    let is_options = request.method() == Method::OPTIONS;
    if is_options && request.uri().path() == "*" {
        return (StatusCode::NO_CONTENT, [(ALLOW, METHODS)]).into_response();
    }
    let mut response = next.run(request).await;
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let known = response.headers().get(ALLOW).and_then(|methods| methods.to_str().ok()).unwrap_or_default();
    let all: Vec<&str> = known.split(',').filter(|it| !it.is_empty() && *it != "OPTIONS").chain(["OPTIONS"]).collect();
    let all = HeaderValue::try_from(all.join(",")).expect("the names of methods are ASCII");
    if is_options {
        return (StatusCode::NO_CONTENT, [(ALLOW, all)]).into_response();
    }
    response.headers_mut().insert(ALLOW, all);
    response
}
