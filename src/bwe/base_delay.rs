//! The least one-way delay of a path. The clocks of sender and receiver differ by an unknown amount and drift, so only
//! what exceeds the least of the last 15 to 30 s is a queue.

use super::time::SECOND;

/// A span has one minimum; the minimum of the last two counts.
const SPAN: i64 = 15 * SECOND;

/// The same while another sender keeps the queue full: the path would look empty after two spans.
const SPAN_OF_A_FOREIGN_QUEUE: i64 = 60 * SECOND;

#[derive(Debug)]
pub(crate) struct BaseDelay {
    current: i64,
    before: i64,
    /// When the current span began.
    since: i64,
}

impl BaseDelay {
    pub(crate) fn new(now: i64) -> Self {
        Self { current: i64::MAX, before: i64::MAX, since: now }
    }

    /// How much longer than the least this one-way delay is, clocks' difference included in both (us).
    pub(crate) fn excess(&mut self, one_way: i64, is_foreign: bool, now: i64) -> i64 {
        if now - self.since > if is_foreign { SPAN_OF_A_FOREIGN_QUEUE } else { SPAN } {
            *self = Self { current: one_way, before: self.current, since: now };
        }
        self.current = self.current.min(one_way);
        one_way - self.current.min(self.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_counts_from_the_least_of_two_spans() {
        let mut base = BaseDelay::new(0);
        assert_eq!(base.excess(-500, false, 0), 0);
        assert_eq!(base.excess(100, false, SECOND), 600);
        assert_eq!(base.excess(100, false, 16 * SECOND), 600, "the span before has the least");
        assert_eq!(base.excess(150, false, 32 * SECOND), 50, "it is over");
    }

    #[test]
    fn a_foreign_queue_does_not_become_the_base() {
        let mut base = BaseDelay::new(0);
        base.excess(0, false, 0);
        for second in 1..60 {
            assert_eq!(base.excess(90, true, second * SECOND), 90);
        }
    }
}
