//! When a publisher was last received, to decide whether another may take its place.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The publisher's worker writes it once for each batch of packets; a standby's worker and HTTP read it.
#[derive(Debug)]
pub(crate) struct Liveness {
    began: Instant,
    /// Microseconds since `began`.
    last: AtomicU64,
}

impl Liveness {
    /// A publisher that has just connected, which counts as received now.
    pub(crate) fn new(now: Instant) -> Self {
        Self { began: now, last: AtomicU64::new(0) }
    }

    /// Notes that it was received.
    pub(crate) fn beat(&self, now: Instant) {
        let since = now.saturating_duration_since(self.began).as_micros();
        self.last.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long ago it was last received.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        let last = Duration::from_micros(self.last.load(Ordering::Relaxed));
        now.saturating_duration_since(self.began).saturating_sub(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_counted_from_the_last_beat_and_before_it_from_the_beginning() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let liveness = Liveness::new(start);
        assert_eq!(liveness.silence(at(300)), Duration::from_millis(300));
        liveness.beat(at(200));
        assert_eq!(liveness.silence(at(300)), Duration::from_millis(100));
        assert_eq!(liveness.silence(at(100)), Duration::ZERO);
    }
}
