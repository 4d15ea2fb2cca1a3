//! What one worker sends to all workers, itself included, and the commands that wait because an inbox was full.
//!
//! The rule: media and data messages that find an inbox full are dropped and counted, because they are worthless later;
//! a command, such as the end of a session, is tried again until there is room, and nothing sent after it overtakes it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::message::Message;
use crate::stream::{InboxFull, Sender, WorkerId};

/// Commands that wait for room; further ones are lost and counted.
const CAPACITY: usize = 64 * 1024;

/// How often commands that wait are tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(2);

/// The way to all workers.
pub(crate) struct Mailbox {
    /// By worker number.
    inboxes: Vec<Sender<Message>>,
    /// Commands that found an inbox full, oldest first.
    unsent: VecDeque<(WorkerId, Message)>,
    retry_at: Option<Instant>,
    lost: u64,
}

impl Mailbox {
    /// A mailbox for the workers with these inboxes.
    pub(crate) fn new(inboxes: Vec<Sender<Message>>) -> Self {
        Self { inboxes, unsent: VecDeque::new(), retry_at: None, lost: 0 }
    }

    /// Sends a command, or keeps it until there is room. False if it is lost, because too many wait.
    pub(crate) fn send_command(&mut self, worker: WorkerId, command: Message) -> bool {
        let Err(InboxFull(command)) = self.send(worker, command) else { return true };
        let has_room = self.unsent.len() < CAPACITY;
        if has_room {
            self.unsent.push_back((worker, command));
        } else {
            self.lost += 1;
        }
        has_room
    }

    /// Sends a message that holds this number of packets, datagrams or data messages; they are lost if there is no
    /// room.
    pub(crate) fn send_media(&mut self, worker: WorkerId, message: Message, packets: u64) {
        if self.send(worker, message).is_err() {
            self.lost += packets;
        }
    }

    /// Sends the commands that wait, as far as there is room.
    pub(crate) fn retry_commands(&mut self) {
        for (worker, command) in std::mem::take(&mut self.unsent) {
            self.send_command(worker, command);
        }
    }

    /// How many packets, datagrams, data messages and commands have been lost since the last call.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// How many commands wait.
    pub(crate) fn len(&self) -> usize {
        self.unsent.len()
    }

    /// Sets, at the end of a turn, when [`Self::retry_commands`] is called next.
    pub(crate) fn schedule(&mut self, now: Instant) {
        self.retry_at = (!self.unsent.is_empty()).then(|| now + RETRY_INTERVAL);
    }

    /// When [`Self::retry_commands`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.retry_at
    }

    /// A message waits behind the commands to the same worker.
    fn send(&self, worker: WorkerId, message: Message) -> Result<(), InboxFull<Message>> {
        if self.unsent.iter().any(|(to, _)| *to == worker) {
            return Err(InboxFull(message));
        }
        self.inboxes[usize::from(worker.0)].push(message)
    }
}
