//! Where the timestamps of a viewer's RTP stream belong when its layer changes: on one clock for all layers of a
//! publisher, so that video stays in step with audio however often the layer changes.
//!
//! The clock is anchored in a segment that the viewer has been sent, and every later segment is placed by the
//! difference between its layer's timestamps and those of the anchor ([`LayerClocks`]). A segment that cannot begin
//! where it belongs catches up with that, so its error does not carry over to the next one.

use crate::forward::layer_clocks::LayerClocks;
use crate::forward::packet::Packet;
use crate::forward::source::{Generation, LayerId};

/// A timestamp further from where arrivals suggest than this number of seconds is that of a wrong clock.
const LONGEST_ERROR: u32 = 2;

/// The clock of a viewer's RTP stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeline {
    anchor: Mapping,
    /// The layer that the viewer gets now, if its clock is known.
    current: Option<Mapping>,
}

/// How timestamps of a publisher's RTP stream map to the viewer's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mapping {
    pub(super) source: (Generation, LayerId),
    /// Added to its timestamps.
    pub(super) offset: u32,
}

impl Timeline {
    /// For a viewer that is sent packets of `live` now, and goes on with those of another RTP stream of the same
    /// publisher. `before` is the timeline until then.
    pub(super) fn of_switch(
        before: Option<&Self>,
        live: Option<Mapping>,
        to: (Generation, LayerId),
        clocks: &LayerClocks,
    ) -> Option<Self> {
        let is_own = |anchor: &Mapping| anchor.source.0.publisher() == to.0.publisher();
        let mapped = |anchor: Mapping| {
            let difference = clocks.difference(to, anchor.source)?;
            Some(Self { anchor, current: Some(Mapping { source: to, offset: difference.wrapping_add(anchor.offset) }) })
        };
        let anchored = before.map(|before| before.anchor).filter(is_own);
        let live = live.filter(is_own);
        let known = anchored.and_then(mapped).or_else(|| live.and_then(mapped));
        known.or_else(|| Some(Self { anchor: anchored.or(live)?, current: None }))
    }

    /// The RTP stream that the clock is anchored in, and what must be added to its timestamps, while the layer that
    /// the viewer is sent is on that clock.
    pub(super) fn anchor(&self) -> Option<Mapping> {
        self.current.map(|_| self.anchor)
    }

    /// The timestamp in the viewer's RTP stream at which a packet belongs; `None` where that is unknown, or far from
    /// the one that arrivals suggest.
    pub(super) fn timestamp_of(&self, packet: &Packet, by_arrival: u32, clock_rate: u32) -> Option<u32> {
        let current = self.current.filter(|current| current.source == (packet.generation, packet.layer))?;
        let timestamp = packet.timestamp.wrapping_add(current.offset);
        let error = (timestamp.wrapping_sub(by_arrival) as i32).unsigned_abs();
        (error <= LONGEST_ERROR * clock_rate).then_some(timestamp)
    }
}
