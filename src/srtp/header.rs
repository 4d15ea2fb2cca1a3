//! The clear header of an RTP packet (RFC 3550 5.1) and its extension elements (RFC 8285), read in place.
//!
//! It reads bytes from the network before they are authenticated: it never panics and checks every length.

use std::ops::Range;

use crate::reason::DropReason;

/// Bytes of the fixed header.
pub(super) const FIXED_LEN: usize = 12;

/// The header extension of a packet; its bytes are in the datagram and authenticated, never encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawExtension {
    /// The "defined by profile" bits: 0xBEDE for one-byte elements, 0x100x for two-byte ones (RFC 8285 4.2, 4.3).
    pub profile: u16,
    /// Where the elements lie in the datagram, without the four bytes in front.
    pub range: Range<usize>,
}

impl RawExtension {
    /// The ids and contents of the elements in their order, up to the first malformed one.
    #[must_use]
    #[inline]
    pub fn elements<'a>(&self, datagram: &'a [u8]) -> ExtensionElements<'a> {
        let two_byte = self.profile & 0xfff0 == 0x1000;
        let known = two_byte || self.profile == 0xBEDE;
        let rest = datagram.get(self.range.clone()).filter(|_| known).unwrap_or_default();
        ExtensionElements { two_byte, rest }
    }
}

/// Iterates over the elements of a header extension.
#[derive(Clone, Debug)]
pub struct ExtensionElements<'a> {
    two_byte: bool,
    rest: &'a [u8],
}

impl<'a> Iterator for ExtensionElements<'a> {
    type Item = (u8, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&first, behind) = self.rest.split_first()?;
            // Zero bytes are padding, between elements too.
            if first == 0 {
                self.rest = behind;
                continue;
            }
            let (id, len, content) = if self.two_byte {
                let (&len, content) = behind.split_first()?;
                (first, usize::from(len), content)
            } else if first >> 4 == 15 {
                return None;
            } else {
                (first >> 4, usize::from(first & 0x0f) + 1, behind)
            };
            let (content, behind) = content.split_at_checked(len)?;
            self.rest = behind;
            return Some((id, content));
        }
    }
}

/// The fields of the clear header, which are not authenticated yet.
pub struct Clear {
    /// The payload ends with padding.
    pub padding: bool,
    /// The marker bit.
    pub marker: bool,
    /// The payload type.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp, in ticks of the codec's clock.
    pub timestamp: u32,
    /// The SSRC.
    pub ssrc: u32,
    /// Octets of the fixed header, CSRCs and extension.
    pub header_len: usize,
    /// The header extension, if there is one.
    pub extension: Option<RawExtension>,
}

impl Clear {
    /// Reads the header of a packet.
    ///
    /// # Errors
    /// The bytes are not an RTP packet.
    #[inline]
    pub fn read(datagram: &[u8]) -> Result<Self, DropReason> {
        let fixed = datagram.first_chunk::<FIXED_LEN>().ok_or(DropReason::TooShort)?;
        if fixed[0] >> 6 != 2 {
            return Err(DropReason::NotRtp);
        }
        let mut header_len = FIXED_LEN + 4 * usize::from(fixed[0] & 0x0f);
        let mut extension = None;
        if fixed[0] & 0x10 != 0 {
            let preamble = datagram.get(header_len..).and_then(<[u8]>::first_chunk::<4>).ok_or(DropReason::TooShort)?;
            let start = header_len + 4;
            header_len = start + 4 * usize::from(u16::from_be_bytes([preamble[2], preamble[3]]));
            extension = Some(RawExtension {
                profile: u16::from_be_bytes([preamble[0], preamble[1]]),
                range: start..header_len,
            });
        }
        if header_len > datagram.len() {
            return Err(DropReason::TooShort);
        }
        Ok(Self {
            padding: fixed[0] & 0x20 != 0,
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            header_len,
            extension,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn extension(profile: u16, elements: &[u8]) -> RawExtension {
        RawExtension { profile, range: 0..elements.len() }
    }

    /// The content of the first element with this id.
    fn element<'a>(extension: &RawExtension, datagram: &'a [u8], id: u8) -> Option<&'a [u8]> {
        extension.elements(datagram).find_map(|(found, content)| (found == id).then_some(content))
    }

    #[test]
    fn finds_one_byte_and_two_byte_elements() {
        let one = [0x10, 0xaa, 0, 0x31, 1, 2, 0, 0];
        assert_eq!(element(&extension(0xBEDE, &one), &one, 1), Some(&[0xaa][..]));
        assert_eq!(element(&extension(0xBEDE, &one), &one, 3), Some(&[1, 2][..]));
        assert_eq!(element(&extension(0xBEDE, &one), &one, 2), None);
        let two = [1, 0, 0, 200, 2, 7, 8, 0];
        assert_eq!(element(&extension(0x1003, &two), &two, 1), Some(&[][..]));
        assert_eq!(element(&extension(0x1003, &two), &two, 200), Some(&[7, 8][..]));
        assert_eq!(element(&extension(0xABCD, &two), &two, 200), None);
    }

    #[test]
    fn stops_at_an_element_that_does_not_fit_and_at_id_15() {
        let torn = [0x1f, 1, 2, 3];
        assert_eq!(element(&extension(0xBEDE, &torn), &torn, 1), None);
        let stop = [0xf0, 0x10, 0xaa, 0];
        assert_eq!(element(&extension(0xBEDE, &stop), &stop, 1), None);
    }

    #[test]
    fn counts_csrcs_and_extension_into_the_header() {
        let mut packet = vec![0x92, 0xe0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([9; 8]);
        packet.extend([0xBE, 0xDE, 0, 1, 0x10, 5, 0, 0]);
        let clear = Clear::read(&packet).ok().unwrap();
        assert_eq!((clear.header_len, clear.payload_type, clear.marker), (28, 0x60, true));
        assert_eq!(element(&clear.extension.unwrap(), &packet, 1), Some(&[5][..]));
        assert!(matches!(Clear::read(&packet[..27]), Err(DropReason::TooShort)));
        assert!(matches!(Clear::read(&packet[..21]), Err(DropReason::TooShort)));
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(clear) = Clear::read(&bytes) {
                prop_assert!((FIXED_LEN..=bytes.len()).contains(&clear.header_len));
                if let Some(extension) = clear.extension {
                    prop_assert!(extension.elements(&bytes).count() <= bytes.len());
                }
            }
        }

        #[test]
        fn hostile_elements_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            for profile in [0xBEDE, 0x1000] {
                let read: usize = extension(profile, &bytes).elements(&bytes).map(|(_, content)| 1 + content.len()).sum();
                prop_assert!(read <= bytes.len());
            }
        }
    }
}
