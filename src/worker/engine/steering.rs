//! Telling the kernel which worker a client's datagrams go to.

use super::state::Engine;
use crate::five_tuple::FiveTuple;
use crate::session::steering::DELAY;
use std::time::Instant;

impl Engine {
    /// A datagram of one of this worker's sessions has been handed over to it: the next ones are to come by themselves.
    pub(crate) fn steer(&mut self, path: FiveTuple, now: Instant) {
        let Some(key) = self.demux.owner(&path) else { return };
        let Some(session) = self.sessions.get_mut(key).filter(|session| session.path == Some(path)) else { return };
        if session.steered.as_ref().is_some_and(|steered| steered.is_for(path.remote)) {
            return;
        }
        // Struck out first, for the place may be the last.
        session.steered = None;
        session.steered = self.shared.assignment.steering.list(path.remote, self.id);
        if session.steered.is_some() {
            self.steers_at.get_or_insert(now + DELAY);
        }
    }

    /// True, once, when the kernel is to be told of what has changed.
    pub(crate) fn steers(&mut self, now: Instant) -> bool {
        self.steers_at.take_if(|due| *due <= now).is_some()
    }
}
