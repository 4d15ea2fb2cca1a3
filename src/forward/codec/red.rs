//! Redundant audio (RFC 2198): a packet with copies of earlier ones before its own payload, so that a receiver that
//! lost one of those still gets it.
//!
//! The relay accepts it for Opus only. A viewer that negotiated it gets the whole payload; every other viewer gets the
//! packet's own payload only. The rule: the rewritten payload has the same length and blocks, and differs in the
//! payload types of its block headers only.

use std::num::NonZeroU16;
use std::ops::Range;

/// Octets of the header of a copy: a bit that says that another header follows, payload type, age, length.
const COPY_HEADER: usize = 4;

/// Copies in one packet; a payload with more is not accepted. Chromium sends one, and nine at most.
const MAX_COPIES: usize = 16;

/// The structure of a redundant audio payload, found once when it arrives. The payload itself is passed to each method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redundancy {
    /// The payload type of all its blocks.
    carries: u8,
    /// Copies before the packet's own payload.
    copies: u8,
    /// Where the packet's own payload begins: after at least one block header.
    own: NonZeroU16,
}

/// A copy of an earlier packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Earlier {
    /// In ticks of the codec's RTP clock.
    age: u32,
    len: usize,
}

impl Redundancy {
    /// Reads a payload. All its blocks must have this payload type. `None` for a payload that RFC 2198 does not allow,
    /// and for blocks of another payload type.
    pub fn read(payload: &[u8], carries: u8) -> Option<Self> {
        let (mut copies, mut len) = (0, 0);
        loop {
            let header = payload.get(copies * COPY_HEADER..)?;
            let first = *header.first()?;
            if first & 0x7f != carries {
                return None;
            }
            if first & 0x80 == 0 {
                break;
            }
            len += Earlier::read(*header.first_chunk()?).len;
            copies += 1;
            if copies > MAX_COPIES {
                return None;
            }
        }
        let own = copies * COPY_HEADER + 1 + len;
        let is_whole = own <= payload.len();
        is_whole.then_some(Self { carries, copies: copies as u8, own: NonZeroU16::new(own.try_into().ok()?)? })
    }

    /// The payload type of its blocks.
    pub fn carries(self) -> u8 {
        self.carries
    }

    /// The packet's own payload.
    pub fn own(self, payload: &[u8]) -> &[u8] {
        &payload[usize::from(self.own.get())..]
    }

    /// Age of the newest copy relative to the packet, in ticks of the codec's RTP clock; `None` without copies.
    pub fn newest_age(self, payload: &[u8]) -> Option<u32> {
        self.copies(payload).map(|(copy, _)| copy.age).min()
    }

    /// Where the copy with this age in ticks is, unless it is empty.
    pub fn copy_of_age(self, payload: &[u8], age: u32) -> Option<Range<usize>> {
        self.copies(payload).find(|(copy, _)| copy.age == age && copy.len > 0).map(|(_, place)| place)
    }

    /// Sets the payload type of all blocks.
    pub fn relabel(self, payload_type: u8, payload: &mut [u8]) {
        for header in 0..=usize::from(self.copies) {
            let first = &mut payload[header * COPY_HEADER];
            *first = *first & 0x80 | payload_type & 0x7f;
        }
    }

    /// The copies and where they are in the payload.
    fn copies(self, payload: &[u8]) -> impl Iterator<Item = (Earlier, Range<usize>)> + '_ {
        let headers = payload.chunks_exact(COPY_HEADER).take(self.copies.into());
        let mut at = usize::from(self.copies) * COPY_HEADER + 1;
        headers.filter_map(|header| header.first_chunk()).map(move |header| {
            let copy = Earlier::read(*header);
            at += copy.len;
            (copy, at - copy.len..at)
        })
    }
}

impl Earlier {
    /// Reads the header of a copy (RFC 2198 3): 14 bits of age and 10 of length after the first octet.
    fn read([_, a, b, c]: [u8; COPY_HEADER]) -> Self {
        let rest = u32::from_be_bytes([0, a, b, c]);
        Self { age: rest >> 10, len: (rest & 0x3ff) as usize }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A payload with copies of these ages before its own.
    fn redundant(payload_type: u8, copies: &[(u32, &[u8])], own: &[u8]) -> Vec<u8> {
        let header = |(age, copy): &(u32, &[u8])| {
            let [_, a, b, c] = (age << 10 | copy.len() as u32).to_be_bytes();
            [payload_type | 0x80, a, b, c]
        };
        let mut payload: Vec<u8> = copies.iter().flat_map(header).collect();
        payload.push(payload_type);
        copies.iter().for_each(|(_, copy)| payload.extend(*copy));
        payload.extend(own);
        payload
    }

    #[test]
    fn a_payload_of_chromium_has_its_own_audio_and_that_of_20_ms_before() {
        let payload = [0xef, 0x0f, 0x00, 0x03, 0x6f, 1, 2, 3, 4, 5];
        assert_eq!(payload.to_vec(), redundant(111, &[(960, &[1, 2, 3])], &[4, 5]));
        let read = Redundancy::read(&payload, 111).unwrap();
        assert_eq!((read.own(&payload), read.newest_age(&payload)), (&[4, 5][..], Some(960)));
        assert_eq!((read.copy_of_age(&payload, 960), read.copy_of_age(&payload, 1920)), (Some(5..8), None));
        let mut written = payload;
        read.relabel(96, &mut written);
        assert_eq!(written, [0xe0, 0x0f, 0x00, 0x03, 0x60, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_payload_without_copies_has_one_octet_more() {
        let payload = [111, 7, 8];
        let read = Redundancy::read(&payload, 111).unwrap();
        assert_eq!((read.own(&payload), read.newest_age(&payload)), (&[7, 8][..], None));
    }

    #[test]
    fn truncated_payloads_and_other_codecs_are_refused() {
        let whole = redundant(111, &[(1920, &[9; 600]), (960, &[8; 3])], &[]);
        assert!(Redundancy::read(&whole, 111).unwrap().own(&whole).is_empty());
        for len in 0..whole.len() {
            assert_eq!(Redundancy::read(&whole[..len], 111), None, "{len}");
        }
        assert_eq!(Redundancy::read(&whole, 110), None);
        let mut mixed = whole;
        mixed[4] = 0x80 | 13;
        assert_eq!(Redundancy::read(&mixed, 111), None);
        let copies: Vec<(u32, &[u8])> = vec![(960, &[]); 17];
        assert!(Redundancy::read(&redundant(111, &copies[1..], &[1]), 111).is_some());
        assert_eq!(Redundancy::read(&redundant(111, &copies, &[1]), 111), None);
    }

    proptest! {
        #[test]
        fn a_built_payload_is_read_back(
            copies in prop::collection::vec((0u32..1 << 14, prop::collection::vec(any::<u8>(), 0..80)), 0..9),
            own in prop::collection::vec(any::<u8>(), 0..80), (from, to) in (0u8..128, 0u8..128),
        ) {
            let copies: Vec<(u32, &[u8])> = copies.iter().map(|(age, copy)| (*age, &copy[..])).collect();
            let payload = redundant(from, &copies, &own);
            let read = Redundancy::read(&payload, from).unwrap();
            prop_assert_eq!(read.own(&payload), &own[..]);
            for (age, _) in &copies {
                let first = copies.iter().find(|(other, copy)| other == age && !copy.is_empty());
                let found = read.copy_of_age(&payload, *age).map(|place| &payload[place]);
                prop_assert_eq!(found, first.map(|(_, copy)| *copy));
            }
            let mut written = payload;
            read.relabel(to, &mut written);
            prop_assert_eq!(written, redundant(to, &copies, &own));
        }

        #[test]
        fn no_payload_makes_it_fail(payload in prop::collection::vec(any::<u8>(), 0..100), ends in 0usize..5) {
            // Mostly headers after which another follows.
            let mut payload = payload;
            payload.iter_mut().step_by(4).for_each(|first| *first = 0x80 | 111);
            if let Some(last) = payload.get_mut(ends * 4) { *last = 111 }
            if let Some(read) = Redundancy::read(&payload, 111) {
                let mut written = payload.clone();
                read.relabel(111, &mut written);
                prop_assert_eq!(&written, &payload);
                let copy = read.newest_age(&payload).and_then(|age| read.copy_of_age(&payload, age));
                prop_assert!(copy.is_none_or(|copy| copy.end <= payload.len() - read.own(&payload).len()));
            }
        }
    }
}
