//! Blocks a worker, for the tests of what the relay does about a stuck one. Only code in the process can do it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where a worker is blocked.
#[derive(Debug, Default)]
pub(crate) struct WorkerHold(pub(crate) AtomicBool);

impl WorkerHold {
    /// Returns once the worker is released.
    pub(crate) fn wait(&self) {
        while !self.0.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    }
}

/// Releases the worker when dropped.
#[derive(Debug)]
pub struct Held(pub(crate) Arc<WorkerHold>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}
