//! What an outlet writes: a packet as a function of itself and its place alone, or its resend in the line of the resends
//! (RFC 4588 4).

use super::{Outlet, Written};
use crate::forward::header::{HEADER_LEN, Header};
use crate::forward::{Packet, Place};

/// Octets of the original sequence number that begin a resend's payload (RFC 4588 4).
pub(super) const OSN_LEN: usize = 2;

impl Outlet {
    /// Writes header and payload as a function of the packet and its place alone.
    pub(super) fn write(&mut self, packet: &Packet, place: Place, buffer: &mut [u8]) -> Option<Written> {
        // A packet without media whose number could not be left out goes as an empty one, so that nobody misses it.
        let payload = if carries_media(packet, place) { &packet.payload[..] } else { &[] };
        let len = HEADER_LEN + payload.len();
        if len > self.max_size || len > buffer.len() {
            self.counts.oversized += 1;
            return None;
        }
        let header = Header {
            marker: packet.marker,
            payload_type: place.labels.payload_type,
            sequence: place.index as u16,
            timestamp: place.timestamp,
            ssrc: self.ssrc,
        };
        buffer[..HEADER_LEN].copy_from_slice(&header.to_bytes());
        buffer[HEADER_LEN..len].copy_from_slice(payload);
        Some(Written { ssrc: self.ssrc, index: place.index, header_len: HEADER_LEN, len })
    }

    /// Writes a packet's resend in the line of the resends; `None` where RTX is not negotiated or the two octets more do
    /// not fit.
    pub(super) fn write_rtx(&mut self, packet: &Packet, place: Place, buffer: &mut [u8]) -> Option<Written> {
        let (rtx, payload_type) = (self.rtx.as_mut()?, place.labels.rtx_payload_type?);
        let payload = if carries_media(packet, place) { &packet.payload[..] } else { &[] };
        let len = HEADER_LEN + OSN_LEN + payload.len();
        if len > self.max_size || len > buffer.len() {
            return None;
        }
        let index = rtx.next_index;
        rtx.next_index += 1;
        let header = Header {
            marker: packet.marker,
            payload_type,
            sequence: index as u16,
            timestamp: place.timestamp,
            ssrc: rtx.ssrc,
        };
        let original = (place.index as u16).to_be_bytes();
        buffer[..HEADER_LEN].copy_from_slice(&header.to_bytes());
        buffer[HEADER_LEN..HEADER_LEN + OSN_LEN].copy_from_slice(&original);
        buffer[HEADER_LEN + OSN_LEN..len].copy_from_slice(payload);
        Some(Written { ssrc: rtx.ssrc, index, header_len: HEADER_LEN, len })
    }
}

/// False for padding only, and for a payload type that is not the one the segment carries.
pub(super) fn carries_media(packet: &Packet, place: Place) -> bool {
    !packet.payload.is_empty() && packet.payload_type == place.labels.source
}
