//! Datagrams that reach another worker's socket: they are handed over, and the kernel gets a list of clients by which
//! it delivers later ones to the right socket.

use std::time::Instant;

use super::state::Engine;
use crate::five_tuple::FiveTuple;
use crate::name::SessionId;
use crate::session::assignment::Load;
use crate::session::steering::DELAY;
use crate::stream::WorkerId;
use crate::worker::held::WorkerHold;
use crate::worker::message::Message;

impl Engine {
    /// The load of this worker, for assignments.
    pub(crate) fn load(&self) -> &Load {
        &self.shared.assignment.loads[usize::from(self.id.0)]
    }

    /// Hands a datagram, or its TCP connection, to the worker that owns its session; later ones of the path follow.
    pub(crate) fn hand_over(
        &mut self,
        worker: WorkerId,
        path: FiveTuple,
        datagram: &[u8],
        received: Instant,
        now: Instant,
    ) {
        if self.handed_over_paths.insert(path, worker, now) {
            self.shared.metrics.handed_over.inc();
            self.mailbox.send_media(worker, Message::Datagram { path, datagram: datagram.to_vec(), received }, 1);
        }
    }

    /// A datagram of one of this worker's sessions was handed over to it: lists the client, so that the kernel delivers
    /// the next ones here.
    pub(crate) fn steer(&mut self, path: FiveTuple, now: Instant) {
        let session = self.demux.owner(&path).and_then(|key| self.sessions.session_mut(key));
        if session.is_some_and(|session| session.steer(path, self.id, &self.shared.assignment.steering)) {
            self.steers_at.get_or_insert(now + DELAY);
        }
    }

    /// True, once, when the kernel must get a new list of clients.
    pub(crate) fn steers(&mut self, now: Instant) -> bool {
        self.steers_at.take_if(|due| *due <= now).is_some()
    }

    /// Keeps the worker busy, in the work for a session if one is named, until a test lets go.
    pub(crate) fn hold(&mut self, session: Option<SessionId>, hold: &WorkerHold, now: Instant) {
        match session.and_then(|session| self.sessions.key(&session)) {
            Some(key) => self.guard(key, now, |_| hold.wait()),
            None => hold.wait(),
        }
    }
}
