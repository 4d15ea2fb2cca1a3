//! A worker that is stuck, for the tests of what the relay does about one: nothing outside the process can ask for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where a worker stays.
#[derive(Debug, Default)]
pub(crate) struct WorkerHold(pub(crate) AtomicBool);

impl WorkerHold {
    /// Returns once the worker is let go.
    pub(crate) fn wait(&self) {
        while !self.0.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    }
}

/// Lets the worker go when it is dropped.
#[derive(Debug)]
pub struct Held(pub(crate) Arc<WorkerHold>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}
