//! How often an attack acts, so that its own work does not take the relay's CPU.

use std::time::{Duration, Instant};

/// Time between two readings of the clock.
const STEP: Duration = Duration::from_millis(1);

/// A rate and an end.
pub(crate) struct Pace {
    began: Instant,
    duration: Duration,
    rate: f64,
    done: u64,
}

impl Pace {
    /// `rate` actions a second, for `duration`.
    pub(crate) fn new(rate: u32, duration: Duration) -> Self {
        Self { began: Instant::now(), duration, rate: f64::from(rate), done: 0 }
    }

    /// Waits until the next actions are due and returns their number; `None` at the end. Of missed actions, those of
    /// the last tenth of a second are made up for.
    pub(crate) fn due(&mut self) -> Option<u64> {
        loop {
            let elapsed = self.began.elapsed();
            if elapsed >= self.duration {
                return None;
            }
            let due = (elapsed.as_secs_f64() * self.rate) as u64;
            let most = (self.rate / 10.0).ceil() as u64;
            if due > self.done {
                let now = (due - self.done).min(most);
                self.done = due;
                return Some(now);
            }
            std::thread::sleep(STEP);
        }
    }
}
