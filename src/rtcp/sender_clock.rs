//! The clocks in a sender report.

use std::time::Instant;

/// A sender's wall clock and media clock at one instant, from its latest sender report (RFC 3550 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderClock {
    /// NTP timestamp, 32.32 fixed point seconds.
    pub(crate) ntp: u64,
    /// RTP timestamp of the same instant, in ticks of the codec.
    pub(crate) rtp: u32,
    /// When the report arrived.
    pub(crate) received: Instant,
}
