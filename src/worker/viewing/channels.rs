//! A viewer's data channels: which the relay opens, and the messages that wait until they are open.

use std::time::{Duration, Instant};

use crate::peer::{ChannelMessage, Peer, Unsent};

/// How long a viewer has to open its own channels before the relay opens the missing ones. If both opened them, a
/// page would see each label twice.
pub(crate) const OWN_CHANNELS: Duration = Duration::from_millis(500);

/// Messages that wait for a viewer's channels to open; when full, the oldest is dropped.
const MAX_EARLY: usize = 64;

/// A viewer's channels until they are open.
#[derive(Debug, Default)]
pub(crate) struct ViewerChannels {
    /// When the relay opens the channels that the viewer has not opened; `None` once it has done so, or if the viewer
    /// has no data channel section.
    pub(crate) open_at: Option<Instant>,
    early: Vec<(String, ChannelMessage)>,
}

impl ViewerChannels {
    /// The channels of a viewer that has just connected.
    pub(crate) fn new(application: bool, now: Instant) -> Self {
        Self { open_at: application.then(|| now + OWN_CHANNELS), early: Vec::new() }
    }

    /// Sends a message, or keeps it while the viewer's channels are not open yet. False when a message was lost.
    pub(crate) fn send(&mut self, label: &str, message: &ChannelMessage, peer: &mut Peer, now: Instant) -> bool {
        match peer.send_message(label, message, now) {
            Ok(()) => true,
            Err(Unsent::Full) => false,
            Err(Unsent::NotOpen) => {
                self.early.push((label.to_owned(), message.clone()));
                let lost = self.early.len() > MAX_EARLY;
                if lost {
                    self.early.remove(0);
                }
                !lost
            }
        }
    }

    /// Sends the messages that waited for channels that are open now.
    pub(crate) fn send_early(&mut self, peer: &mut Peer, now: Instant) {
        self.early.retain(|(label, message)| peer.send_message(label, message, now) == Err(Unsent::NotOpen));
    }
}
