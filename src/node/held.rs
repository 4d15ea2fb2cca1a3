//! Holding a worker, for tests.

use super::handle::Handle;
use crate::name::SessionId;
use crate::worker::Held;
use crate::worker::message::Message;
use std::sync::Arc;

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
