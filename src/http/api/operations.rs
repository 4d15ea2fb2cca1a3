//! `/metrics`, `/healthz` and `/readyz`: for Prometheus and for what restarts processes. The metrics need the admin
//! grant; health needs no token, because it shows nothing else. `--admin` moves them to an address of their own.

use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::administrator::Administrator;
use crate::http::openapi::refusals::{Forbidden, Unauthorized};
use crate::http::openapi::texts;
use crate::http::shared::node::Shared;

/// Everything that is counted, for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "operations",
    security((), ("admin" = [])),
    responses(
        (status = 200, description = "Prometheus text format 0.0.4.", body = inline(texts::Metrics), content_type = "text/plain"),
        Unauthorized,
        Forbidden,
    ),
)]
pub(in crate::http) async fn metrics(State(shared): State<Shared>, _: Administrator) -> Response {
    let text = shared.rendered.text(Instant::now(), || {
        shared.media.update_gauges();
        shared.metrics.render()
    });
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// The process answers and its media threads run
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    tag = "operations",
    responses(
        (status = 200, description = "The process answers and its media threads run.", body = String),
        (status = 503, description = "A media thread has been stuck for 5 s.", body = String),
    ),
)]
pub(in crate::http) async fn healthz(State(shared): State<Shared>) -> Response {
    let Some(stuck) = shared.media.stuck() else { return "ok\n".into_response() };
    let sentence = format!(
        "a media thread is stuck for {} s and its sessions stand still: restart the relay; its log names the session\n",
        stuck.as_secs()
    );
    (StatusCode::SERVICE_UNAVAILABLE, sentence).into_response()
}

/// The relay accepts new sessions
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "operations",
    responses(
        (status = 200, description = "The relay accepts new sessions.", body = String),
        (status = 503, description = "The relay is draining.", body = String),
    ),
)]
pub(in crate::http) async fn readyz(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    if shared.media.is_ready() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "draining\n") }
}
