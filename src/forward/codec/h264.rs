//! H.264 as RFC 6184 packetises it: which profile a format names and which payload begins a keyframe.
//!
//! Only what modes 0 and 1 use is read: single NAL units, STAP-A and FU-A. A length that points past the payload ends
//! the reading; what was read until there counts.

const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// The bit of a FU header that says "first fragment" (RFC 6184 5.8).
const FU_START: u8 = 0x80;

/// What of a keyframe's beginning a payload holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing that a decoder could begin with.
    None,
    /// The first slice of an IDR picture, and no parameter set before it.
    Picture,
    /// A sequence parameter set: every decoder can begin here.
    ParameterSet,
}

impl Start {
    /// Reads one RTP payload.
    pub(super) fn of(payload: &[u8]) -> Self {
        let Some((&indicator, rest)) = payload.split_first() else { return Self::None };
        match indicator & 0x1f {
            STAP_A => aggregated(rest).map(Self::of_unit).find(|&start| start != Self::None).unwrap_or(Self::None),
            FU_A => match rest.split_first() {
                Some((&header, fragment)) if header & FU_START != 0 => Self::of_parts(header & 0x1f, fragment),
                _ => Self::None,
            },
            _ => Self::of_unit(payload),
        }
    }

    fn of_unit(unit: &[u8]) -> Self {
        unit.split_first().map_or(Self::None, |(&header, body)| Self::of_parts(header & 0x1f, body))
    }

    fn of_parts(nal_type: u8, body: &[u8]) -> Self {
        match nal_type {
            NAL_SPS => Self::ParameterSet,
            // first_mb_in_slice is the first field of a slice, and 0 is the single bit 1 in Exp-Golomb (ITU-T H.264
            // 7.3.3, 9.1): later slices of the picture begin with a 0 bit.
            NAL_IDR if body.first().is_some_and(|byte| byte & 0x80 != 0) => Self::Picture,
            _ => Self::None,
        }
    }
}

/// The units of a STAP-A behind its indicator byte (RFC 6184 5.7.1).
fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (size, behind) = rest.split_first_chunk::<2>()?;
        let (unit, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
        rest = behind;
        Some(unit)
    })
}

/// An H.264 profile as far as formats of WebRTC clients differ (RFC 6184 table 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Baseline without flexible order and redundancy: what browsers encode.
    ConstrainedBaseline,
    /// Baseline.
    Baseline,
    /// Main.
    Main,
    /// High without interlace and B pictures.
    ConstrainedHigh,
    /// High.
    High,
    /// Any other, by its `profile_idc` and `profile-iop`.
    Other(u8, u8),
}

impl Profile {
    /// The profile in a `profile-level-id` of six hexadecimal digits; Baseline when the text is no such id, as if
    /// there were none.
    pub fn of_level_id(text: &str) -> Self {
        let all_hex = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let Some(bits) = all_hex.then(|| u32::from_str_radix(text, 16).ok()).flatten() else { return Self::Baseline };
        let [_, idc, iop, _] = bits.to_be_bytes();
        match (idc, iop) {
            (0x42, iop) if iop & 0x4f == 0x40 => Self::ConstrainedBaseline,
            (0x42, iop) if iop & 0x4f == 0x00 => Self::Baseline,
            (0x4d, iop) if iop & 0x8f == 0x80 => Self::ConstrainedBaseline,
            (0x4d, iop) if iop & 0xaf == 0x00 => Self::Main,
            (0x58, iop) if iop & 0xcf == 0xc0 => Self::ConstrainedBaseline,
            (0x58, iop) if iop & 0xcf == 0x80 => Self::Baseline,
            (0x64, 0x0c) => Self::ConstrainedHigh,
            (0x64, 0x00) => Self::High,
            (idc, iop) => Self::Other(idc, iop),
        }
    }

    /// True when a decoder for this profile decodes that one (ITU-T H.264 annex A.2).
    pub fn contains(self, smaller: Self) -> bool {
        use Profile::{Baseline, ConstrainedBaseline, ConstrainedHigh, High, Main};
        self == smaller
            || match smaller {
                ConstrainedBaseline => matches!(self, Baseline | Main | ConstrainedHigh | High),
                Main | ConstrainedHigh => self == High,
                Baseline | High | Self::Other(..) => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPS: [u8; 4] = [0x67, 0x42, 0xe0, 0x1f];
    const PPS: [u8; 3] = [0x68, 0xce, 0x3c];
    const SEI: [u8; 3] = [0x06, 0x05, 0x01];
    const IDR: [u8; 3] = [0x65, 0x88, 0x84];
    const IDR_LATER_SLICE: [u8; 3] = [0x65, 0x42, 0x84];
    const SLICE: [u8; 3] = [0x41, 0x9a, 0x02];

    fn stap_a(units: &[&[u8]]) -> Vec<u8> {
        let sized = units.iter().flat_map(|unit| [&(unit.len() as u16).to_be_bytes()[..], unit].concat());
        [0x78].into_iter().chain(sized).collect()
    }

    #[test]
    fn a_sequence_parameter_set_begins_a_keyframe_alone_or_aggregated() {
        assert_eq!(Start::of(&SPS), Start::ParameterSet);
        assert_eq!(Start::of(&stap_a(&[&SPS, &PPS])), Start::ParameterSet);
        assert_eq!(Start::of(&stap_a(&[&[0x09, 0x10], &SEI, &SPS, &PPS, &IDR])), Start::ParameterSet);
        assert_eq!(Start::of(&[0x7c, 0x87, 0x42]), Start::ParameterSet);
    }

    #[test]
    fn the_first_slice_of_an_idr_begins_a_keyframe_and_later_slices_do_not() {
        assert_eq!(Start::of(&IDR), Start::Picture);
        assert_eq!(Start::of(&stap_a(&[&SEI, &IDR])), Start::Picture);
        assert_eq!(Start::of(&IDR_LATER_SLICE), Start::None);
        assert_eq!(Start::of(&[0x7c, 0x85, 0x88]), Start::Picture);
        assert_eq!(Start::of(&[0x7c, 0x85, 0x42]), Start::None);
    }

    #[test]
    fn middles_ends_and_other_pictures_begin_nothing() {
        for payload in [&SLICE[..], &PPS, &SEI, &[0x7c, 0x05, 0x88], &[0x7c, 0x45, 0x88], &[0x7c, 0x81, 0x9a]] {
            assert_eq!(Start::of(payload), Start::None, "{payload:02x?}");
        }
        assert_eq!(Start::of(&stap_a(&[&SEI, &SLICE])), Start::None);
    }

    #[test]
    fn cut_payloads_are_read_until_the_cut() {
        for payload in [&[][..], &[0x78], &[0x78, 0], &[0x78, 0, 9, 0x67], &[0x7c], &[0x7c, 0x85], &[0x65]] {
            assert_eq!(Start::of(payload), Start::None, "{payload:02x?}");
        }
        let mut cut = stap_a(&[&SPS, &PPS]);
        cut.truncate(cut.len() - 1);
        assert_eq!(Start::of(&cut), Start::ParameterSet);
    }

    #[test]
    fn names_profiles_by_table_5() {
        let cases = [
            ("42e01f", Profile::ConstrainedBaseline),
            ("42c02a", Profile::ConstrainedBaseline),
            ("4d801f", Profile::ConstrainedBaseline),
            ("58c01f", Profile::ConstrainedBaseline),
            ("42000a", Profile::Baseline),
            ("42801f", Profile::Baseline),
            ("588014", Profile::Baseline),
            ("4d001f", Profile::Main),
            ("4D401F", Profile::Main),
            ("640c1f", Profile::ConstrainedHigh),
            ("64001f", Profile::High),
            ("f4001f", Profile::Other(0xf4, 0)),
            ("+2e01f", Profile::Baseline),
            ("nonsense", Profile::Baseline),
        ];
        for (text, profile) in cases {
            assert_eq!(Profile::of_level_id(text), profile, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Start::of(&payload);
        }

        #[test]
        fn any_bytes_behind_an_aggregation_or_fragmentation_byte_are_read_without_panic(
            indicator in prop::sample::select(vec![0x78u8, 0x7c]),
            rest in prop::collection::vec(prop_oneof![Just(0u8), 1u8..9, any::<u8>()], 0..64),
        ) {
            let payload: Vec<u8> = std::iter::once(indicator).chain(rest).collect();
            let _ = Start::of(&payload);
        }

        #[test]
        fn any_text_names_a_profile(text in ".{0,8}") {
            let _ = Profile::of_level_id(&text);
        }
    }
}
