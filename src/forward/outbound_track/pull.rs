//! What an outbound track sends next: it reads packets from a history and gives each its place in the viewer's RTP
//! stream.

use super::frame_limit::Verdict;
use super::replay_clock::Replay;
use super::track::{OutboundTrack, TrackState, Written};
use super::write::carries_media;
use crate::forward::codec::{Kind, PictureIds};
use crate::forward::history::{Get, History};
use crate::forward::layer_clocks::ticks;
use crate::forward::packet::Packet;
use crate::forward::rtp_header::HEADER_LEN;
use crate::forward::splice::{Labels, Place, Start};

/// A longer hole in the publisher's RTP stream is hidden from the viewer, which would otherwise ask for more packets
/// than any history has: the RTP stream is spliced, for video at the next keyframe.
pub(super) const LONGEST_HOLE: u64 = 1024;

impl OutboundTrack {
    /// Writes the next packet of the history for this viewer into the buffer. `None` when it has not arrived yet, or
    /// when a replay waits. A viewer that fell behind the history continues at the newest keyframe, or for audio at the
    /// head.
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
                // Packets that overtook the one at which the segment begins were skipped; now they have places.
                self.begun = position;
                self.cursor = history.rewind(position);
            }
            return Some(written);
        }
    }

    /// Writes one packet into the buffer, if it has a place in this viewer's RTP stream and was not sent before. Pass
    /// only packets that a [`History`] accepted, so that a number never has two contents.
    #[inline]
    pub(crate) fn forward(&mut self, packet: &Packet, buffer: &mut [u8]) -> Option<Written> {
        let place = match self.state {
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

    /// The place of a packet in the current segment; `None` when it is not to be sent.
    // See `send`.
    #[inline(always)]
    pub(super) fn place(&mut self, packet: &Packet) -> Option<Place> {
        let Some(place) = self.splice.place_of(packet.source(), packet.timestamp) else {
            self.counts.late += 1;
            return None;
        };
        if !carries_media(packet, place) && self.splice.leave_out(packet.source(), PictureIds::default()) {
            self.counts.skipped += 1;
            return None;
        }
        if self.thinning.is_some() && self.is_thinned(packet, place) {
            return None;
        }
        Some(place)
    }

    /// Leaves a packet out that the limit of frames does not admit. One whose number is reserved is sent, as it arrives
    /// late.
    #[cold]
    fn is_thinned(&mut self, packet: &Packet, place: Place) -> bool {
        let Some(thinning) = &mut self.thinning else { return false };
        if !self.splice.is_ahead(place) {
            return false;
        }
        let is_begun = place.timestamp == self.splice.newest_timestamp();
        let verdict = thinning.decide(packet, is_begun);
        if thinning.is_over() {
            self.thinning = None;
        }
        let Verdict::LeaveOut { begins } = verdict else { return false };
        let is_lowest = packet.frame.temporal() == 0;
        let shift = if begins { packet.descriptor.without(is_lowest) } else { PictureIds::default() };
        let is_left_out = self.splice.leave_out(packet.source(), shift);
        self.counts.thinned += u64::from(is_left_out);
        is_left_out
    }

    /// Begins a segment at this packet, if a segment can begin there.
    #[cold]
    pub(super) fn begin(&mut self, packet: &Packet) -> Option<Place> {
        let current = self.splice.current_source().map(|(generation, _)| generation);
        let expected = match self.state {
            TrackState::Live => Some(packet.generation) > current,
            TrackState::Waiting | TrackState::Paused => self.may_follow(packet),
        };
        if !expected {
            // It may fill a hole in an earlier segment.
            return self.place(packet);
        }
        if !packet.keyframe || packet.payload.is_empty() {
            self.counts.passed_by += u64::from(current.is_some() && self.state == TrackState::Waiting);
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
        let gap = if self.replay.is_none() { self.gap_of_switch(packet, gap, route.clock_rate) } else { gap };
        self.newest_received = Some(self.replay.as_deref().map_or(moment, Replay::now));
        self.state = TrackState::Live;
        if let Some(thinning) = &mut self.thinning {
            thinning.on_keyframe();
        }
        self.counts.segments += 1;
        let place = self.splice.splice(Start {
            source: packet.source(),
            timestamp: packet.timestamp,
            gap,
            labels: Labels { begun: packet.index as u32, ..route.labels },
            shift: self.picture_ids_up_to(packet),
            speed: self.replay.as_deref().map(Replay::speed),
        });
        self.begin_frames(packet, place);
        self.note_picture_ids(packet, place);
        if let Some(replay) = &mut self.replay {
            replay.begin(place.timestamp);
        }
        Some(place)
    }

    /// Sends a packet that arrived before the one at which the segment begins, if its place is close after that. It
    /// begins no segment itself, so going back ends.
    #[cold]
    pub(super) fn catch_up(&mut self, packet: &Packet, buffer: &mut [u8]) -> Option<Written> {
        if self.state != TrackState::Live || !self.follows(packet) {
            return None;
        }
        let place = self.splice.place_of(packet.source(), packet.timestamp)?;
        if self.splice.hole_before(place) > LONGEST_HOLE {
            return None;
        }
        let place = self.place(packet)?;
        self.send(packet, place, buffer)
    }

    /// Writes a packet at its place, and gives its number away once.
    // Inlined with what it calls: the usual way of a packet is to be one function.
    #[inline(always)]
    pub(super) fn send(&mut self, packet: &Packet, place: Place, buffer: &mut [u8]) -> Option<Written> {
        let written = self.write(packet, place, buffer)?;
        if !self.sent.mark(place.index) {
            return None;
        }
        self.stamp(&written, buffer);
        if self.splice.advance(place) {
            self.note_picture_ids(packet, place);
            self.newest_received = match &self.replay {
                None => Some(packet.received),
                Some(replay) => Some(replay.moment_of(place.timestamp)),
            };
        }
        self.resends.earn(written.len);
        self.count(written);
        Some(written)
    }

    /// Notes PictureID and TL0PICIDX of the newest frame.
    #[inline(always)]
    fn note_picture_ids(&mut self, packet: &Packet, place: Place) {
        if !packet.descriptor.is_empty() {
            self.newest_picture_ids = Some(packet.descriptor.read(&packet.payload, place.shift));
        }
    }

    pub(super) fn fall_behind(&mut self, history: &History) {
        self.counts.fell_behind += 1;
        self.restart();
        let here = |position: &u64| matches!(history.get(*position), Get::Packet(_));
        let newest_keyframe = history.keyframe().filter(|_| self.kind == Kind::Video).filter(here);
        self.seek(newest_keyframe.unwrap_or(history.head()));
    }
}
