//! `/metrics`, `/healthz` and `/readyz`: for Prometheus and for whoever restarts processes. What is measured needs the
//! admin grant; health is open to everybody, for it tells nothing else. `--admin` moves them to an address of their own.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::request::Administrator;

/// Everything that is counted, in the Prometheus text format.
pub(super) async fn metrics(State(shared): State<Shared>, _: Administrator) -> Response {
    shared.media.update_gauges();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], shared.metrics.render()).into_response()
}

/// The process answers and its media threads turn; else 503 with what is wrong.
pub(super) async fn healthz(State(shared): State<Shared>) -> Response {
    let Some(stuck) = shared.media.stuck() else { return "ok\n".into_response() };
    let sentence = format!(
        "a media thread is stuck for {} s and its sessions stand still: restart the relay; its log names the session\n",
        stuck.as_secs()
    );
    (StatusCode::SERVICE_UNAVAILABLE, sentence).into_response()
}

/// New sessions are welcome; 503 while the relay drains.
pub(super) async fn readyz(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    if shared.media.is_ready() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "draining\n") }
}
