//! Changes the layer: the RTP stream goes on with the packets of another encoding, from a keyframe of that.
//!
//! Each layer has a history of its own, and an outbound track reads one at a time: from the switch on, that of the new
//! layer. Sequence numbers, PictureIDs and frame numbers go on as at every splice, and the timestamps stay on one clock
//! ([`Timeline`]). Where the new layer's keyframe belongs before the newest frame that the viewer was sent, timestamps
//! are compressed from there until they are where they belong, as in a replay.

use std::num::NonZeroU32;
use std::time::Instant;

use super::replay_clock::Replay;
use super::timeline::{Mapping, Timeline};
use super::track::{OutboundTrack, TrackState};
use crate::forward::history::{Get, History};
use crate::forward::layer_clocks::LayerClocks;
use crate::forward::packet::Packet;
use crate::forward::source::{Generation, LayerId};

/// By how much timestamps are compressed after a switch to a keyframe of the past.
const CATCH_UP_SPEED: NonZeroU32 = NonZeroU32::new(16).expect("it is not 0");

impl OutboundTrack {
    /// Goes on with another layer at the keyframe at this position of that layer's history, which has arrived just now.
    /// Select the layer's format before, and pull from its history after it. False, with nothing changed, if the
    /// viewer cannot begin there.
    pub(crate) fn switch(&mut self, history: &History, position: u64, clocks: &LayerClocks) -> bool {
        let Get::Packet(packet) = history.get(position) else { return false };
        if !packet.keyframe || self.state == TrackState::Paused || !self.can_begin(packet) {
            return false;
        }
        self.aim(packet.generation, packet.layer, clocks);
        self.state = TrackState::Waiting;
        self.seek(position);
        true
    }

    /// Goes on with another layer at its newest keyframe, which has passed, and catches up with live from there, not
    /// before the moment `from` and within a rate in octets per second, where there is one. False, with nothing
    /// changed, when the history has no keyframe that this viewer can decode, or the outbound track is paused.
    pub(crate) fn switch_with_replay(
        &mut self,
        history: &History,
        from: Instant,
        octets_per_second: Option<u64>,
        clocks: &LayerClocks,
    ) -> bool {
        let Some(frames) = history.cached_frames() else { return false };
        let Get::Packet(packet) = history.kept(frames.position) else { return false };
        let timeline = self.timeline_of(packet.generation, packet.layer, clocks);
        let begins = self.begin_replay(history, from, octets_per_second);
        if begins {
            self.timeline = timeline;
        }
        begins
    }

    /// Whether the packet that was read last ended its frame, so that a switch now cuts none.
    pub(crate) fn is_between_frames(&self, history: &History) -> bool {
        let last = self.cursor.checked_sub(1).map(|last| history.get(last));
        !matches!(last, Some(Get::Packet(packet)) if !packet.marker)
    }

    /// Sets where timestamps belong when the RTP stream goes on with this layer, in whatever way: call it before
    /// [`Self::restart`].
    pub(crate) fn aim(&mut self, generation: Generation, layer: LayerId, clocks: &LayerClocks) {
        self.timeline = self.timeline_of(generation, layer, clocks);
    }

    /// The timeline of a switch to this layer.
    fn timeline_of(&self, generation: Generation, layer: LayerId, clocks: &LayerClocks) -> Option<Box<Timeline>> {
        let source = self.splice.current_source();
        let live = source.zip(self.splice.timestamp_offset()).map(|(source, offset)| Mapping { source, offset });
        Timeline::of_switch(self.timeline.as_deref(), live, (generation, layer), clocks).map(Box::new)
    }

    /// The gap between the newest timestamp and that of this packet, at which a segment begins; `by_arrival` where no
    /// clock says better. A packet of another layer that belongs into the past begins a replay, whose timestamps are
    /// compressed.
    pub(super) fn gap_of_switch(&mut self, packet: &Packet, by_arrival: u32, clock_rate: u32) -> u32 {
        let newest = self.splice.newest_timestamp();
        let expected = newest.wrapping_add(by_arrival);
        let known = self.timeline.as_ref().and_then(|timeline| timeline.timestamp_of(packet, expected, clock_rate));
        let newest_received = self.newest_received.unwrap_or(packet.received);
        let gap = match known {
            Some(timestamp) => timestamp.wrapping_sub(newest) as i32,
            None if newest_received > packet.received && self.leaves_layer(packet) => 0,
            None => return by_arrival,
        };
        if gap <= 0 {
            let now = newest_received.max(packet.received);
            self.replay = Some(Box::new(Replay {
                speed: CATCH_UP_SPEED,
                rate: None,
                clock_rate,
                hurries: false,
                keyframe: self.cursor.saturating_sub(1),
                from: now,
                now,
                began: None,
                due: None,
            }));
        }
        gap.max(1) as u32
    }

    fn leaves_layer(&self, packet: &Packet) -> bool {
        self.splice.current_source().is_some_and(|(_, layer)| layer != packet.layer)
    }
}
