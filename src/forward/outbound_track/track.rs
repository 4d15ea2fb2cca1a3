//! What one viewer is sent of one track: an RTP stream of the relay's own (W3C `outbound-rtp`).

use std::time::{Duration, Instant};

use super::OutboundTrackConfig;
use super::replay::Replay;
use super::routes::Routes;
use super::write::carries_media;
use crate::forward::codec::{Format, Kind, PictureNumbers};
use crate::forward::header::HEADER_LEN;
use crate::forward::header_extensions::write::ExtensionBlocks;
use crate::forward::history::{Get, History};
use crate::forward::packet::{Epoch, LayerId, Packet};
use crate::forward::resend::Resends;
use crate::forward::sent::Sent;
use crate::forward::splice::{Labels, Origin, Place, Splice, Start};

/// A hole in the publisher's line that is too long to show to the viewer: rather than let it ask for more than any history
/// has, the line is spliced, which for pictures means at the next keyframe.
pub(super) const LONGEST_HOLE: u64 = 1024;

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

    /// Reads on from this position of the history it is given: [`History::head`] is live.
    pub fn seek(&mut self, position: u64) {
        self.replay = None;
        self.cursor = position;
        self.begun = position;
    }

    /// Writes the next packet that the history has for this viewer into the buffer; `None` when there is none yet, or
    /// when a replay has to wait. A viewer that fell behind the history goes on at its newest keyframe, or for sound at
    /// its head.
    pub fn pull(&mut self, history: &History, buffer: &mut [u8]) -> Option<Written> {
        loop {
            let got = if self.replay.is_none() { history.get(self.cursor) } else { self.next_of_replay(history)? };
            let packet = match got {
                Get::Packet(packet) => packet,
                Get::NotYet => return None,
                Get::TooOld => {
                    self.fall_behind(history);
                    continue;
                }
            };
            let position = self.cursor;
            self.cursor += 1;
            if position < self.begun {
                let Some(written) = self.catch_up(packet, buffer) else { continue };
                return Some(written);
            }
            let segments = self.counts.segments;
            let Some(written) = self.forward(packet, buffer) else { continue };
            if self.counts.segments != segments {
                // What overtook the packet at which the segment begins was passed by: it has its place now.
                self.begun = position;
                self.cursor = history.rewind(position);
            }
            return Some(written);
        }
    }

    /// Writes one packet into the buffer, if it has a place on this viewer's line and was not sent before. Give it only
    /// packets that a [`History`] took: then a number never has two contents.
    #[inline]
    pub fn forward(&mut self, packet: &Packet, buffer: &mut [u8]) -> Option<Written> {
        let place = match self.leg {
            TrackState::Live if self.follows(packet) => match self.place(packet)? {
                place if self.splice.hole_before(place) <= LONGEST_HOLE => place,
                _ => {
                    self.restart();
                    self.begin(packet)?
                }
            },
            TrackState::Live | TrackState::Waiting => self.begin(packet)?,
            TrackState::Paused => return None,
        };
        self.send(packet, place, buffer)
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

    /// The place of a packet of the line that the leg follows; `None` when it is not to be sent.
    // See `send`.
    #[inline(always)]
    pub(super) fn place(&mut self, packet: &Packet) -> Option<Place> {
        let Some(place) = self.splice.place_of(packet.source(), packet.timestamp) else {
            self.counts.late += 1;
            return None;
        };
        if !carries_media(packet, place) && self.splice.skip(packet.source()) {
            self.counts.skipped += 1;
            return None;
        }
        Some(place)
    }

    /// Begins a segment at this packet if it is one to begin with.
    #[cold]
    pub(super) fn begin(&mut self, packet: &Packet) -> Option<Place> {
        let current = self.splice.line().map(|(epoch, _)| epoch);
        let expected = match self.leg {
            TrackState::Live => Some(packet.epoch) > current,
            TrackState::Waiting | TrackState::Paused => Some(packet.epoch) >= current,
        };
        if !expected {
            // It may fill a hole in a segment before.
            return self.place(packet);
        }
        if !packet.keyframe || packet.payload.is_empty() {
            self.counts.passed_by += u64::from(current.is_some() && self.leg == TrackState::Waiting);
            return None;
        }
        let Some(route) = self.routes.of(packet) else {
            self.counts.undecodable += 1;
            return None;
        };
        if HEADER_LEN + packet.own_payload().len() > self.max_size {
            self.counts.oversized += 1;
            return None;
        }
        let moment = self.replay.as_deref().map_or(packet.received, Replay::now);
        let gap = self.newest_received.map_or(0, |before| ticks(moment, before, route.clock_rate));
        self.newest_received = Some(moment);
        self.leg = TrackState::Live;
        self.counts.segments += 1;
        let place = self.splice.splice(Start {
            source: packet.source(),
            timestamp: packet.timestamp,
            gap,
            labels: Labels { begun: packet.index as u32, ..route.labels },
            shift: self.numbers_up_to(packet),
            speed: self.replay.as_deref().map(Replay::speed),
        });
        self.begin_frames(packet, place);
        if let Some(replay) = &mut self.replay {
            replay.begin(place.timestamp);
        }
        Some(place)
    }

    /// Sends a packet that arrived before the one at which the segment begins, if its place is close behind that. It
    /// begins nothing itself, so that going back comes to an end.
    #[cold]
    pub(super) fn catch_up(&mut self, packet: &Packet, buffer: &mut [u8]) -> Option<Written> {
        if self.leg != TrackState::Live || !self.follows(packet) {
            return None;
        }
        let place = self.splice.place_of(packet.source(), packet.timestamp)?;
        if self.splice.hole_before(place) > LONGEST_HOLE {
            return None;
        }
        let place = self.place(packet)?;
        self.send(packet, place, buffer)
    }

    /// Writes a packet to its place and gives the number away, once.
    // With the function that it calls it is the usual way of every packet, which is to be one function.
    #[inline(always)]
    pub(super) fn send(&mut self, packet: &Packet, place: Place, buffer: &mut [u8]) -> Option<Written> {
        let written = self.write(packet, place, buffer)?;
        if !self.sent.mark(place.index) {
            return None;
        }
        self.stamp(&written, buffer);
        if self.splice.advance(place) {
            if !packet.descriptor.is_empty() {
                self.newest_numbers = Some(packet.descriptor.read(&packet.payload, place.shift));
            }
            self.newest_received = match &self.replay {
                None => Some(packet.received),
                Some(replay) => Some(replay.moment_of(place.timestamp)),
            };
        }
        self.resends.earn(written.len);
        self.count(written);
        Some(written)
    }

    pub(super) fn fall_behind(&mut self, history: &History) {
        self.counts.fell_behind += 1;
        self.restart();
        let here = |position: &u64| matches!(history.get(*position), Get::Packet(_));
        let newest_keyframe = history.keyframe().filter(|_| self.kind == Kind::Video).filter(here);
        self.seek(newest_keyframe.unwrap_or(history.head()));
    }

    pub(super) fn count(&mut self, written: Written) {
        self.counts.packets += 1;
        self.counts.octets += (written.len - written.header_len) as u64;
    }
}

/// The time between two receptions in RTP clock ticks, modulo 2^32; 0 if they are out of order.
pub(super) fn ticks(later: Instant, earlier: Instant, clock_rate: u32) -> u32 {
    (later.saturating_duration_since(earlier).as_nanos() * u128::from(clock_rate) / 1_000_000_000) as u32
}
