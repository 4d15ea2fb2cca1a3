//! Which worker a session lives on.
//!
//! By default a session lives where its first check arrives, which is where a hash of addresses leads. That spreads
//! streams well and wakes each worker for every burst of each stream. So two things come first:
//!
//! - The first few viewers of a stream live where its publisher does, and so does a publisher where the one before it
//!   did. Further viewers live where they arrive: a large stream is served by all workers at once, the last viewer of a
//!   burst waiting for a part of the others only.
//! - Publishers live on the first worker that has room, as long as the kernel can be told of it (see `steering`). A
//!   relay with little to do then does it on one core, and wakes once for what comes together.
//!
//! Sessions never move, and what a stream costs is known only once its encoder has found its rate and its viewers have
//! come. So room is little: a count of publishers that with their few viewers cannot fill a core, and no more of the
//! core's time taken than leaves them space. When no worker has room, publishers live where they arrive.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::steering::Steering;
use crate::stream::WorkerId;

/// A worker that was awake for a larger share of the last second has no room for another publisher.
const BUSY: f32 = 0.3;

/// From one look at a worker's share to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// What all workers know of where sessions live.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) steering: Steering,
    /// By worker number.
    pub(crate) loads: Vec<Load>,
}

/// What a worker has to do. It writes, all read.
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

    /// The first worker that has room for another publisher, where so many are gathered.
    pub(crate) fn with_room(&self, publishers: u32) -> Option<WorkerId> {
        let first = self.loads.iter().position(|load| load.has_room(publishers))?;
        u16::try_from(first).ok().map(WorkerId)
    }

    /// How much it keeps, by name: all of it is 0 once every session has gone.
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

    /// The worker was awake for so long.
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
