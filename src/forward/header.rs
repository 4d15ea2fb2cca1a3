//! The RTP header as an outlet writes it (RFC 3550 5.1): twelve octets, no CSRC, no padding; and the one header extension
//! that it may carry (RFC 8285 4.2).

use std::time::Duration;

/// Octets of the header.
pub(super) const HEADER_LEN: usize = 12;

/// The fields that differ from packet to packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) marker: bool,
    pub(super) payload_type: u8,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
}

impl Header {
    /// The header as it goes on the wire.
    pub(super) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [sequence_high, sequence_low] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [s0, s1, s2, s3] = self.ssrc.to_be_bytes();
        let marker_and_type = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        [0x80, marker_and_type, sequence_high, sequence_low, t0, t1, t2, t3, s0, s1, s2, s3]
    }
}

/// Octets of the header extension.
pub(super) const EXTENSION_LEN: usize = 8;

/// The playout-delay extension: how long a receiver is to hold pictures back at least, and no limit at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlayoutDelay([u8; EXTENSION_LEN]);

impl PlayoutDelay {
    /// Under this id (1 to 14).
    pub(super) fn new(id: u8, least: Duration) -> Self {
        // Twelve bits each, in 10 ms.
        let least = least.as_millis().div_ceil(10).min(0xfff) as u16;
        // The most is never 0: with a least of 0 that asks for pictures as they come, whatever jitter there is.
        let [high, low] = (least << 4 | 0xf).to_be_bytes();
        Self([0xbe, 0xde, 0, 1, id << 4 | 2, high, low, 0xff])
    }

    /// Writes it behind a header and says so there. There must be room.
    pub(super) fn write(self, buffer: &mut [u8]) {
        buffer[0] |= 0x10;
        buffer[HEADER_LEN..HEADER_LEN + EXTENSION_LEN].copy_from_slice(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playout_delay_of_110_ms_is_11_and_no_limit() {
        let mut packet = [0x80; HEADER_LEN + EXTENSION_LEN];
        PlayoutDelay::new(5, Duration::from_millis(101)).write(&mut packet);
        assert_eq!(packet[0], 0x90);
        assert_eq!(packet[HEADER_LEN..], [0xbe, 0xde, 0, 1, 0x52, 0x00, 0xbf, 0xff]);
        PlayoutDelay::new(5, Duration::ZERO).write(&mut packet);
        assert_eq!(packet[17..], [0x00, 0x0f, 0xff]);
    }

    #[test]
    fn writes_the_fields_where_rfc_3550_has_them() {
        let header =
            Header { marker: true, payload_type: 106, sequence: 0x0102, timestamp: 0x0304_0506, ssrc: 0x0708_090a };
        assert_eq!(header.to_bytes(), [0x80, 0xea, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(Header { marker: false, ..header }.to_bytes()[1], 106);
    }
}
