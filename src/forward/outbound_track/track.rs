//! What one viewer is sent of one track: an RTP stream of the relay's own (W3C `outbound-rtp`).

use std::time::{Duration, Instant};

use super::config::OutboundTrackConfig;
use super::replay_clock::Replay;
use super::resends::Resends;
use super::routes::Routes;
use super::sent::Sent;
use crate::forward::codec::{Format, Kind, PictureNumbers};
use crate::forward::header_extensions::ExtensionBlocks;
use crate::forward::packet::Packet;
use crate::forward::source::{Epoch, LayerId};
use crate::forward::splice::{Origin, Splice};

/// One packet in the buffer, ready to be sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Its SSRC: the line's or the resends'.
    pub ssrc: u32,
    /// Its number in the line of that SSRC: rollover count and sequence number (RFC 3711 3.3.1).
    pub index: u64,
    /// Octets of the header, which are authenticated and not encrypted.
    pub header_len: usize,
    /// Octets of the whole packet.
    pub len: usize,
}

/// What an outbound track has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets written on the line's SSRC: the sender's packet count of its reports (RFC 3550 6.4.1).
    pub packets: u64,
    /// Payload octets of those: the sender's octet count.
    pub octets: u64,
    /// Segments begun: 1 for the first, 1 for each splice.
    pub segments: u64,
    /// Packets left out and the line renumbered: padding only, or a payload type that is not the medium's.
    pub skipped: u64,
    /// Packets without a place: too late, or of a publisher that was replaced.
    pub late: u64,
    /// Packets dropped because they are larger than the viewer's largest.
    pub oversized: u64,
    /// Keyframes passed by because the viewer has no payload type for their format.
    pub undecodable: u64,
    /// Times that the viewer fell behind the history.
    pub fell_behind: u64,
    /// Packets written again, by RTX or in-band.
    pub resent: u64,
    /// Resends refused: asked for too often, too soon, or over budget.
    pub refused: u64,
    /// Of those, the ones over budget.
    pub over_budget: u64,
    /// Packets of pictures passed by on the way to the next keyframe, once the line has begun.
    pub passed_by: u64,
    /// Resends of what the history does not have.
    pub not_found: u64,
    /// Packets asked for that no resend will bring any more.
    pub lost: u64,
}

/// Where a viewer's leg stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackState {
    /// For the packet at which it can begin: pictures for a keyframe, sound for any.
    Waiting,
    /// On the publisher's line that the current segment follows.
    Live,
    /// Nothing is sent and no number given away until it is resumed.
    Paused,
}

/// One viewer's leg of one track.
#[derive(Clone, Debug)]
pub struct OutboundTrack {
    pub(super) kind: Kind,
    pub(super) ssrc: u32,
    pub(super) rtx: Option<Rtx>,
    pub(super) max_size: usize,
    pub(super) leg: TrackState,
    pub(super) splice: Splice,
    pub(super) sent: Sent,
    /// When the newest timestamp of the line was received, for the gap at the next splice.
    pub(super) newest_received: Option<Instant>,
    /// The running numbers of the newest picture, as they were sent.
    pub(super) newest_numbers: Option<PictureNumbers>,
    /// The position in the history from which it reads on.
    pub(super) cursor: u64,
    /// The position of the packet at which the segment begins. What stands before it is drawn only to fill in.
    pub(super) begun: u64,
    /// On the way from a keyframe that has been to what is live. Boxed: most viewers are live.
    pub(super) replay: Option<Box<Replay>>,
    pub(super) routes: Routes,
    pub(super) resends: Resends,
    /// What its packets carry besides. Boxed: some outbound tracks carry nothing.
    pub(super) blocks: Option<Box<ExtensionBlocks>>,
    pub(super) counts: Counts,
}

/// What [`OutboundTrack::resend`] wrote.
#[derive(Clone, Copy, Debug)]
pub struct Resend {
    /// The packet in the buffer.
    pub written: Written,
    /// Copies to be written besides by [`OutboundTrack::copy`].
    pub copies: u8,
    pub(super) origin: Origin,
}

/// The line of the resends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rtx {
    pub(super) ssrc: u32,
    pub(super) next_index: u64,
}

impl OutboundTrack {
    /// An outbound track that waits for its track.
    pub fn new(config: OutboundTrackConfig) -> Self {
        Self {
            kind: config.kind,
            ssrc: config.ssrc,
            rtx: config.rtx_ssrc.map(|ssrc| Rtx { ssrc, next_index: config.first.rtx_index }),
            max_size: config.max_size,
            leg: TrackState::Waiting,
            splice: Splice::new(config.first.index, config.first.timestamp),
            sent: Sent::new(),
            newest_received: None,
            newest_numbers: None,
            cursor: 0,
            begun: 0,
            replay: None,
            routes: Routes::new(config.formats),
            resends: Resends::new(),
            blocks: ExtensionBlocks::new(config.extensions).map(Box::new),
            counts: Counts::default(),
        }
    }

    /// Tells which format the publisher of this epoch sends under one of its payload types. Returns the viewer's payload
    /// type for it, or `None` when the viewer cannot decode it.
    pub fn select(&mut self, epoch: Epoch, format: &Format, publisher_payload_type: u8) -> Option<u8> {
        self.routes.select(epoch, format, publisher_payload_type)
    }

    /// Whether what the publisher of this epoch sends under one of its payload types has been routed to the viewer.
    pub fn takes(&self, epoch: Epoch, publisher_payload_type: u8) -> bool {
        self.routes.has(epoch, publisher_payload_type)
    }

    /// Reads on from this position of the history it is given: [`History::head`] is live.
    pub fn seek(&mut self, position: u64) {
        self.replay = None;
        self.cursor = position;
        self.begun = position;
    }

    /// Stops sending without giving numbers away, until [`OutboundTrack::resume`].
    pub fn pause(&mut self) {
        self.leg = TrackState::Paused;
        self.replay = None;
    }

    /// Goes on after a pause, at the next packet with which it can begin.
    pub fn resume(&mut self) {
        if self.leg == TrackState::Paused {
            self.leg = TrackState::Waiting;
        }
    }

    /// Leaves the line and begins again, spliced, at the next packet with which it can: pictures at a keyframe.
    pub fn restart(&mut self) {
        if self.leg == TrackState::Live {
            self.leg = TrackState::Waiting;
            self.replay = None;
        }
    }

    /// The viewer's round-trip time: a packet is not resent again within it. Give the smallest recent one.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.resends.set_rtt(rtt);
    }

    /// True while only a keyframe lets this viewer see the newest publisher that it can decode.
    pub fn wants_keyframe(&self) -> bool {
        if self.kind == Kind::Audio || self.replay.is_some() {
            return false;
        }
        let current = self.splice.line().map(|(epoch, _)| epoch);
        match self.leg {
            TrackState::Waiting => self.routes.newest() >= current && self.routes.newest().is_some(),
            TrackState::Live => self.routes.newest() > current,
            TrackState::Paused => false,
        }
    }

    /// Where the leg stands.
    pub fn leg(&self) -> TrackState {
        self.leg
    }

    /// The SSRC of the line.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// What it has done so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// A publisher's RTP timestamp on this viewer's line, for sender reports; `None` unless the leg is live on that
    /// publisher and layer.
    pub fn map_timestamp(&self, epoch: Epoch, layer: LayerId, timestamp: u32) -> Option<u32> {
        let live = self.leg == TrackState::Live && self.splice.line() == Some((epoch, layer));
        live.then(|| self.splice.map_timestamp(timestamp)).flatten()
    }

    pub(super) fn follows(&self, packet: &Packet) -> bool {
        self.splice.line() == Some((packet.epoch, packet.layer))
    }

    pub(super) fn count(&mut self, written: Written) {
        self.counts.packets += 1;
        self.counts.octets += (written.len - written.header_len) as u64;
    }
}
