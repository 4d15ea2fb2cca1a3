//! A worker that is stuck, for the tests of what the relay does about one: nothing outside the process can ask for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::Handle;
use super::engine::Engine;
use super::message::Message;
use crate::name::SessionId;

/// Where a worker stays.
#[derive(Debug, Default)]
pub(super) struct Hold(AtomicBool);

/// Lets the worker go when it is dropped.
#[derive(Debug)]
pub struct Held(Arc<Hold>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl Handle {
    /// Makes a worker spin, as a fault in the work for a session of its own would, or without one.
    #[doc(hidden)]
    pub fn hold_worker(&self, worker: usize, session: Option<SessionId>) -> Held {
        let hold = Arc::default();
        let held = Held(Arc::clone(&hold));
        // An inbox that is full already holds it as well as this.
        let _ = self.shared().workers[worker].push(Message::Hold { session, hold });
        held
    }
}

impl Engine {
    /// Goes round until it is let go.
    pub(super) fn hold(&mut self, session: Option<SessionId>, hold: &Hold, now: Instant) {
        let spin = |_: &mut Self| {
            while !hold.0.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        };
        match session.and_then(|session| self.sessions.key(&session)) {
            Some(key) => self.guard(key, now, spin),
            None => spin(self),
        }
    }
}
