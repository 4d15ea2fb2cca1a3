//! A worker that a test holds.

use super::state::Engine;
use crate::name::SessionId;
use crate::worker::held::WorkerHold;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Engine {
    /// Goes round until it is let go.
    pub(crate) fn hold(&mut self, session: Option<SessionId>, hold: &WorkerHold, now: Instant) {
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
