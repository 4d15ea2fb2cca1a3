//! Which worker a session lives on.
//!
//! By default a session lives where its first check arrives, which is where a hash of addresses leads. That spreads
//! streams well and wakes each worker for every burst of each stream. So two things come first:
//!
//! - The first few viewers of a stream live on its publisher's worker, and a new publisher lives on the worker of the
//!   one before it. Further viewers live where they arrive: all workers serve a large stream at once, so the last
//!   viewer of a burst waits for fewer others.
//! - Publishers live on the first worker that has room, as long as the kernel accepts the list of their clients (see
//!   `steering`). A relay with little load then uses one core, and wakes up once for packets that arrive together.
//!
//! Sessions never move, and what a stream costs is known only once its encoder has found its rate and its viewers have
//! come. So a worker has room only if its publishers are few enough not to fill a core with their few viewers, and if
//! the core's load leaves space for that. When no worker has room, publishers live where they arrive.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::steering::Steering;
use crate::stream::WorkerId;

/// A worker that was awake for a larger share of the last second has no room for another publisher.
const BUSY: f32 = 0.3;

/// The time between two measurements of a worker's share.
const INTERVAL: Duration = Duration::from_secs(1);

/// The assignment of sessions to workers, shared by all workers.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) steering: Steering,
    /// By worker number.
    pub(crate) loads: Vec<Load>,
}

/// The load of a worker, which writes it; all workers read it.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) publishers: AtomicU32,
    /// The share of its time in which it was awake, in thousandths.
    awake: AtomicU32,
}

/// The time in which a worker is awake, towards its [`Load`].
#[derive(Debug)]
pub(crate) struct Awake {
    since: Instant,
    spent: Duration,
}

impl Assignment {
    pub(crate) fn new(workers: usize) -> Self {
        Self { steering: Steering::default(), loads: (0..workers).map(|_| Load::default()).collect() }
    }

    /// The first worker that has room for another publisher, if at most `publishers` are put on each.
    pub(crate) fn with_room(&self, publishers: u32) -> Option<WorkerId> {
        let first = self.loads.iter().position(|load| load.has_room(publishers))?;
        u16::try_from(first).ok().map(WorkerId)
    }

    /// The sizes of its collections by name: all are 0 once every session has ended.
    pub(crate) fn counts(&self) -> [(&'static str, usize); 2] {
        let publishers: u32 = self.loads.iter().map(|load| load.publishers.load(Ordering::Relaxed)).sum();
        [("steered", self.steering.len()), ("publishers placed", publishers as usize)]
    }
}

impl Load {
    /// A publisher lives on this worker from now on.
    pub(crate) fn add_publisher(&self) {
        self.publishers.fetch_add(1, Ordering::Relaxed);
    }

    /// A publisher has left this worker.
    pub(crate) fn remove_publisher(&self) {
        self.publishers.fetch_sub(1, Ordering::Relaxed);
    }

    fn has_room(&self, publishers: u32) -> bool {
        self.publishers.load(Ordering::Relaxed) < publishers
            && self.awake.load(Ordering::Relaxed) < (BUSY * 1000.0) as u32
    }
}

impl Awake {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, spent: Duration::ZERO }
    }

    /// Adds time in which the worker was awake.
    pub(crate) fn add(&mut self, spent: Duration, load: &Load, now: Instant) {
        self.spent += spent;
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= INTERVAL {
            let share = self.spent.as_secs_f32() / elapsed.as_secs_f32();
            load.awake.store((share * 1000.0) as u32, Ordering::Relaxed);
            *self = Self::new(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_was_awake_for_long_has_no_room_until_it_is_not() {
        let (load, start) = (Load::default(), Instant::now());
        let mut awake = Awake::new(start);
        let mut second = |number: u32, share: f32| {
            for tenth in 1..=10 {
                awake.add(INTERVAL.mul_f32(share / 10.0), &load, start + INTERVAL * number + INTERVAL * tenth / 10);
            }
            load.has_room(1)
        };
        assert!(second(0, 0.2));
        assert!(!second(1, 0.4));
        assert!(second(2, 0.0));
        assert!(!load.has_room(0));
    }
}
