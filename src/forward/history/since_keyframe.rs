//! What has come since the newest keyframe: the pictures that a viewer who joins now needs before it can decode the next
//! one. Counted as it arrives, so that too much of it is given up rather than kept.

use std::time::{Duration, Instant};

use crate::forward::packet::Packet;
use crate::forward::source::Source;

/// How much is kept since the newest keyframe. Beyond any of the limits it is given up until the next keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureLimits {
    /// Octets, with what it costs to keep them; 0 keeps nothing.
    pub octets: usize,
    /// Pictures, if there are more than `FEW_FRAMES`.
    pub frames: u32,
    /// Age of the keyframe, where there is more than `FEW_OCTETS` and `FEW_FRAMES`.
    pub age: Duration,
}

/// What costs so little is kept until a newer keyframe comes: of a screen that stands still there is nothing else to see.
const FEW_OCTETS: usize = 1 << 20;
const FEW_FRAMES: u32 = 100;

/// Further apart, RTP timestamps do not tell which came first.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

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
    /// How many there are, if they are few: each is shown for a moment then, however long it stood.
    pub few: Option<u32>,
}

/// The running count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since {
    pub(crate) position: u64,
    source: Source,
    received: Instant,
    ends: Ends,
    newest: Instant,
    octets: usize,
    packets: usize,
    frames: u32,
    timestamp: u32,
    /// It made room for others.
    given_up: bool,
}

/// Until when the pictures live. Kept, because each packet is compared with it, which costs less than an age.
#[derive(Clone, Copy, Debug)]
struct Ends {
    /// Where they are few.
    few: Instant,
    many: Instant,
}

impl Since {
    /// The count that begins with a keyframe's first packet.
    pub(crate) fn keyframe(position: u64, packet: &Packet, limits: &PictureLimits) -> Self {
        Self {
            position,
            source: packet.source(),
            received: packet.received,
            ends: Ends { few: packet.received + LONGEST, many: packet.received + limits.age },
            newest: packet.received,
            octets: packet.payload.len(),
            packets: 1,
            frames: 1,
            timestamp: packet.timestamp,
            given_up: false,
        }
    }

    /// One more packet.
    pub(crate) fn add(&mut self, packet: &Packet) {
        self.newest = self.newest.max(packet.received);
        self.octets += packet.payload.len();
        self.packets += 1;
        if packet.timestamp != self.timestamp {
            self.timestamp = packet.timestamp;
            self.frames = self.frames.saturating_add(1);
        }
    }

    /// True unless the packet is an older publisher's, or stands before this keyframe in the line: one that comes late.
    pub(crate) fn is_before(&self, packet: &Packet) -> bool {
        let Source { epoch, layer, index } = packet.source();
        epoch > self.source.epoch
            || epoch == self.source.epoch && (layer != self.source.layer || index > self.source.index)
    }

    pub(crate) fn is_within(&self, limits: &PictureLimits) -> bool {
        self.is_within_at(self.newest, limits)
    }

    /// The same when nothing came since the newest packet.
    pub(crate) fn is_within_at(&self, now: Instant, limits: &PictureLimits) -> bool {
        let lives =
            if self.are_few() { now <= self.ends.few } else { self.frames <= limits.frames && now <= self.ends.many };
        lives && self.cost() <= limits.octets && !self.given_up
    }

    /// Octets that it takes.
    pub(crate) fn cost(&self) -> usize {
        self.octets + self.packets * PACKET_OCTETS
    }

    /// Lets it make room for others, until the next keyframe.
    pub(crate) fn give_up(&mut self) {
        self.given_up = true;
    }

    /// When the keyframe came.
    pub(crate) fn received(&self) -> Instant {
        self.received
    }

    fn are_few(&self) -> bool {
        self.cost() <= FEW_OCTETS && self.frames <= FEW_FRAMES
    }

    pub(crate) fn pictures(&self) -> Pictures {
        let span = self.newest.saturating_duration_since(self.received);
        let few = self.are_few().then_some(self.frames);
        Pictures { position: self.position, octets: self.octets, span, few }
    }
}
