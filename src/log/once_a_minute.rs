//! A warning whose cause can recur at any rate is logged at most once a minute. Each kind of warning has a value of its
//! own, so that no kind hides another, as the limits on repeated lines may.

use std::time::{Duration, Instant};

/// The minimum time between two lines.
const INTERVAL: Duration = Duration::from_secs(60);

/// When a warning was last logged, and how many times it was due since then.
#[derive(Debug, Default)]
pub(crate) struct OnceAMinute {
    last: Option<Instant>,
    suppressed: u64,
}

impl OnceAMinute {
    /// How many warnings were suppressed since the last one that was logged; `None` if this one is suppressed too.
    pub(crate) fn due(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_logged_once_a_minute_and_counts_those_that_were_not() {
        let (mut warning, begin) = (OnceAMinute::default(), Instant::now());
        assert_eq!(warning.due(begin), Some(0));
        for _ in 0..7 {
            assert_eq!(warning.due(begin + Duration::from_secs(59)), None);
        }
        assert_eq!(warning.due(begin + INTERVAL), Some(7));
        assert_eq!(warning.due(begin + INTERVAL * 2), Some(0));
    }
}
