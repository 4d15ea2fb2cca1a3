//! H.264 as RFC 6184 packetises it: which profile a format names and which payload begins a keyframe.
//!
//! All three packetisation modes are read: single NAL units, STAP-A and FU-A, and what only the interleaved mode has. A
//! length that points past the payload ends the reading; what was read until there counts.

use super::Start;

const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const STAP_A: u8 = 24;
const STAP_B: u8 = 25;
const MTAP16: u8 = 26;
const MTAP24: u8 = 27;
const FU_A: u8 = 28;
const FU_B: u8 = 29;

/// The bit of a FU header that says "first fragment" (RFC 6184 5.8).
const FU_START: u8 = 0x80;

/// Octets of a decoding order number, which interleaved packets begin with (RFC 6184 5.5).
const DON_LEN: usize = 2;

/// What of a keyframe's beginning a payload holds.
pub(super) fn start(payload: &[u8]) -> Start {
    let Some((&indicator, rest)) = payload.split_first() else { return Start::None };
    match indicator & 0x1f {
        STAP_A => of_units(rest, 0),
        STAP_B => rest.get(DON_LEN..).map_or(Start::None, |units| of_units(units, 0)),
        // Each unit of a MTAP has its own difference of decoding order and of time (RFC 6184 5.7.2).
        MTAP16 => rest.get(DON_LEN..).map_or(Start::None, |units| of_units(units, 3)),
        MTAP24 => rest.get(DON_LEN..).map_or(Start::None, |units| of_units(units, 4)),
        FU_A => of_fragment(rest, 0),
        FU_B => of_fragment(rest, DON_LEN),
        _ => of_unit(payload),
    }
}

/// The sequence parameter set in a payload, without its NAL header; none that is in fragments or interleaved.
pub(super) fn sequence(payload: &[u8]) -> Option<&[u8]> {
    let (&header, mut rest) = payload.split_first()?;
    match header & 0x1f {
        NAL_SPS => return Some(rest),
        STAP_A => {}
        _ => return None,
    }
    while let Some((size, behind)) = rest.split_first_chunk::<2>() {
        let (unit, behind) = behind.split_at_checked(u16::from_be_bytes(*size).into())?;
        match unit.split_first() {
            Some((&header, set)) if header & 0x1f == NAL_SPS => return Some(set),
            _ => rest = behind,
        }
    }
    None
}

/// The best of the units of an aggregation packet, of which each has `between` octets behind its size.
fn of_units(mut rest: &[u8], between: usize) -> Start {
    let mut best = Start::None;
    while let Some((size, behind)) = rest.split_first_chunk::<2>() {
        let unit = behind.get(between..).and_then(|unit| unit.split_at_checked(u16::from_be_bytes(*size).into()));
        let Some((unit, behind)) = unit else { break };
        best = best.max(of_unit(unit));
        rest = behind;
    }
    best
}

/// A fragment with its FU header, behind which are `between` octets.
fn of_fragment(rest: &[u8], between: usize) -> Start {
    match rest.split_first() {
        Some((&header, rest)) if header & FU_START != 0 => of_parts(header & 0x1f, rest.get(between..).unwrap_or(&[])),
        _ => Start::None,
    }
}

fn of_unit(unit: &[u8]) -> Start {
    unit.split_first().map_or(Start::None, |(&header, body)| of_parts(header & 0x1f, body))
}

fn of_parts(nal_type: u8, body: &[u8]) -> Start {
    match nal_type {
        NAL_SPS => Start::Sequence,
        // first_mb_in_slice is the first field of a slice, and 0 is the single bit 1 in Exp-Golomb (ITU-T H.264
        // 7.3.3, 9.1): later slices of the picture begin with a 0 bit.
        NAL_IDR if body.first().is_some_and(|byte| byte & 0x80 != 0) => Start::Picture,
        _ => Start::None,
    }
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

    /// Its name for people: that of the standard, or its number.
    pub(super) fn name(self) -> String {
        match self {
            Self::ConstrainedBaseline => "constrained baseline".to_owned(),
            Self::Baseline => "baseline".to_owned(),
            Self::Main => "main".to_owned(),
            Self::ConstrainedHigh => "constrained high".to_owned(),
            Self::High => "high".to_owned(),
            Self::Other(idc, _) => idc.to_string(),
        }
    }

    /// True when a decoder for this profile decodes that one (ITU-T H.264 annex A.2).
    pub fn contains(self, smaller: Self) -> bool {
        use Profile::{Baseline, ConstrainedBaseline, ConstrainedHigh, Main};
        self == smaller
            || match (self.high_rank(), smaller) {
                (Some(_), ConstrainedBaseline | Main | ConstrainedHigh) => true,
                (Some(own), smaller) => smaller.high_rank().is_some_and(|rank| rank < own),
                (None, ConstrainedBaseline) => matches!(self, Baseline | Main | ConstrainedHigh),
                (None, _) => false,
            }
    }

    /// The place among the profiles of which each contains the ones below: High, High 10, High 4:2:2 and High 4:4:4
    /// Predictive.
    fn high_rank(self) -> Option<u8> {
        match self {
            Self::High => Some(0),
            Self::Other(110, 0) => Some(1),
            Self::Other(122, 0) => Some(2),
            Self::Other(244, 0) => Some(3),
            _ => None,
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
        assert_eq!(start(&SPS), Start::Sequence);
        assert_eq!(start(&stap_a(&[&SPS, &PPS])), Start::Sequence);
        assert_eq!(start(&stap_a(&[&[0x09, 0x10], &SEI, &SPS, &PPS, &IDR])), Start::Sequence);
        assert_eq!(start(&[0x7c, 0x87, 0x42]), Start::Sequence);
    }

    #[test]
    fn the_sequence_parameter_set_is_found_alone_or_aggregated() {
        assert_eq!(sequence(&SPS), Some(&SPS[1..]));
        assert_eq!(sequence(&stap_a(&[&[0x09, 0x10], &SEI, &SPS, &PPS])), Some(&SPS[1..]));
        for payload in [&PPS[..], &stap_a(&[&SEI, &PPS]), &[0x78, 0, 9, 0x67], &[], &[0x7c, 0x87, 0x42]] {
            assert_eq!(sequence(payload), None, "{payload:02x?}");
        }
    }

    #[test]
    fn the_first_slice_of_an_idr_begins_a_keyframe_and_later_slices_do_not() {
        assert_eq!(start(&IDR), Start::Picture);
        assert_eq!(start(&stap_a(&[&SEI, &IDR])), Start::Picture);
        assert_eq!(start(&IDR_LATER_SLICE), Start::None);
        assert_eq!(start(&[0x7c, 0x85, 0x88]), Start::Picture);
        assert_eq!(start(&[0x7c, 0x85, 0x42]), Start::None);
    }

    #[test]
    fn the_interleaved_mode_is_read_as_the_others_are() {
        let sized = |unit: &[u8]| [&(unit.len() as u16).to_be_bytes()[..], unit].concat();
        let timed = |unit: &[u8], between: &[u8]| [&(unit.len() as u16).to_be_bytes()[..], between, unit].concat();
        assert_eq!(start(&[&[0x79, 0, 1][..], &sized(&SEI), &sized(&SPS)].concat()), Start::Sequence);
        assert_eq!(start(&[&[0x7a, 0, 1][..], &timed(&SPS, &[0; 3]), &timed(&IDR, &[0; 3])].concat()), Start::Sequence);
        assert_eq!(start(&[&[0x7a, 0, 1][..], &timed(&SEI, &[0; 3]), &timed(&IDR, &[0; 3])].concat()), Start::Picture);
        assert_eq!(
            start(&[&[0x7b, 0, 1][..], &timed(&SLICE, &[0; 4]), &timed(&IDR, &[0; 4])].concat()),
            Start::Picture
        );
        assert_eq!(start(&[0x7d, 0x85, 0, 1, 0x88]), Start::Picture);
        assert_eq!(start(&[0x7d, 0x85, 0x88, 0x88, 0x42]), Start::None);
    }

    #[test]
    fn middles_ends_and_other_pictures_begin_nothing() {
        for payload in [&SLICE[..], &PPS, &SEI, &[0x7c, 0x05, 0x88], &[0x7c, 0x45, 0x88], &[0x7c, 0x81, 0x9a]] {
            assert_eq!(start(payload), Start::None, "{payload:02x?}");
        }
        assert_eq!(start(&stap_a(&[&SEI, &SLICE])), Start::None);
    }

    #[test]
    fn cut_payloads_are_read_until_the_cut() {
        for payload in
            [&[][..], &[0x78], &[0x78, 0], &[0x78, 0, 9, 0x67], &[0x7c], &[0x7c, 0x85], &[0x7d, 0x85, 0], &[0x65]]
        {
            assert_eq!(start(payload), Start::None, "{payload:02x?}");
        }
        let mut cut = stap_a(&[&SPS, &PPS]);
        cut.truncate(cut.len() - 1);
        assert_eq!(start(&cut), Start::Sequence);
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

    #[test]
    fn each_high_profile_contains_the_ones_below_it() {
        let line = ["42e01f", "4d001f", "640c1f", "64001f", "6e001f", "7a001f", "f4001f"].map(Profile::of_level_id);
        for (place, own) in line.into_iter().enumerate().skip(3) {
            assert!(line[..=place].iter().all(|smaller| own.contains(*smaller)), "{own:?}");
            assert!(line[place + 1..].iter().all(|larger| !own.contains(*larger)), "{own:?}");
        }
        assert!(!Profile::High.contains(Profile::Baseline) && !Profile::Main.contains(Profile::ConstrainedHigh));
        assert!(Profile::Main.contains(Profile::ConstrainedBaseline) && !Profile::Main.contains(Profile::High));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = start(&payload);
        }

        #[test]
        fn any_bytes_behind_an_aggregation_or_fragmentation_byte_are_read_without_panic(
            indicator in prop::sample::select(vec![0x78u8, 0x79, 0x7a, 0x7b, 0x7c, 0x7d]),
            rest in prop::collection::vec(prop_oneof![Just(0u8), 1u8..9, any::<u8>()], 0..64),
        ) {
            let payload: Vec<u8> = std::iter::once(indicator).chain(rest).collect();
            let _ = (start(&payload), sequence(&payload));
        }

        #[test]
        fn any_text_names_a_profile(text in ".{0,8}") {
            let _ = Profile::of_level_id(&text);
        }
    }
}
