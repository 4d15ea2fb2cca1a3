//! A check of ours on an address that a client has claimed: its answer proves that the client receives there.
//!
//! The rule: at most three copies of one small request go to an address that has not answered, and a session begins
//! such checks only at a bounded rate, so that forged addresses make the relay neither a reflector nor a scanner. The
//! few addresses that the relay dials get at most five.

use std::time::{Duration, Instant};

use super::stun::Transaction;

/// When the copies of a check are sent, and how long an answer is accepted, both counted from its beginning.
pub(crate) struct Schedule {
    copies: &'static [Duration],
    lifetime: Duration,
}

/// A check of an address that a client has claimed.
pub(crate) const PROOF: Schedule = Schedule {
    copies: &[Duration::ZERO, Duration::from_millis(250), Duration::from_millis(750)],
    lifetime: Duration::from_secs(2),
};

/// A check of an address that the relay dials: the timeout of a transaction is 500 ms at first, as for a few candidates
/// with a pace of 50 ms, and doubles with each copy (RFC 8445 14.3, RFC 8489 6.2.1). A sixth copy would come after the
/// 10 s in which a session must connect.
pub(crate) const DIAL: Schedule = Schedule {
    copies: &[
        Duration::ZERO,
        Duration::from_millis(500),
        Duration::from_millis(1_500),
        Duration::from_millis(3_500),
        Duration::from_millis(7_500),
    ],
    lifetime: Duration::from_millis(15_500),
};

/// One check in progress.
pub(crate) struct Check {
    pub(crate) transaction: Transaction,
    schedule: &'static Schedule,
    began: Instant,
    sent: usize,
}

impl Check {
    /// A check whose first copy is due at `begins`.
    pub(crate) fn new(transaction: Transaction, schedule: &'static Schedule, begins: Instant) -> Check {
        Check { transaction, schedule, began: begins, sent: 0 }
    }

    /// Whether the caller must send a copy now.
    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        let is_due = self.schedule.copies.get(self.sent).is_some_and(|after| now >= self.began + *after);
        self.sent += usize::from(is_due);
        is_due
    }

    /// Whether an answer comes too late.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.began + self.schedule.lifetime
    }

    /// When to call `poll` again.
    pub(crate) fn poll_timeout(&self) -> Instant {
        self.began + self.schedule.copies.get(self.sent).copied().unwrap_or(self.schedule.lifetime)
    }
}

/// How many checks a session may begin: 4 at once, then one every 2 s.
pub(crate) struct CheckBudget {
    left: u32,
    refilled: Instant,
}

impl CheckBudget {
    const MOST: u32 = 4;
    const INTERVAL: Duration = Duration::from_secs(2);

    /// A full allowance.
    pub(crate) fn new(now: Instant) -> CheckBudget {
        CheckBudget { left: Self::MOST, refilled: now }
    }

    /// Takes one if there is one. The last one is reserved for an address whose last check did not fail, so that a
    /// forged address does not starve a real one.
    pub(crate) fn take(&mut self, has_failed: bool, now: Instant) -> bool {
        let intervals = now.saturating_duration_since(self.refilled).as_millis() / Self::INTERVAL.as_millis();
        if intervals > 0 {
            self.left = Self::MOST.min(self.left + intervals.min(u128::from(Self::MOST)) as u32);
            self.refilled = now;
        }
        let granted = self.left > u32::from(has_failed);
        self.left -= u32::from(granted);
        granted
    }
}
