//! Viewers that go away and come back.
//!
//! A UDP socket never tells that nobody is there, so a viewer that has not been heard for [`SILENCE`], by STUN or RTCP, is
//! paused: it gets nothing, and its lines stand still, no number given away. As soon as it is heard again where its media
//! goes, its lines go on by a splice, with sound at what is live and with a picture at once. A silence of 30 s ends the
//! session, which is the demultiplexer's to say.

use std::time::{Duration, Instant};

/// A viewer is paused that has not been heard for so long. The slowest clients send receiver reports each 6 s.
pub(crate) const SILENCE: Duration = Duration::from_secs(7);

/// A publisher is lost that has not been heard for this long. Browsers send a check each 2.5 s and a report each second,
/// other clients media all the time.
pub(crate) const LOST: Duration = Duration::from_secs(4);

/// Whether a client is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Presence {
    /// It was heard lately.
    Here {
        /// When it may have been silent for too long.
        look_at: Instant,
    },
    /// It is not heard.
    Away {
        /// When that was noticed.
        since: Instant,
    },
}

impl Presence {
    /// A client that was heard at that moment, and may be silent for `silence`.
    pub(crate) fn new(heard: Instant, silence: Duration) -> Self {
        Self::Here { look_at: heard + silence }
    }

    /// True if it is time to look, and the client, last heard at `heard`, has been silent for too long.
    pub(crate) fn is_silent(&mut self, heard: Option<Instant>, silence: Duration, now: Instant) -> bool {
        if self.look_at().is_none_or(|look_at| look_at > now) {
            return false;
        }
        let heard = heard.filter(|heard| *heard + silence > now);
        if let Some(heard) = heard {
            *self = Self::new(heard, silence);
        }
        heard.is_none()
    }

    #[inline]
    pub(crate) fn is_away(self) -> bool {
        matches!(self, Self::Away { .. })
    }

    /// When it is to be looked after.
    pub(crate) fn look_at(self) -> Option<Instant> {
        match self {
            Self::Here { look_at } => Some(look_at),
            Self::Away { .. } => None,
        }
    }
}
