//! Writes packets: the content is a function of the source packet and its place alone. A resend by RTX goes into the
//! RTX stream (RFC 4588 4).
//!
//! Only the header extensions about the sending (time, number, playout delay) change from one sending to the next. They
//! are present only on packets that are resent by RTX, so a resend without RTX never differs from the first sending.

use std::time::Duration;

use super::track::{OutboundTrack, Written};
use crate::forward::codec::PictureIds;
use crate::forward::header_extensions::{ExtensionBlocks, HeaderExtensions};
use crate::forward::packet::{LEADING, Packet};
use crate::forward::rtp_header::{HEADER_LEN, Header};
use crate::forward::splice::Place;

/// Octets of the original sequence number that begin a resend's payload (RFC 4588 4).
pub(crate) const OSN_LEN: usize = 2;

impl OutboundTrack {
    /// Sets the minimum playout delay that packets announce, if the viewer negotiated that header extension.
    #[inline]
    pub(crate) fn set_playout_delay(&mut self, least: Duration) {
        if let Some(blocks) = &mut self.blocks {
            blocks.set_playout_delay(least);
        }
    }

    /// Sets the transport-wide number of the next packet, if the viewer negotiated them: it then reports the arrival of
    /// each packet, instead of a bandwidth estimate once per second. Packets have none until this is called, and with
    /// `None`.
    #[inline]
    pub fn set_transport_number(&mut self, number: Option<u16>) {
        if let Some(blocks) = &mut self.blocks {
            blocks.set_transport_number(number);
        }
    }

    /// True if the viewer has agreed to transport-wide numbers.
    pub(crate) fn takes_transport_numbers(&self) -> bool {
        self.rtx.is_some() && self.blocks.as_ref().is_some_and(|blocks| blocks.takes_transport_numbers())
    }

    /// Whether the packet that was written last has a transport-wide number: some have no room for it.
    pub(crate) fn has_transport_number(&self, written: &Written) -> bool {
        let has_number = |blocks: &ExtensionBlocks| blocks.has_transport_number();
        written.header_len > HEADER_LEN && self.blocks.as_deref().is_some_and(has_number)
    }

    /// True where packets carry their send time: [`Self::set_send_time`] must be called before they are written.
    #[inline]
    pub(crate) fn has_send_time(&self) -> bool {
        self.blocks.as_ref().is_some_and(|blocks| blocks.has_send_time())
    }

    /// Sets the send time of the next packets: the time since some moment, which is the same for all outbound tracks of
    /// a viewer.
    #[inline]
    pub(crate) fn set_send_time(&mut self, since: Duration) {
        if let Some(blocks) = &mut self.blocks {
            blocks.set_send_time(since);
        }
    }

    /// The shift that makes PictureID and TL0PICIDX of a segment that begins with this packet continue those that were
    /// sent.
    pub(crate) fn picture_ids_up_to(&self, packet: &Packet) -> PictureIds {
        let newest = self.newest_picture_ids.filter(|_| !packet.descriptor.is_empty());
        newest.map_or(PictureIds::default(), |newest| {
            newest.up_to(packet.descriptor.read(&packet.payload, PictureIds::default()))
        })
    }

    /// Makes the frame numbers of a segment that begins with this packet continue those that were sent.
    pub(crate) fn begin_frames(&mut self, packet: &Packet, place: Place) {
        if let Some(blocks) = &mut self.blocks {
            blocks.begin(&packet.extensions, place.index);
        }
    }

    /// Writes header and payload as a function of the packet and its place alone.
    // As a call, it would cost 8 % more instructions per packet.
    #[inline(always)]
    pub(crate) fn write(&mut self, packet: &Packet, place: Place, buffer: &mut [u8]) -> Option<Written> {
        if packet.payload_type != place.labels.source {
            return self.write_other(packet, place, buffer);
        }
        self.write_as(place.labels.payload_type, &packet.payload, packet, place, buffer)
    }

    /// Writes a packet with this payload type and payload.
    #[inline(always)]
    fn write_as(
        &mut self,
        payload_type: u8,
        payload: &[u8],
        packet: &Packet,
        place: Place,
        buffer: &mut [u8],
    ) -> Option<Written> {
        if self.blocks.is_some() {
            return self.write_extended(payload_type, payload, packet, place, buffer);
        }
        self.write_behind(HEADER_LEN, payload_type, payload, packet, place, buffer)
    }

    /// The same with a header extension. A separate function, so that viewers without extensions do not pay for it.
    #[inline(never)]
    fn write_extended(
        &mut self,
        payload_type: u8,
        payload: &[u8],
        packet: &Packet,
        place: Place,
        buffer: &mut [u8],
    ) -> Option<Written> {
        let header_len = HEADER_LEN + self.block_len(&packet.extensions, place, payload.len());
        self.write_behind(header_len, payload_type, payload, packet, place, buffer)
    }

    // See `write`.
    #[inline(always)]
    fn write_behind(
        &mut self,
        header_len: usize,
        payload_type: u8,
        payload: &[u8],
        packet: &Packet,
        place: Place,
        buffer: &mut [u8],
    ) -> Option<Written> {
        let len = header_len + payload.len();
        if len > self.max_size || len > buffer.len() {
            self.counts.oversized += 1;
            return None;
        }
        let header = Header {
            marker: packet.marker,
            payload_type,
            sequence: place.index as u16,
            timestamp: place.timestamp,
            ssrc: self.ssrc,
        };
        buffer[..HEADER_LEN].copy_from_slice(&header.to_bytes());
        if header_len > HEADER_LEN {
            self.write_block(&packet.extensions, buffer);
        }
        buffer[header_len..len].copy_from_slice(payload);
        number(packet, place, &mut buffer[header_len..len]);
        Some(Written { ssrc: self.ssrc, index: place.index, header_len, len })
    }

    /// Writes a packet whose payload type is not simply that of the segment. Redundant audio is sent as it is to a
    /// viewer that negotiated it, if it fits, and as its own payload alone to every other viewer. This too is a
    /// function of the packet and its place, because a viewer's payload types never change. A packet without media
    /// whose number could not be left out is sent empty, so that the viewer does not miss it.
    #[cold]
    fn write_other(&mut self, packet: &Packet, place: Place, buffer: &mut [u8]) -> Option<Written> {
        let own = if carries_media(packet, place) { packet.own_payload() } else { &[] };
        let viewers = self.routes.redundant(place.labels.payload_type).filter(|_| !own.is_empty());
        let fits = HEADER_LEN + packet.payload.len() <= self.max_size;
        let (Some(payload_type), Some(redundancy), true) = (viewers, packet.redundancy, fits) else {
            return self.write_as(place.labels.payload_type, own, packet, place, buffer);
        };
        let written = self.write_as(payload_type, &packet.payload, packet, place, buffer)?;
        redundancy.relabel(place.labels.payload_type, &mut buffer[written.header_len..written.len]);
        Some(written)
    }

    /// True when a packet is resent by RTX: it is negotiated, and the two additional octets fit.
    pub(crate) fn resends_by_rtx(&self, packet: &Packet, place: Place) -> bool {
        let negotiated = self.rtx.is_some() && place.labels.rtx_payload_type.is_some();
        // As long as it was sent: a packet without media was sent empty.
        let len = if carries_media(packet, place) { packet.own_payload().len() } else { 0 };
        negotiated && HEADER_LEN + OSN_LEN + len <= self.max_size
    }

    /// Writes a resend into the RTX stream, if the packet is resent by RTX.
    pub(crate) fn write_rtx(&mut self, packet: &Packet, place: Place, buffer: &mut [u8]) -> Option<Written> {
        let payload = if carries_media(packet, place) { packet.own_payload() } else { &[] };
        let written = self.begin_rtx(&packet.extensions, place, payload.len(), buffer)?;
        buffer[1] |= u8::from(packet.marker) << 7;
        let (original, media) = buffer[written.header_len..written.len].split_at_mut(OSN_LEN);
        original.copy_from_slice(&(place.index as u16).to_be_bytes());
        media.copy_from_slice(payload);
        number(packet, place, media);
        Some(written)
    }

    /// Writes a packet of about this size into the RTX stream that has nothing but padding, 255 octets at most (RFC 3550
    /// 5.1): a receiver takes nothing out of it, but reports its arrival.
    pub(crate) fn write_padding(&mut self, size: usize, place: Place, buffer: &mut [u8]) -> Option<Written> {
        let len = size.clamp(OSN_LEN, usize::from(u8::MAX));
        let written = self.begin_rtx(&HeaderExtensions::default(), place, len - OSN_LEN, buffer)?;
        buffer[0] |= 1 << 5;
        buffer[written.header_len..written.len].fill(0);
        buffer[written.len - 1] = len as u8;
        Some(written)
    }

    /// Writes the header of the next packet of the RTX stream, for an original with this many octets of payload.
    fn begin_rtx(
        &mut self,
        extensions: &HeaderExtensions,
        place: Place,
        payload: usize,
        buffer: &mut [u8],
    ) -> Option<Written> {
        let header_len = HEADER_LEN + self.block_len(extensions, place, payload);
        let (rtx, payload_type) = (self.rtx.as_mut()?, place.labels.rtx_payload_type?);
        let len = header_len + OSN_LEN + payload;
        if len > self.max_size || len > buffer.len() {
            return None;
        }
        let (ssrc, index) = (rtx.ssrc, rtx.next_index);
        rtx.next_index += 1;
        let header = Header { marker: false, payload_type, sequence: index as u16, timestamp: place.timestamp, ssrc };
        buffer[..HEADER_LEN].copy_from_slice(&header.to_bytes());
        if header_len > HEADER_LEN {
            self.write_block(extensions, buffer);
            self.stamp_block(buffer);
        }
        Some(Written { ssrc, index, header_len, len })
    }

    /// Octets of the header extensions of a packet and of its resend. Where they do not fit, only those that a receiver
    /// cannot do without, or none.
    #[inline]
    fn block_len(&mut self, extensions: &HeaderExtensions, place: Place, payload: usize) -> usize {
        let Some(blocks) = &mut self.blocks else { return 0 };
        let by_rtx = self.rtx.is_some() && place.labels.rtx_payload_type.is_some();
        let len = blocks.settle(extensions, by_rtx, place.index);
        let beside = HEADER_LEN + payload + if by_rtx { OSN_LEN } else { 0 };
        if len + beside <= self.max_size { len } else { self.least_block_len(extensions, place, beside) }
    }

    #[cold]
    fn least_block_len(&mut self, extensions: &HeaderExtensions, place: Place, beside: usize) -> usize {
        let len = self.blocks.as_mut().map_or(0, |blocks| blocks.settle_least(extensions, place.index));
        if len + beside <= self.max_size { len } else { 0 }
    }

    /// Writes the header extensions that were measured last after a header.
    #[inline]
    fn write_block(&self, extensions: &HeaderExtensions, buffer: &mut [u8]) {
        if let Some(blocks) = &self.blocks {
            blocks.write(extensions, buffer);
        }
    }

    /// Fills in the header extensions about the sending, if there are any. Once for each packet that is sent.
    #[inline]
    pub(crate) fn stamp(&mut self, written: &Written, buffer: &mut [u8]) {
        if written.header_len > HEADER_LEN {
            self.stamp_block(buffer);
        }
    }

    #[inline(never)]
    fn stamp_block(&mut self, buffer: &mut [u8]) {
        if let Some(blocks) = &mut self.blocks {
            blocks.stamp(buffer);
        }
    }
}

/// Shifts PictureID and TL0PICIDX in a payload so that they continue those of the previous segment.
#[inline]
fn number(packet: &Packet, place: Place, payload: &mut [u8]) {
    if place.shift != PictureIds::default() && !payload.is_empty() {
        packet.descriptor.add(place.shift, payload);
    }
}

/// False for packets of padding only, and for a payload type other than that of the segment.
#[inline]
pub(crate) fn carries_media(packet: &Packet, place: Place) -> bool {
    if packet.payload_type == place.labels.source {
        return !packet.payload.is_empty();
    }
    carries_other_media(packet, place)
}

/// True for redundant audio, and for leading pictures except those of the keyframe at which the viewer began, which it
/// cannot decode.
#[cold]
fn carries_other_media(packet: &Packet, place: Place) -> bool {
    if packet.payload_type & LEADING != 0 {
        return packet.leads != place.labels.begun
            && packet.media_payload_type() == place.labels.source
            && !packet.payload.is_empty();
    }
    packet.redundancy.is_some()
        && packet.media_payload_type() == place.labels.source
        && !packet.own_payload().is_empty()
}
