//! Clients that fall silent and return.
//!
//! A UDP socket does not show that a client has gone. A viewer from which neither STUN nor RTCP has arrived on the path
//! of its media for [`SILENCE`] is paused: it is sent nothing, and its RTP streams use no sequence numbers. As soon as
//! it is heard again on the path of its media, its RTP streams go on by a splice: audio at the live end, video with a
//! frame at once. A publisher that has sent nothing for [`LOST`] is lost until it is heard again. After 30 s of silence
//! the demultiplexer ends the session.

use std::time::{Duration, Instant};

/// A viewer that has not been heard for this long is paused. The slowest clients send receiver reports each 6 s.
pub(crate) const SILENCE: Duration = Duration::from_secs(7);

/// A publisher that has not been heard for this long is lost. Browsers send a check each 2.5 s and a report each
/// second, other clients media all the time.
pub(crate) const LOST: Duration = Duration::from_secs(4);

/// Whether a client is heard.
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

    /// When [`Self::is_silent`] has something to check.
    pub(crate) fn look_at(self) -> Option<Instant> {
        match self {
            Self::Here { look_at } => Some(look_at),
            Self::Away { .. } => None,
        }
    }
}
