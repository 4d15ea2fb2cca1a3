//! What one viewer is sent of one track: an RTP stream of the relay's own (W3C `outbound-rtp`).

use std::time::{Duration, Instant};

use super::config::OutboundTrackConfig;
use super::frame_limit::{FrameLimit, Thinning};
use super::replay_clock::Replay;
use super::resends::Resends;
use super::routes::Routes;
use super::sent::Sent;
use super::timeline::{Mapping, Timeline};
use crate::forward::codec::{Format, Kind, PictureIds};
use crate::forward::header_extensions::ExtensionBlocks;
use crate::forward::packet::Packet;
use crate::forward::rtp_header::HEADER_LEN;
use crate::forward::source::{Generation, LayerId};
use crate::forward::splice::{Origin, Splice};

/// One packet in the buffer, ready to be sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Its SSRC: that of the RTP stream or of the RTX stream.
    pub(crate) ssrc: u32,
    /// Its packet index under that SSRC: rollover count and sequence number (RFC 3711 3.3.1).
    pub(crate) index: u64,
    /// Octets of the header, which is authenticated but not encrypted.
    pub(crate) header_len: usize,
    /// Octets of the whole packet.
    pub(crate) len: usize,
}

/// What an outbound track has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Packets written with the SSRC of the RTP stream: the packet count of its sender reports (RFC 3550 6.4.1).
    pub(crate) packets: u64,
    /// Payload octets of those: the octet count of its sender reports.
    pub(crate) octets: u64,
    /// Segments begun: 1 for the first, and 1 for each splice.
    pub(crate) segments: u64,
    /// Packets left out, with later ones renumbered: padding only, or a payload type that carries no media of the
    /// track.
    pub(crate) skipped: u64,
    /// Packets left out, with later ones renumbered, because their frames are above the limit: see
    /// [`OutboundTrack::limit_frames`].
    pub(crate) thinned: u64,
    /// Packets without a place: too late, or of a replaced publisher.
    pub(crate) late: u64,
    /// Packets dropped because they exceed the maximum size.
    pub(crate) oversized: u64,
    /// Keyframes skipped because the viewer has no payload type for their format.
    pub(crate) undecodable: u64,
    /// Times that the viewer fell behind the history.
    pub(crate) fell_behind: u64,
    /// Packets written again, by RTX or in-band.
    pub(crate) resent: u64,
    /// Resends refused: asked for too often, too soon, or over budget.
    pub(crate) refused: u64,
    /// Of those, the ones over budget.
    pub(crate) over_budget: u64,
    /// Video packets skipped on the way to the next keyframe, after the RTP stream has begun.
    pub(crate) passed_by: u64,
    /// NACKs for packets that the history does not have.
    pub(crate) not_found: u64,
    /// Packets asked for that no resend will bring any more.
    pub(crate) lost: u64,
}

impl Counts {
    /// How much was not sent, for one of the reasons that the worker counts: it only grows.
    #[inline]
    pub(crate) fn left_out(&self) -> u64 {
        self.oversized + self.late + self.fell_behind + self.undecodable + self.passed_by
    }
}

/// The state of an outbound track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrackState {
    /// Waits for a packet at which it can begin: for video a keyframe, for audio any.
    Waiting,
    /// Follows the publisher's RTP stream of the current segment.
    Live,
    /// Sends nothing and gives no number away until it is resumed.
    Paused,
}

/// What one viewer is sent of one track.
#[derive(Clone, Debug)]
pub struct OutboundTrack {
    pub(super) kind: Kind,
    pub(super) ssrc: u32,
    pub(super) rtx: Option<Rtx>,
    pub(super) max_size: usize,
    pub(super) state: TrackState,
    pub(super) splice: Splice,
    pub(super) sent: Sent,
    /// When the packet with the newest timestamp was received; gives the timestamp gap at the next splice.
    pub(super) newest_received: Option<Instant>,
    /// PictureID and TL0PICIDX of the newest frame, as they were sent.
    pub(super) newest_picture_ids: Option<PictureIds>,
    /// The position in the history at which it reads next.
    pub(super) cursor: u64,
    /// The position of the packet at which the segment begins. Packets before it are read only to fill holes.
    pub(super) begun: u64,
    /// The replay in progress. Boxed: most viewers are live.
    pub(super) replay: Option<Box<Replay>>,
    /// Where timestamps belong after a change of layer. Boxed: most viewers have one layer.
    pub(super) timeline: Option<Box<Timeline>>,
    /// The limit of frames. Boxed: most viewers get all frames.
    pub(super) thinning: Option<Box<Thinning>>,
    pub(super) routes: Routes,
    pub(super) resends: Resends,
    /// The header extensions of its packets. Boxed: some outbound tracks have none.
    pub(super) blocks: Option<Box<ExtensionBlocks>>,
    pub(super) counts: Counts,
}

/// What [`OutboundTrack::resend`] wrote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resend {
    /// The packet in the buffer.
    pub(crate) written: Written,
    /// Copies to write in addition, by [`OutboundTrack::copy`].
    pub(crate) copies: u8,
    pub(super) origin: Origin,
}

/// The RTX stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rtx {
    pub(super) ssrc: u32,
    pub(super) next_index: u64,
}

impl OutboundTrack {
    /// An outbound track that waits for its first packet.
    pub fn new(config: OutboundTrackConfig) -> Self {
        Self {
            kind: config.kind,
            ssrc: config.ssrc,
            rtx: config.rtx_ssrc.map(|ssrc| Rtx { ssrc, next_index: config.first.rtx_index }),
            max_size: config.max_size,
            state: TrackState::Waiting,
            splice: Splice::new(config.first.index, config.first.timestamp),
            sent: Sent::new(),
            newest_received: None,
            newest_picture_ids: None,
            cursor: 0,
            begun: 0,
            replay: None,
            timeline: None,
            thinning: None,
            routes: Routes::new(config.formats),
            resends: Resends::new(),
            blocks: ExtensionBlocks::new(config.extensions).map(Box::new),
            counts: Counts::default(),
        }
    }

    /// Sets the format that the publisher of this generation sends under one of its payload types. Returns the viewer's
    /// payload type for it, or `None` when the viewer cannot decode it.
    pub fn select(&mut self, generation: Generation, format: &Format, publisher_payload_type: u8) -> Option<u8> {
        self.routes.select(generation, format, publisher_payload_type)
    }

    /// Whether a payload type of this publisher has been routed to the viewer.
    pub(crate) fn takes(&self, generation: Generation, publisher_payload_type: u8) -> bool {
        self.routes.has(generation, publisher_payload_type)
    }

    /// Continues at this position of the history; the history's head is live.
    pub(crate) fn seek(&mut self, position: u64) {
        self.replay = None;
        self.cursor = position;
        self.begun = position;
    }

    /// Stops sending, without giving numbers away, until [`OutboundTrack::resume`].
    pub(crate) fn pause(&mut self) {
        self.state = TrackState::Paused;
        self.replay = None;
    }

    /// Continues after a pause, at the next packet at which it can begin.
    pub(crate) fn resume(&mut self) {
        if self.state == TrackState::Paused {
            self.state = TrackState::Waiting;
        }
    }

    /// The sequence number of the next packet, if it follows those that were sent.
    pub(crate) fn next_sequence(&self) -> u16 {
        self.splice.next_index() as u16
    }

    /// The SSRC of its retransmissions (RFC 4588), if there are any.
    pub(crate) fn rtx_ssrc(&self) -> Option<u32> {
        self.rtx.map(|rtx| rtx.ssrc)
    }

    /// Stops following the current RTP stream and begins again, spliced, at the next packet at which it can: for video
    /// a keyframe.
    pub(crate) fn restart(&mut self) {
        if self.state == TrackState::Live {
            self.state = TrackState::Waiting;
            self.replay = None;
        }
    }

    /// Sets which frames the viewer is sent at most. A stricter limit is in force from the next frame on, a looser one
    /// from where the decoder can take the additional frames. Frames above it leave no hole in the numbers.
    pub(crate) fn limit_frames(&mut self, limit: FrameLimit) {
        match &mut self.thinning {
            Some(thinning) => thinning.set(limit),
            None if limit < FrameLimit::ALL => self.thinning = Some(Box::new(Thinning::new(limit))),
            None => {}
        }
    }

    /// True while [`Self::limit_frames`] allows frames again after none, and they wait for a keyframe.
    pub(crate) fn lacks_keyframe(&self) -> bool {
        self.thinning.as_ref().is_some_and(|thinning| thinning.lacks_keyframe())
    }

    /// The limit of frames in force now.
    #[cfg(test)]
    pub(crate) fn frame_limit(&self) -> FrameLimit {
        self.thinning.as_ref().map_or(FrameLimit::ALL, |thinning| thinning.now())
    }

    /// Sets the viewer's round-trip time: a packet is not resent again within it. Pass the smallest recent one.
    pub(crate) fn set_rtt(&mut self, rtt: Duration) {
        self.resends.set_rtt(rtt);
    }

    /// True while the viewer needs a keyframe to see the newest publisher that it can decode.
    pub(crate) fn wants_keyframe(&self) -> bool {
        if self.kind == Kind::Audio || self.replay.is_some() {
            return false;
        }
        let (newest, current) = (self.routes.newest(), self.splice.current_source().map(|(generation, _)| generation));
        match self.state {
            TrackState::Waiting => {
                newest.is_some() && newest.map(Generation::publisher) >= current.map(Generation::publisher)
            }
            TrackState::Live => newest > current,
            TrackState::Paused => false,
        }
    }

    /// The state.
    pub(crate) fn state(&self) -> TrackState {
        self.state
    }

    /// The SSRC of the RTP stream.
    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// What it has done so far.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// A publisher's RTP timestamp converted to this viewer's RTP stream, for sender reports; `None` unless the track
    /// is live on that publisher and layer, or on the clock of that layer.
    pub(crate) fn map_timestamp(&self, generation: Generation, layer: LayerId, timestamp: u32) -> Option<u32> {
        let live = self.splice.timestamp_offset().filter(|_| self.state == TrackState::Live)?;
        if self.splice.current_source() == Some((generation, layer)) {
            return Some(timestamp.wrapping_add(live));
        }
        let anchor = self.anchor().filter(|anchor| anchor.source == (generation, layer))?;
        Some(timestamp.wrapping_add(anchor.offset))
    }

    /// The layer whose clock its timestamps follow, whichever layer is sent; `None` before the layer has changed.
    pub(crate) fn clock_layer(&self) -> Option<(Generation, LayerId)> {
        self.anchor().map(|anchor| anchor.source)
    }

    fn anchor(&self) -> Option<Mapping> {
        self.timeline.as_ref().and_then(|timeline| timeline.anchor())
    }

    pub(super) fn follows(&self, packet: &Packet) -> bool {
        self.splice.current_source() == Some((packet.generation, packet.layer))
    }

    /// True if the RTP stream may go on with this packet's source: a publisher that has left does not come back.
    /// Generations of two layers tell their publisher only.
    pub(super) fn may_follow(&self, packet: &Packet) -> bool {
        self.splice.current_source().is_none_or(|(generation, layer)| {
            let is_other_layer = packet.layer != layer && packet.generation.publisher() == generation.publisher();
            packet.generation >= generation || is_other_layer
        })
    }

    /// Whether a segment can begin at this packet, if it is of a keyframe.
    pub(super) fn can_begin(&self, packet: &Packet) -> bool {
        let fits = HEADER_LEN + packet.own_payload().len() <= self.max_size && !packet.own_payload().is_empty();
        fits && self.routes.of(packet).is_some() && self.may_follow(packet)
    }

    pub(super) fn count(&mut self, written: Written) {
        self.counts.packets += 1;
        self.counts.octets += (written.len - written.header_len) as u64;
    }
}
