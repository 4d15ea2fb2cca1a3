//! Which worker a session is assigned to.

use super::state::Engine;
use crate::name::Role;
use crate::session::assignment::Load;
use crate::stream::WorkerId;
use std::sync::atomic::Ordering;

impl Engine {
    /// The worker where the session that waits under this name is to live; `None` is the one where it has arrived.
    pub(crate) fn home_of(&self, ufrag: &str) -> Option<WorkerId> {
        let shared = &self.shared;
        let (role, stream) = shared.pending_sessions.waiting(ufrag)?;
        let gathered = shared.config.gathered_publishers;
        match role {
            Role::Viewer => shared.registry.home(&stream, shared.config.small_stream),
            // All that a publisher sends would be handed over.
            Role::Publisher if gathered == 0 || !shared.assignment.steering.has_room() => None,
            Role::Publisher => {
                shared.registry.live(&stream).map(|live| live.worker).or_else(|| shared.assignment.with_room(gathered))
            }
        }
    }

    /// A publisher lives here from now on.
    pub(crate) fn takes_publisher(&self) {
        self.load().publishers.fetch_add(1, Ordering::Relaxed);
    }

    /// A publisher does so no more.
    pub(crate) fn gives_publisher_up(&self) {
        self.load().publishers.fetch_sub(1, Ordering::Relaxed);
    }

    /// What this worker has to do.
    pub(crate) fn load(&self) -> &Load {
        &self.shared.assignment.loads[usize::from(self.id.0)]
    }
}
