//! Detects stuck workers: a library that loops without end stops everything on its worker, and no code of that worker
//! can notice it.
//!
//! A worker that sleeps has nothing to do and is fine; a turn of [`STALLED`] is reported in the log and the metrics,
//! with the session that it works for, and after [`UNHEALTHY`](crate::worker::liveness::UNHEALTHY) `/healthz` fails.
//! Only time in which the watchdog itself was awake counts, so a machine that was suspended, or a process that was
//! stopped, is no fault.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::label::Label as _;
use crate::metrics::Metrics;
use crate::worker::liveness::Heartbeat;
use crate::worker::shared::Shared;

/// A turn of this length is a stall. Turns take some milliseconds.
const STALLED: Duration = Duration::from_secs(2);

/// The time between two checks. If the watchdog slept longer, the excess does not count.
const INTERVAL: Duration = Duration::from_millis(250);

/// The watchdog's thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    _alive: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Watches all workers.
    ///
    /// # Errors
    /// When there is no room for another thread.
    pub(crate) fn start(shared: Arc<Shared>) -> std::io::Result<Self> {
        let (alive, ended) = channel();
        let thread = std::thread::Builder::new().name("watchdog".to_owned());
        let thread = thread.spawn(move || watch(&shared, &ended))?;
        Ok(Self { _alive: alive, thread: Some(thread) })
    }

    /// Ends the thread and waits for it.
    pub(crate) fn stop(mut self) {
        let thread = self.thread.take();
        drop(self);
        if let Some(thread) = thread {
            // It cannot have panicked in a way that matters now.
            let _ = thread.join();
        }
    }
}

fn watch(shared: &Shared, ended: &Receiver<()>) {
    let mut turns = vec![Turn::default(); shared.heartbeats.len()];
    let mut looked = Instant::now();
    while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let slept = looked.elapsed();
        looked = Instant::now();
        look(&mut turns, &shared.heartbeats, slept, &shared.metrics);
        shared.health.set(turns.iter().map(|turn| turn.took).max().unwrap_or_default());
    }
}

/// Checks each worker once, and reports those whose state has changed.
fn look(turns: &mut [Turn], heartbeats: &[Arc<Heartbeat>], slept: Duration, metrics: &Metrics) {
    for (worker, (turn, heartbeat)) in turns.iter_mut().zip(heartbeats).enumerate() {
        match turn.follow(heartbeat.turning(), slept) {
            Some(Change::Stalled) => {
                metrics.worker_stalls.inc();
                let record = heartbeat.session();
                tracing::warn!(
                    worker,
                    session = record.as_ref().map(|record| tracing::field::display(record.id)),
                    role = record.as_ref().map(|record| record.class().as_str()),
                    stream = record.as_ref().map(|record| tracing::field::display(&record.stream)),
                    user_agent =
                        record.as_ref().and_then(|record| record.user_agent.as_ref()).map(tracing::field::debug),
                    "worker stalled: its event loop has been blocked for {} s, and all sessions on it stand still; restart \
                     the relay if it does not recover",
                    STALLED.as_secs()
                );
            }
            Some(Change::Recovered(took)) => {
                tracing::warn!(worker, took_ms = took.as_millis() as u64, "worker runs again");
            }
            None => {}
        }
    }
    metrics.workers_stalled.set(turns.iter().filter(|turn| turn.is_stalled()).count() as i64);
}

/// What the watchdog knows of one worker.
#[derive(Clone, Debug, Default)]
struct Turn {
    /// The turn that was under way at the last check.
    number: Option<u64>,
    /// How long it is known to have been under way.
    took: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum Change {
    Stalled,
    /// The stalled turn ended, after this time.
    Recovered(Duration),
}

impl Turn {
    /// Checks the turn once more, after a sleep of `slept`.
    fn follow(&mut self, number: Option<u64>, slept: Duration) -> Option<Change> {
        let was_stalled = self.is_stalled();
        if number.is_some() && number == self.number {
            self.took += slept.min(INTERVAL);
            return (self.is_stalled() && !was_stalled).then_some(Change::Stalled);
        }
        self.number = number;
        let took = std::mem::take(&mut self.took);
        was_stalled.then_some(Change::Recovered(took))
    }

    fn is_stalled(&self) -> bool {
        self.took >= STALLED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::liveness::UNHEALTHY;

    /// Checks a worker in that turn for some time; returns the changes.
    fn checks(turn: &mut Turn, number: Option<u64>, time: Duration) -> Vec<Change> {
        let count = time.as_millis() / INTERVAL.as_millis();
        (0..count).filter_map(|_| turn.follow(number, INTERVAL)).collect()
    }

    #[test]
    fn a_turn_of_two_seconds_is_reported_once_and_so_is_its_end() {
        let mut turn = Turn::default();
        assert_eq!(checks(&mut turn, Some(1), Duration::from_millis(2_000)), []);
        assert_eq!(checks(&mut turn, Some(1), Duration::from_secs(60)), [Change::Stalled]);
        assert!(turn.took >= UNHEALTHY);
        let recovered = Change::Recovered(Duration::from_millis(61_750));
        assert_eq!(checks(&mut turn, Some(3), Duration::from_millis(1_900)), [recovered]);
        assert_eq!(checks(&mut turn, Some(3), Duration::from_millis(500)), [Change::Stalled], "another turn");
    }

    #[test]
    fn a_worker_that_sleeps_or_turns_is_fine() {
        let mut turn = Turn::default();
        assert_eq!(checks(&mut turn, None, Duration::from_secs(3_600)), []);
        for number in 0..1_000 {
            assert_eq!(checks(&mut turn, Some(2 * number + 1), Duration::from_millis(1_750)), []);
        }
    }

    #[test]
    fn a_machine_that_was_suspended_is_no_fault() {
        let mut turn = Turn::default();
        for _ in 0..4 {
            assert_eq!(turn.follow(Some(1), Duration::from_secs(3_600)), None);
        }
        assert_eq!(checks(&mut turn, Some(1), Duration::from_millis(1_000)), []);
        assert_eq!(checks(&mut turn, Some(1), Duration::from_millis(250)), [Change::Stalled]);
    }

    #[test]
    fn a_heartbeat_distinguishes_turns_from_sleep_and_a_session_from_none() {
        let heartbeat = Heartbeat::default();
        assert_eq!((heartbeat.turning(), heartbeat.session().is_none()), (None, true));
        heartbeat.turn();
        let first = heartbeat.turning();
        heartbeat.turn();
        let second = heartbeat.turning();
        assert!(first.is_some() && second.is_some() && first != second);
        heartbeat.sleep();
        assert_eq!(heartbeat.turning(), None);
        heartbeat.turn();
        assert!(heartbeat.turning().is_some() && heartbeat.turning() != second);
    }
}
