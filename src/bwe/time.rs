//! Time inside of the module: microseconds since the viewer began, or on the receiver's clock. Differences of the two
//! clocks are what the estimator works with, so both are plain signed numbers.

use std::time::{Duration, Instant};

pub(crate) const MILLISECOND: i64 = 1_000;
pub(crate) const SECOND: i64 = 1_000 * MILLISECOND;

/// Microseconds from `began` to `now`.
pub(crate) fn since(began: Instant, now: Instant) -> i64 {
    now.saturating_duration_since(began).as_micros() as i64
}

/// The instant `time` microseconds after `began`.
pub(crate) fn at(began: Instant, time: i64) -> Instant {
    began + Duration::from_micros(time.max(0) as u64)
}
