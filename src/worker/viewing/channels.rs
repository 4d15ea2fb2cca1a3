//! Data channels across a stream: what the publisher opens and says reaches every viewer that has a data channel
//! section; what viewers say reaches the publisher if the node allows it.

use std::time::{Duration, Instant};

use crate::peer::{ChannelMessage, Peer, Unsent};

/// How long a viewer has to open its own channels before the relay opens the missing ones. Both would work, but then a
/// page would see the same label twice.
pub(crate) const OWN_CHANNELS: Duration = Duration::from_millis(500);

/// Messages that wait for a viewer's channels to open; beyond that the oldest is lost.
const MAX_EARLY: usize = 64;

/// A viewer's channels until they are open.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// When the relay opens what the viewer has not; `None` once it has, or where the viewer has no data channels.
    pub(crate) open_at: Option<Instant>,
    early: Vec<(String, ChannelMessage)>,
}

impl Channels {
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

    /// Sends what waits for channels that are open now.
    pub(crate) fn send_early(&mut self, peer: &mut Peer, now: Instant) {
        self.early.retain(|(label, message)| peer.send_message(label, message, now) == Err(Unsent::NotOpen));
    }
}
