//! `/metrics`, `/healthz` and `/readyz`: for Prometheus and for whoever restarts processes. What is measured needs the
//! admin grant; health is open to everybody, for it tells nothing else. `--admin` moves them to an address of their own.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::http::Shared;
use crate::http::request::Administrator;

/// Everything that is counted, in the Prometheus text format.
pub(in crate::http) async fn metrics(State(shared): State<Shared>, _: Administrator) -> Response {
    let text = shared.rendered.text(Instant::now(), || {
        shared.media.update_gauges();
        shared.metrics.render()
    });
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// Metrics that are written in a second; whoever asks for more gets the last ones again. To write them takes a thousand
/// times what asking takes, and nobody who scrapes comes near this.
const RENDERS: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);

/// The metrics as they were last written. Shared by all who ask, on the threads of HTTP.
#[derive(Debug, Default)]
pub(in crate::http) struct Rendered(Mutex<Option<Last>>);

#[derive(Debug)]
struct Last {
    text: Bytes,
    /// When the second began in which `renders` are counted.
    began: Instant,
    renders: u32,
}

impl Rendered {
    fn text(&self, now: Instant, render: impl FnOnce() -> String) -> Bytes {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let within = last.as_ref().filter(|last| now.saturating_duration_since(last.began) < WINDOW);
        if let Some(Last { text, renders: RENDERS.., .. }) = within {
            return text.clone();
        }
        let (began, renders) = within.map_or((now, 0), |last| (last.began, last.renders));
        let text = Bytes::from(render());
        *last = Some(Last { text: text.clone(), began, renders: renders + 1 });
        text
    }
}

/// The process answers and its media threads turn; else 503 with what is wrong.
pub(in crate::http) async fn healthz(State(shared): State<Shared>) -> Response {
    let Some(stuck) = shared.media.stuck() else { return "ok\n".into_response() };
    let sentence = format!(
        "a media thread is stuck for {} s and its sessions stand still: restart the relay; its log names the session\n",
        stuck.as_secs()
    );
    (StatusCode::SERVICE_UNAVAILABLE, sentence).into_response()
}

/// New sessions are welcome; 503 while the relay drains.
pub(in crate::http) async fn readyz(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    if shared.media.is_ready() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "draining\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_written_afresh_fifty_times_a_second_and_told_again_beyond() {
        let (rendered, now) = (Rendered::default(), Instant::now());
        let mut count = 0;
        let mut ask = |at: Duration| {
            rendered.text(now + at, || {
                count += 1;
                count.to_string()
            })
        };
        for expected in 1..=50 {
            assert_eq!(ask(Duration::ZERO), expected.to_string());
        }
        assert_eq!(ask(Duration::from_millis(999)), "50");
        assert_eq!(ask(WINDOW), "51");
        assert_eq!(ask(WINDOW * 5), "52");
    }
}
