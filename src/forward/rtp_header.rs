//! The RTP header as an outbound track writes it (RFC 3550 5.1): twelve octets, no CSRC, no padding.

/// Octets of the header.
pub(crate) const HEADER_LEN: usize = 12;

/// The fields that differ from packet to packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) marker: bool,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
}

impl Header {
    /// The header as it goes on the wire.
    pub(crate) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [sequence_high, sequence_low] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [s0, s1, s2, s3] = self.ssrc.to_be_bytes();
        let marker_and_type = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        [0x80, marker_and_type, sequence_high, sequence_low, t0, t1, t2, t3, s0, s1, s2, s3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_fields_where_rfc_3550_has_them() {
        let header =
            Header { marker: true, payload_type: 106, sequence: 0x0102, timestamp: 0x0304_0506, ssrc: 0x0708_090a };
        assert_eq!(header.to_bytes(), [0x80, 0xea, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(Header { marker: false, ..header }.to_bytes()[1], 106);
    }
}
