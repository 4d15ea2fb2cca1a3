//! What a worker says to others, and the commands among it that wait because an inbox was full.
//!
//! The rule: media and people's messages are lost there and counted, for they are worth nothing later; a command, such as
//! the end of a session, is tried again until there is room, and nothing that was pushed after it overtakes it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::message::Message;
use crate::stream::WorkerId;

/// Commands that wait for room; beyond that they are lost and counted too.
pub(crate) const CAPACITY: usize = 64 * 1024;

/// While commands wait, room is looked for this often.
const RETRY_INTERVAL: Duration = Duration::from_millis(2);

/// Commands that found an inbox full.
#[derive(Default)]
pub(crate) struct UnsentCommands {
    /// Oldest first.
    pub(crate) commands: VecDeque<(WorkerId, Message)>,
    retry_at: Option<Instant>,
}

impl UnsentCommands {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.commands.len()
    }

    /// Says at the end of a turn when they are to be tried again.
    pub(crate) fn schedule(&mut self, now: Instant) {
        self.retry_at = (!self.commands.is_empty()).then(|| now + RETRY_INTERVAL);
    }

    /// When they are to be tried again.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.retry_at
    }
}
