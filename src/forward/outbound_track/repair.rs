//! Resends packets that a viewer asks for by NACK (RFC 4585 6.2.1).

use std::sync::Arc;
use std::time::Instant;

use super::resends::ResendVerdict;
use super::track::{OutboundTrack, Resend, Written};
use super::write::OSN_LEN;
use crate::forward::history::History;
use crate::forward::packet::Packet;
use crate::forward::rtp_header::HEADER_LEN;
use crate::forward::source::Source;
use crate::forward::splice::Place;

/// Where packets are found to resend them: the history of a layer, or those of all layers of a track.
pub(crate) trait Histories {
    /// The packet with this identity, while it is kept.
    fn find(&self, source: Source) -> Option<&Arc<Packet>>;
}

impl Histories for History {
    fn find(&self, source: Source) -> Option<&Arc<Packet>> {
        Self::find(self, source)
    }
}

/// Padding repeats one of this many packets that were sent last.
const PADDING_FROM: u64 = 32;

impl OutboundTrack {
    /// Writes one of the packets that were sent last again, of about this size, by RTX: it tells whether the path
    /// carries more, and repairs what may be lost. Where none of them is kept any more or all are too large, it is
    /// padding alone. `None` without RTX, and where nothing has been sent.
    pub(crate) fn pad(&mut self, size: usize, histories: &impl Histories, buffer: &mut [u8]) -> Option<Written> {
        let next = self.splice.next_index();
        let origins = (1..=PADDING_FROM).filter_map(|back| self.splice.origin_of(next.checked_sub(back)? as u16));
        let packets = origins.filter_map(|origin| Some((origin, histories.find(origin.source)?)));
        let closest = packets.min_by_key(|(_, packet)| packet.payload.len().abs_diff(size));
        if let Some((origin, packet)) = closest.filter(|(_, packet)| packet.payload.len() <= size + size / 2) {
            let place = origin.place(packet.timestamp);
            return if self.resends_by_rtx(packet, place) { self.write_rtx(packet, place, buffer) } else { None };
        }
        let last = self.splice.origin_of(next.checked_sub(1)? as u16)?;
        let place = Place { timestamp: self.splice.newest_timestamp(), ..last.place(0) };
        self.write_padding(size, place, buffer)
    }

    /// Answers a NACK for one sequence number: writes the packet again, by RTX where that is negotiated, else bit for
    /// bit as it was sent. `None` when the packet is unknown or the viewer asked too often; the counts tell which. A
    /// packet that has not arrived from the publisher yet is sent when it does, like any other.
    pub(crate) fn resend(
        &mut self,
        sequence: u16,
        histories: &impl Histories,
        now: Instant,
        buffer: &mut [u8],
    ) -> Option<Resend> {
        let origin = self.splice.origin_of(sequence)?;
        let Some(packet) = histories.find(origin.source) else {
            self.counts.not_found += 1;
            self.counts.lost += u64::from(self.resends.is_lost(origin.index, now));
            return None;
        };
        let extension = self.blocks.as_ref().map_or(0, |blocks| blocks.len());
        let size = HEADER_LEN + extension + OSN_LEN + packet.payload.len();
        let copies = match self.resends.allow(origin.index, size, self.counts.packets, now) {
            ResendVerdict::Copies(copies) => copies,
            verdict @ (ResendVerdict::Refused | ResendVerdict::OverBudget) => {
                self.counts.refused += 1;
                self.counts.over_budget += u64::from(verdict == ResendVerdict::OverBudget);
                return None;
            }
            ResendVerdict::Spent => {
                self.counts.refused += 1;
                self.counts.lost += 1;
                return None;
            }
        };
        let mut resend = Resend { written: Written::default(), copies: copies - 1, origin };
        resend.written = self.copy(&resend, histories, buffer)?;
        Some(resend)
    }

    /// How many packets of the history are still unread.
    pub(crate) fn behind(&self, history: &History) -> u64 {
        history.head().saturating_sub(self.cursor)
    }

    /// Gives up the packets that the viewer misses: it continues, spliced, at the next keyframe, and no packet before
    /// that is resent.
    pub(crate) fn skip(&mut self) {
        self.restart();
        self.stop_resends();
    }

    /// Resends none of the packets that have been sent so far.
    pub(crate) fn stop_resends(&mut self) {
        self.resends.give_up(self.splice.next_index());
    }

    /// The viewer's path is full: what it loses is resent once, without a copy.
    pub(crate) fn on_full_path(&mut self) {
        self.resends.on_full_path(self.counts.packets);
    }

    /// Writes another copy of a packet that was just resent.
    #[cold]
    pub(crate) fn copy(&mut self, resend: &Resend, histories: &impl Histories, buffer: &mut [u8]) -> Option<Written> {
        let packet = histories.find(resend.origin.source)?;
        let place = resend.origin.place(packet.timestamp);
        let written = if self.resends_by_rtx(packet, place) {
            self.write_rtx(packet, place, buffer)?
        } else {
            let written = self.write(packet, place, buffer)?;
            self.sent.mark(place.index);
            self.count(written);
            written
        };
        self.counts.resent += 1;
        Some(written)
    }
}
