//! Counts each request and its status, logs it, and reports refused credentials.

use std::sync::Arc;
use std::time::Instant;

use axum::RequestExt as _;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tracing::debug;

use super::refused::{Refusals, why};
use crate::http::request::connection::Connection;
use crate::http::request::path::StreamPath;
use crate::metrics::{Metrics, Route, Status};

/// Where requests are counted.
pub(in crate::http) struct Observer {
    metrics: Arc<Metrics>,
    refusals: Refusals,
}

impl Observer {
    pub(in crate::http) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, refusals: Refusals::default() }
    }
}

/// Counts each request and logs it without its headers, which carry tokens.
pub(in crate::http) async fn layer(
    State(observer): State<Arc<Observer>>,
    connection: Connection,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(Route::Other, |path| route_of(path.as_str()));
    let method = request.method().clone();
    let names_stream = matched.is_some_and(|path| path.as_str().ends_with("/{stream}"));
    let stream = if names_stream { request.extract_parts::<StreamPath>().await.ok() } else { None };
    let response = next.run(request).await;
    let status = response.status();
    observer.metrics.http_requests[route][Status::of(status.as_u16())].inc();
    if let Some(why) = why(&response) {
        observer.metrics.access_refused[why].inc();
    }
    let client = connection.remote.ip();
    observer.refusals.report(client, route, stream.as_ref().map(|StreamPath(name)| name.as_str()), &response);
    debug!(%client, %method, route = ?route, status = status.as_u16(), took = ?began.elapsed(), "request");
    response
}

fn route_of(matched: &str) -> Route {
    match matched {
        "/whip/{stream}" => Route::Whip,
        "/whep/{stream}" => Route::Whep,
        path if path.starts_with("/session/{id}") => Route::Session,
        path if path.starts_with("/api/") => Route::Api,
        _ => Route::Other,
    }
}
