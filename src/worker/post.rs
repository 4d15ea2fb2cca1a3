//! What a worker says to others, and the commands among it that wait because an inbox was full.
//!
//! The rule: media and people's messages are lost there and counted, for they are worth nothing later; a command, such as
//! the end of a session, is tried again until there is room, and nothing that was pushed after it overtakes it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::message::Message;
use super::session::State;
use crate::demux::Key;
use crate::metrics::DropReason;
use crate::name::StreamName;
use crate::stream::{Full, WorkerId};

/// Commands that wait for room; beyond that they are lost and counted too.
const CAPACITY: usize = 64 * 1024;

/// While commands wait, room is looked for this often.
const RETRY_INTERVAL: Duration = Duration::from_millis(2);

/// Commands that found an inbox full.
#[derive(Default)]
pub(super) struct Waiting {
    /// Oldest first.
    commands: VecDeque<(WorkerId, Message)>,
    retry_at: Option<Instant>,
}

impl Waiting {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// Says at the end of a turn when they are to be tried again.
    pub(super) fn schedule(&mut self, now: Instant) {
        self.retry_at = (!self.commands.is_empty()).then(|| now + RETRY_INTERVAL);
    }

    /// When they are to be tried again.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.retry_at
    }
}

impl Engine {
    /// Hands a message to a worker: `media` packets or messages of people, or 0 for a command. False when it is lost.
    pub(super) fn push(&mut self, worker: WorkerId, message: Message, media: u64) -> bool {
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
    pub(super) fn tell_subscribers(&mut self, key: Key, media: u64, message: impl Fn(StreamName, u32) -> Message) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let State::Publishing(publisher) = &session.state else { return };
        let (stream, epoch) = (session.stream.clone(), publisher.epoch());
        for worker in publisher.subscribers.clone() {
            self.push(worker, message(stream.clone(), epoch), media);
        }
    }

    /// Tries again what waits.
    pub(super) fn push_waiting(&mut self) {
        for (worker, command) in std::mem::take(&mut self.waiting.commands) {
            self.push(worker, command, 0);
        }
    }
}
