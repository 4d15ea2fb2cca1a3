//! AV1 as the Alliance for Open Media packetises it: which profile a format names and which payload begins a keyframe.
//!
//! A keyframe starts a coded video sequence: it has a sequence header, and after it bit N of the aggregation header or
//! the frame itself says so. No decoder begins without that header, so no viewer does. Dependency descriptors are not
//! needed for this.

use super::format::Format;
use super::frame_layer::FrameLayer;
use super::frame_size::FrameSize;
use super::part::Part;
use super::sequence_header;

const OBU_SEQUENCE_HEADER: u8 = 1;
const OBU_FRAME_HEADER: u8 = 3;
const OBU_TILE_GROUP: u8 = 4;
const OBU_FRAME: u8 = 6;

/// Bits of the aggregation header (AV1 RTP 4.4).
const CONTINUES: u8 = 0x80;
const NEW_SEQUENCE: u8 = 0x08;

/// How a payload begins a keyframe, if it does: with a sequence header or without (AV1 RTP 4.4). An encoder may repeat
/// the header before any other frame.
pub(super) fn part(payload: &[u8]) -> Part {
    let Some((&aggregation, rest)) = payload.split_first() else { return Part::default() };
    if aggregation & CONTINUES != 0 || rest.is_empty() {
        return Part::default();
    }
    let begins = aggregation & NEW_SEQUENCE != 0;
    let mut has_header = false;
    for unit in Units::new(aggregation, rest).filter_map(Unit::read) {
        match unit.obu_type {
            OBU_SEQUENCE_HEADER => has_header = true,
            OBU_FRAME | OBU_FRAME_HEADER if begins => break,
            OBU_FRAME | OBU_FRAME_HEADER => {
                return match is_key_frame(unit.body) {
                    Some(false) => Part::default(),
                    // A truncated frame after a sequence header may be a keyframe.
                    _ if has_header => Part::KEYFRAME,
                    Some(true) => Part::BARE_KEYFRAME,
                    None => Part::default(),
                };
            }
            _ => {}
        }
    }
    match (has_header, begins) {
        (true, _) => Part::KEYFRAME,
        (false, true) => Part::BARE_KEYFRAME,
        (false, false) => Part::default(),
    }
}

/// The size in the sequence header of a payload.
pub(super) fn size(payload: &[u8]) -> Option<FrameSize> {
    sequence_header::av1(sequence(payload)?)
}

/// The layer in the extension of the first OBU of a frame (AV1 bitstream specification 5.3.3); `None` for a payload
/// that begins with the rest of an OBU.
pub(super) fn layer(payload: &[u8]) -> Option<FrameLayer> {
    let (&aggregation, rest) = payload.split_first().filter(|(aggregation, _)| **aggregation & CONTINUES == 0)?;
    let mut units = Units::new(aggregation, rest).filter_map(Unit::read);
    let of_frame = |unit: &Unit<'_>| matches!(unit.obu_type, OBU_FRAME | OBU_FRAME_HEADER | OBU_TILE_GROUP);
    let extension = units.find(of_frame)?.extension.unwrap_or_default();
    Some(FrameLayer::new(extension >> 5, extension >> 3 & 0x03))
}

/// The sequence header in a payload, without its OBU header.
fn sequence(payload: &[u8]) -> Option<&[u8]> {
    let (&aggregation, rest) = payload.split_first().filter(|(aggregation, _)| **aggregation & CONTINUES == 0)?;
    let mut units = Units::new(aggregation, rest).filter_map(Unit::read);
    units.find(|unit| unit.obu_type == OBU_SEQUENCE_HEADER).map(|unit| unit.body)
}

/// Reads the beginning of the frame header (AV1 bitstream specification 5.9.2): whether an earlier frame is shown
/// again, and the type, where 0 is a key frame. `None` for a fragment without a body.
fn is_key_frame(body: &[u8]) -> Option<bool> {
    body.first().map(|bits| bits & 0b1110_0000 == 0)
}

/// The OBU elements of a payload; the last may be cut.
struct Units<'a> {
    rest: &'a [u8],
    /// Elements left, the last of which has no length; 0 when every element has one.
    left: u8,
    counted: bool,
}

impl<'a> Units<'a> {
    fn new(aggregation: u8, rest: &'a [u8]) -> Self {
        let left = aggregation >> 4 & 0x03;
        Self { rest, left, counted: left > 0 }
    }
}

impl<'a> Iterator for Units<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() || (self.counted && self.left == 0) {
            return None;
        }
        self.left = self.left.saturating_sub(1);
        if self.counted && self.left == 0 {
            return Some(self.rest);
        }
        let (length, behind) = leb128(self.rest)?;
        let (unit, rest) = behind.split_at_checked(length)?;
        self.rest = rest;
        Some(unit)
    }
}

/// One OBU after its header (AV1 bitstream specification 5.3).
struct Unit<'a> {
    obu_type: u8,
    /// Its temporal and spatial id, if it has them.
    extension: Option<u8>,
    body: &'a [u8],
}

impl<'a> Unit<'a> {
    fn read(unit: &'a [u8]) -> Option<Self> {
        let (&header, rest) = unit.split_first()?;
        let extended = header & 0x04 != 0;
        let extension = extended.then(|| rest.first().copied()).flatten();
        let body = rest.get(usize::from(extended)..)?;
        // AV1 RTP 4.5 asks senders to leave the size out, and not all do.
        let sized = header & 0x02 != 0;
        let body = if sized { leb128(body)?.1 } else { body };
        Some(Self { obu_type: header >> 3 & 0x0f, extension, body })
    }
}

/// A number of at most four octets in groups of seven bits (AV1 bitstream specification 4.10.5), and what follows: no
/// packet needs a larger one.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let length = 1 + bytes.iter().take(4).position(|byte| byte & 0x80 == 0)?;
    let (number, rest) = bytes.split_at_checked(length)?;
    Some((number.iter().rev().fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f)), rest))
}

/// An AV1 profile: 0 is Main, 1 High, 2 Professional (AV1 RTP 7.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Av1Profile(u8);

impl Av1Profile {
    /// The profile that a format's parameters name; Main where there is none.
    pub(super) fn of(format: &Format) -> Self {
        Self(format.parameter("profile").and_then(|profile| profile.parse().ok()).unwrap_or(0))
    }

    /// The name that people read: that of the standard, or its number.
    pub(super) fn name(self) -> String {
        match self.0 {
            0 => "main".to_owned(),
            1 => "high".to_owned(),
            2 => "professional".to_owned(),
            number => number.to_string(),
        }
    }

    /// True when a decoder for this profile decodes that one: each takes the ones below it (AV1 bitstream specification
    /// A.2).
    pub(crate) fn contains(self, smaller: Self) -> bool {
        self == smaller || (self.0 <= 2 && smaller.0 <= self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_keyframe_start(payload: &[u8]) -> bool {
        part(payload).is_keyframe()
    }

    /// OBUs without a size: a sequence header, a keyframe, another frame, an earlier frame shown again.
    const SEQUENCE: [u8; 4] = [0x08, 0x00, 0x00, 0x00];
    const KEY: [u8; 3] = [0x30, 0x10, 0x00];
    const INTER: [u8; 3] = [0x30, 0x30, 0x00];
    const SHOWN_AGAIN: [u8; 2] = [0x18, 0xc8];
    const METADATA: [u8; 3] = [0x28, 0x01, 0x00];

    /// Elements with a length each (W is 0).
    fn sized(flags: u8, units: &[&[u8]]) -> Vec<u8> {
        let sized = units.iter().flat_map(|unit| [&[unit.len() as u8][..], unit].concat());
        [flags].into_iter().chain(sized).collect()
    }

    /// Elements of which the last has no length (W is their number).
    fn counted(flags: u8, units: &[&[u8]]) -> Vec<u8> {
        let (last, others) = units.split_last().unwrap();
        [sized(flags | (units.len() as u8) << 4, others), last.to_vec()].concat()
    }

    #[test]
    fn the_layer_is_in_the_extension_of_the_first_obu_of_a_frame() {
        let ids = |payload: &[u8]| layer(payload).map(|layer| (layer.temporal(), layer.spatial()));
        assert_eq!(ids(&[&[0x10, 0x34, 0x48], &KEY[1..]].concat()), Some((2, 1)));
        assert_eq!(ids(&[&[0x20, 4], &SEQUENCE[..], &[0x34, 0x20, 0x30]].concat()), Some((1, 0)), "behind the header");
        assert_eq!(ids(&[&[0x10], &INTER[..]].concat()), Some((0, 0)));
        assert_eq!((ids(&[0x90, 0x34, 0x48]), ids(&[0x10, 0x34]), ids(&[])), (None, None, None));
    }

    #[test]
    fn a_new_coded_video_sequence_begins_where_bit_n_is_set() {
        assert!(is_keyframe_start(&counted(0x08, &[&SEQUENCE, &KEY])));
        assert!(is_keyframe_start(&counted(0x48, &[&SEQUENCE])));
        assert!(!is_keyframe_start(&counted(0x88, &[&KEY])), "a continuation begins nothing");
        assert!(!is_keyframe_start(&[0x08]), "no element");
    }

    #[test]
    fn a_sequence_header_begins_one_where_bit_n_is_clear() {
        for packet in [sized, counted] {
            assert!(is_keyframe_start(&packet(0x00, &[&SEQUENCE, &KEY])));
            assert!(is_keyframe_start(&packet(0x40, &[&SEQUENCE, &METADATA, &KEY[..1]])));
            assert!(is_keyframe_start(&packet(0x00, &[&METADATA, &SEQUENCE])));
            assert!(!is_keyframe_start(&packet(0x00, &[&KEY])), "nothing decodes without a sequence header");
            assert!(!is_keyframe_start(&packet(0x00, &[&SEQUENCE, &INTER])), "repeated before another frame");
            assert!(!is_keyframe_start(&packet(0x00, &[&SEQUENCE, &SHOWN_AGAIN])));
            assert!(!is_keyframe_start(&packet(0x00, &[&INTER, &SEQUENCE])));
        }
        let with_sizes = counted(0x00, &[&[0x0a, 3, 0, 0, 0], &[0x36, 0x00, 2, 0x10, 0x00]]);
        assert!(is_keyframe_start(&with_sizes), "sizes and extensions are passed over");
    }

    #[test]
    fn no_keyframe_begins_without_a_sequence_header_and_that_one_lacks_is_known() {
        let is_bare = |payload: &[u8]| part(payload).is_bare_keyframe() && !part(payload).is_keyframe();
        for packet in [sized, counted] {
            assert!(is_bare(&packet(0x08, &[&KEY])) && is_bare(&packet(0x48, &[&METADATA, &KEY[..1]])));
            assert!(is_bare(&packet(0x00, &[&KEY])));
            for other in [&[&SEQUENCE[..], &KEY][..], &[&INTER], &[&SHOWN_AGAIN], &[&KEY[..1]], &[&METADATA]] {
                assert!(!is_bare(&packet(0x00, other)), "{other:02x?}");
            }
            assert!(!is_bare(&packet(0x80, &[&KEY])), "a continuation");
        }
    }

    #[test]
    fn cut_payloads_are_read_until_the_cut() {
        for payload in [&[][..], &[0x00], &[0x00, 9, 0x08], &[0x20, 0x80], &[0x10], &[0x00, 0x80, 0x80, 0x80, 0x80, 1]]
        {
            assert!(!is_keyframe_start(payload), "{payload:02x?}");
        }
        assert!(is_keyframe_start(&[0x20, 4, 0x08, 0, 0, 0]), "the key frame behind it was cut off");
    }

    #[test]
    fn lengths_have_seven_bits_an_octet() {
        assert_eq!(leb128(&[0x05, 9]), Some((5, &[9][..])));
        assert_eq!(leb128(&[0xac, 0x02]), Some((300, &[][..])));
        assert_eq!(leb128(&[0x80, 0x80, 0x80, 0x80, 0x01]), None);
        assert_eq!(leb128(&[0x80]), None);
    }

    #[test]
    fn a_larger_profile_takes_a_smaller_one() {
        assert!(Av1Profile(1).contains(Av1Profile(0)) && Av1Profile(2).contains(Av1Profile(1)));
        assert!(
            !Av1Profile(0).contains(Av1Profile(1))
                && !Av1Profile(3).contains(Av1Profile(0))
                && Av1Profile(3).contains(Av1Profile(3))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = is_keyframe_start(&payload);
        }

        #[test]
        fn any_elements_are_read_without_panic(
            aggregation in prop::sample::select(vec![0x00u8, 0x10, 0x20, 0x30, 0x40]),
            rest in prop::collection::vec(prop_oneof![0u8..9, Just(0x0a), Just(0x32), any::<u8>()], 0..64),
        ) {
            let payload: Vec<u8> = [aggregation].into_iter().chain(rest).collect();
            let _ = (is_keyframe_start(&payload), sequence(&payload));
        }
    }
}
