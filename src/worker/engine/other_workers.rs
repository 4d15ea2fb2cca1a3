//! Sessions and datagrams between workers: where a session is to live, datagrams that reach another worker's socket, and what
//! the kernel is told so that they do not.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::state::Engine;
use crate::five_tuple::FiveTuple;
use crate::name::{Role, SessionId};
use crate::session::assignment::Load;
use crate::session::steering::DELAY;
use crate::stream::WorkerId;
use crate::worker::held::WorkerHold;
use crate::worker::message::Message;

impl Engine {
    /// The worker that a pending session is assigned to; `None` is the one where its first check arrives.
    pub(crate) fn home_of(&self, ufrag: &str) -> Option<WorkerId> {
        let shared = &self.shared;
        let (role, stream) = shared.pending_sessions.waiting(ufrag)?;
        let gathered = shared.config.gathered_publishers;
        match role {
            Role::Viewer => shared.registry.home(&stream, shared.config.small_stream),
            // Everything that the publisher sends would be handed over.
            Role::Publisher if gathered == 0 || !shared.assignment.steering.has_room() => None,
            Role::Publisher => {
                shared.registry.live(&stream).map(|live| live.worker).or_else(|| shared.assignment.with_room(gathered))
            }
        }
    }

    /// How busy this worker is, for assignments.
    pub(crate) fn load(&self) -> &Load {
        &self.shared.assignment.loads[usize::from(self.id.0)]
    }

    /// Hands a datagram to the worker that owns its session; later ones from the same path follow it.
    pub(crate) fn hand_over(
        &mut self,
        worker: WorkerId,
        path: FiveTuple,
        datagram: &[u8],
        received: Instant,
        now: Instant,
    ) {
        self.handed_over_paths.insert(path, worker, now);
        self.shared.metrics.handed_over.inc();
        self.mailbox.send_media(worker, Message::Datagram { path, datagram: datagram.to_vec(), received }, 1);
    }

    /// A datagram of one of this worker's sessions was handed over to it: the kernel is told to bring the next ones here.
    pub(crate) fn steer(&mut self, path: FiveTuple, now: Instant) {
        let Some(key) = self.demux.owner(&path) else { return };
        let Some(session) = self.sessions.session_mut(key).filter(|session| session.path == Some(path)) else { return };
        if session.steered.as_ref().is_some_and(|steered| steered.is_for(path.remote)) {
            return;
        }
        // The old entry goes first, because the list may be full.
        session.steered = None;
        session.steered = self.shared.assignment.steering.list(path.remote, self.id);
        if session.steered.is_some() {
            self.steers_at.get_or_insert(now + DELAY);
        }
    }

    /// True, once, when the kernel is to be told of changes.
    pub(crate) fn steers(&mut self, now: Instant) -> bool {
        self.steers_at.take_if(|due| *due <= now).is_some()
    }

    /// Keeps the worker busy, in the work for a session if one is named, until a test lets go.
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
