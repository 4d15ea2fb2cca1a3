//! The text of the metrics, written a bounded number of times a second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;

/// How often the metrics are written in a second; further requests get the last text again. To write them costs a
/// thousand times what a request costs, and no scraper comes near this.
const RENDERS: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);

/// The metrics as they were last written. All requests for them write and read it.
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
    pub(in crate::http) fn text(&self, now: Instant, render: impl FnOnce() -> String) -> Bytes {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_rendered_at_most_fifty_times_a_second_and_then_repeated() {
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
