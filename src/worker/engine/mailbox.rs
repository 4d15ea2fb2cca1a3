//! Messages to other workers, and the commands that wait for room.

use super::state::Engine;
use crate::demux::Key;
use crate::metrics::DropReason;
use crate::name::StreamName;
use crate::stream::{Full, WorkerId};
use crate::worker::mailbox::CAPACITY;
use crate::worker::message::Message;
use crate::worker::session::State;

impl Engine {
    /// Hands a message to a worker: `media` packets or messages of people, or 0 for a command. False when it is lost.
    pub(crate) fn push(&mut self, worker: WorkerId, message: Message, media: u64) -> bool {
        let refused = if self.waiting.commands.iter().any(|(to, _)| *to == worker) {
            message
        } else {
            match self.shared.workers[usize::from(worker.0)].push(message) {
                Ok(()) => return true,
                Err(Full(message)) => message,
            }
        };
        if media == 0 && self.waiting.commands.len() < CAPACITY {
            self.waiting.commands.push_back((worker, refused));
            return true;
        }
        self.counters.drops(DropReason::InboxFull, media.max(1));
        false
    }

    /// Hands what a publisher's viewers concerns to each worker that has some, with the stream's name and its epoch.
    pub(crate) fn tell_subscribers(&mut self, key: Key, media: u64, message: impl Fn(StreamName, u32) -> Message) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let State::Publishing(publisher) = &session.state else { return };
        let (stream, epoch) = (session.stream.clone(), publisher.epoch());
        for worker in publisher.subscribers.clone() {
            self.push(worker, message(stream.clone(), epoch), media);
        }
    }

    /// Tries again what waits.
    pub(crate) fn push_waiting(&mut self) {
        for (worker, command) in std::mem::take(&mut self.waiting.commands) {
            self.push(worker, command, 0);
        }
    }
}
