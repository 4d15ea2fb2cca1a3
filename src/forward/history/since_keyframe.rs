//! The frames since the newest keyframe: a viewer that joins needs them to decode the next frame. Counted as they
//! arrive, so that the cache is given up when it grows too large.

use std::time::{Duration, Instant};

use crate::forward::packet::Packet;
use crate::forward::source::Source;

/// How much is kept since the newest keyframe. Beyond any of the limits, nothing is kept until the next keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Octets, with overhead; 0 keeps nothing.
    pub octets: usize,
    /// Frames; applies to more than `STILL_FRAMES`.
    pub frames: u32,
    /// Age of the keyframe; applies to more than `STILL_OCTETS` or `STILL_FRAMES`.
    pub age: Duration,
}

/// A cache within both limits is kept until a newer keyframe arrives, whatever its age: a still screen sends little
/// else.
const STILL_OCTETS: usize = 1 << 20;
const STILL_FRAMES: u32 = 100;

/// Two RTP timestamps that are further apart do not tell which is later.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// Overhead of a packet besides its payload: the struct (160 as it is allocated), its place in the ring (8 to 16) and
/// in the table of its RTP stream (16 to 32).
const PACKET_OCTETS: usize = 192;

impl CacheLimits {
    /// Keeps no more than live viewers need.
    pub const NONE: Self = Self { octets: 0, frames: 0, age: Duration::ZERO };
}

impl Default for CacheLimits {
    /// 12 s of 10 Mbit/s, 60 frames a second for 20 s.
    fn default() -> Self {
        Self { octets: 16 << 20, frames: 1200, age: Duration::from_secs(20) }
    }
}

/// The frames since the newest keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CachedFrames {
    /// Position of the keyframe's first packet.
    pub(crate) position: u64,
    /// Octets of all payloads.
    pub(crate) octets: usize,
    /// Time between the reception of the keyframe's first packet and that of the newest packet.
    pub(crate) span: Duration,
    /// Number of frames, if it is small: a still screen. A replay then shows each frame only briefly.
    pub(crate) still_frames: Option<u32>,
}

/// What is counted while packets arrive.
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
    /// Given up, to make room for other streams.
    given_up: bool,
}

/// Until when the frames are kept. Stored, because comparing each packet with a moment costs less than computing an
/// age.
#[derive(Clone, Copy, Debug)]
struct Ends {
    /// While the frames are few.
    still: Instant,
    moving: Instant,
}

impl Since {
    /// Begins to count at the first packet of a keyframe.
    pub(crate) fn keyframe(position: u64, packet: &Packet, limits: &CacheLimits) -> Self {
        Self {
            position,
            source: packet.source(),
            received: packet.received,
            ends: Ends { still: packet.received + LONGEST, moving: packet.received + limits.age },
            newest: packet.received,
            octets: packet.payload.len(),
            packets: 1,
            frames: 1,
            timestamp: packet.timestamp,
            given_up: false,
        }
    }

    /// Counts one more packet.
    pub(crate) fn add(&mut self, packet: &Packet) {
        self.newest = self.newest.max(packet.received);
        self.octets += packet.payload.len();
        self.packets += 1;
        if packet.timestamp != self.timestamp {
            self.timestamp = packet.timestamp;
            self.frames = self.frames.saturating_add(1);
        }
    }

    /// False for a packet of an older publisher, or one from before this keyframe that arrives late.
    pub(crate) fn is_before(&self, packet: &Packet) -> bool {
        let Source { generation, layer, index } = packet.source();
        generation > self.source.generation
            || generation == self.source.generation && (layer != self.source.layer || index > self.source.index)
    }

    pub(crate) fn is_within(&self, limits: &CacheLimits) -> bool {
        self.is_within_at(self.newest, limits)
    }

    /// The same when no packet has arrived since the newest one.
    pub(crate) fn is_within_at(&self, now: Instant, limits: &CacheLimits) -> bool {
        let lives = if self.is_still() {
            now <= self.ends.still
        } else {
            self.frames <= limits.frames && now <= self.ends.moving
        };
        lives && self.cost() <= limits.octets && !self.given_up
    }

    /// Octets needed, with overhead.
    pub(crate) fn cost(&self) -> usize {
        self.octets + self.packets * PACKET_OCTETS
    }

    /// Gives the cache up until the next keyframe.
    pub(crate) fn give_up(&mut self) {
        self.given_up = true;
    }

    /// When the keyframe arrived.
    pub(crate) fn received(&self) -> Instant {
        self.received
    }

    fn is_still(&self) -> bool {
        self.cost() <= STILL_OCTETS && self.frames <= STILL_FRAMES
    }

    pub(crate) fn cached_frames(&self) -> CachedFrames {
        let span = self.newest.saturating_duration_since(self.received);
        let still_frames = self.is_still().then_some(self.frames);
        CachedFrames { position: self.position, octets: self.octets, span, still_frames }
    }
}
