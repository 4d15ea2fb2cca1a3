//! What has come since the newest keyframe: the pictures that a viewer who joins now needs before it can decode the next
//! one. Counted as it arrives, so that too much of it is given up rather than kept.

use std::time::{Duration, Instant};

use crate::forward::{Packet, Source};

/// How much is kept since the newest keyframe. Beyond any of the limits it is given up until the next keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureLimits {
    /// Octets, with what it costs to keep them; 0 keeps nothing.
    pub octets: usize,
    /// Pictures.
    pub frames: u32,
    /// Age of the keyframe.
    pub age: Duration,
}

/// What a packet costs beside its payload: itself, its place in the ring and in the index.
const PACKET_OCTETS: usize = 192;

impl PictureLimits {
    /// Keeps no more than live viewers need.
    pub const NONE: Self = Self { octets: 0, frames: 0, age: Duration::ZERO };
}

impl Default for PictureLimits {
    /// 12 s of 10 Mbit/s, 60 frames a second for 20 s.
    fn default() -> Self {
        Self { octets: 16 << 20, frames: 1200, age: Duration::from_secs(20) }
    }
}

/// The pictures since the newest keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pictures {
    /// Position of the keyframe's first packet.
    pub position: u64,
    /// Octets of all payloads.
    pub octets: usize,
    /// Between the reception of the keyframe's first packet and that of the newest packet.
    pub span: Duration,
}

/// The running count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    pub(super) position: u64,
    source: Source,
    received: Instant,
    newest: Instant,
    octets: usize,
    packets: usize,
    frames: u32,
    timestamp: u32,
}

impl Since {
    /// The count that begins with a keyframe's first packet.
    pub(super) fn keyframe(position: u64, packet: &Packet) -> Self {
        Self {
            position,
            source: packet.source(),
            received: packet.received,
            newest: packet.received,
            octets: packet.payload.len(),
            packets: 1,
            frames: 1,
            timestamp: packet.timestamp,
        }
    }

    /// One more packet.
    pub(super) fn add(&mut self, packet: &Packet) {
        self.newest = self.newest.max(packet.received);
        self.octets += packet.payload.len();
        self.packets += 1;
        if packet.timestamp != self.timestamp {
            self.timestamp = packet.timestamp;
            self.frames = self.frames.saturating_add(1);
        }
    }

    /// True unless the packet is an older publisher's, or stands before this keyframe in the line: one that comes late.
    pub(super) fn is_before(&self, packet: &Packet) -> bool {
        let Source { epoch, layer, index } = packet.source();
        epoch > self.source.epoch
            || epoch == self.source.epoch && (layer != self.source.layer || index > self.source.index)
    }

    pub(super) fn is_within(&self, limits: &PictureLimits) -> bool {
        self.octets + self.packets * PACKET_OCTETS <= limits.octets
            && self.frames <= limits.frames
            && self.newest.saturating_duration_since(self.received) <= limits.age
    }

    pub(super) fn pictures(&self) -> Pictures {
        let span = self.newest.saturating_duration_since(self.received);
        Pictures { position: self.position, octets: self.octets, span }
    }
}
