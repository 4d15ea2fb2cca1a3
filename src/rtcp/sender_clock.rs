//! A publisher's clocks: the wall clock and the media clock of one RTP stream at one instant.

use std::time::Instant;

/// What a clock was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    /// A sender report.
    Report,
    /// The arrival of a packet. Packets of one RTP stream may take longer than those of another.
    Arrival,
}

/// A sender's wall clock and media clock at one instant (RFC 3550 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderClock {
    /// NTP timestamp, 32.32 fixed point seconds.
    pub(crate) ntp: u64,
    /// RTP timestamp of the same instant, in ticks of the codec.
    pub(crate) rtp: u32,
    /// When the report or the packet arrived.
    pub(crate) received: Instant,
    /// What it was read from.
    pub(crate) basis: Basis,
}
