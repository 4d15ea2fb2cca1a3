//! H.264 as RFC 6184 packetises it: which profile a format names and which payload begins a keyframe.
//!
//! All three packetisation modes are read: single NAL units, STAP-A and FU-A, and the packets that only the interleaved
//! mode has. A length that points past the payload ends the reading; the units before it count.

use super::bits::Bits;
use super::format::Format;
use super::frame_layer::FrameLayer;
use super::frame_size::FrameSize;
use super::nal::{FU_START, Reference, SetId, SetKind, Unit, each_of};
use super::part::Part;
use super::sequence_header;

const NAL_SLICES: std::ops::RangeInclusive<u8> = 1..=4;
const NAL_IDR: u8 = 5;
const NAL_SEI: u8 = 6;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;
const STAP_A: u8 = 24;
const STAP_B: u8 = 25;
const MTAP16: u8 = 26;
const MTAP24: u8 = 27;
const FU_A: u8 = 28;
const FU_B: u8 = 29;

/// Octets of a decoding order number, with which interleaved packets begin (RFC 6184 5.5).
const DON_LEN: usize = 2;

/// Limits of parameter set ids (ITU-T H.264 7.4.2.1.1, 7.4.2.2).
const SPS_IDS: u32 = 32;
const PPS_IDS: u32 = 256;

/// What part of a frame a payload contains.
pub(super) fn part(payload: &[u8]) -> Part {
    let mut part = Part::default();
    each_unit(payload, &mut |unit| part = part.and(of_unit(&unit)));
    part
}

/// Visits the NAL units in a payload.
pub(super) fn each_unit<'a>(payload: &'a [u8], visit: &mut impl FnMut(Unit<'a>)) {
    let Some((&indicator, rest)) = payload.split_first() else { return };
    let mut whole = |unit: &'a [u8]| {
        if let Some((&header, body)) = unit.split_first() {
            visit(Unit { nal_type: header & 0x1f, body, whole: Some(unit), begins: true });
        }
    };
    match indicator & 0x1f {
        STAP_A => each_of(rest, 0, &mut whole),
        STAP_B => each_of(rest.get(DON_LEN..).unwrap_or_default(), 0, &mut whole),
        // Each unit of a MTAP has its own difference of decoding order and of time (RFC 6184 5.7.2).
        MTAP16 => each_of(rest.get(DON_LEN..).unwrap_or_default(), 3, &mut whole),
        MTAP24 => each_of(rest.get(DON_LEN..).unwrap_or_default(), 4, &mut whole),
        FU_A => visit_fragment(rest, 0, visit),
        FU_B => visit_fragment(rest, DON_LEN, visit),
        _ => whole(payload),
    }
}

/// A fragment with its FU header, followed by `between` octets.
fn visit_fragment<'a>(rest: &'a [u8], between: usize, visit: &mut impl FnMut(Unit<'a>)) {
    let Some((&header, rest)) = rest.split_first() else { return };
    let begins = header & FU_START != 0;
    visit(Unit { nal_type: header & 0x1f, body: rest.get(between..).unwrap_or_default(), whole: None, begins });
}

fn of_unit(unit: &Unit<'_>) -> Part {
    match unit.nal_type {
        nal_type if is_set(nal_type) => Part::SETS,
        NAL_SEI if unit.is_recovery_point() => Part::RECOVERY_POINT,
        NAL_IDR if unit.is_first_slice() => Part::SLICE.and(Part::RANDOM_ACCESS).and(Part::KEYFRAME),
        NAL_IDR => Part::SLICE.and(Part::RANDOM_ACCESS),
        nal_type if NAL_SLICES.contains(&nal_type) => Part::SLICE,
        _ => Part::default(),
    }
}

/// A frame that no other refers to has `nal_ref_idc` 0 in all its slices (ITU-T H.264 7.4.1). The first octet of each
/// payload has the highest of its units (RFC 6184 5.3), and units that are no slices may have 0 in any frame.
pub(super) fn layer(payload: &[u8]) -> Option<FrameLayer> {
    let is_reference = payload.first()? & 0x60 != 0;
    let is_discardable = !is_reference && part(payload).has_slice();
    Some(FrameLayer::default().discardable(is_discardable))
}

/// Whether units of this type are parameter sets.
pub(super) fn is_set(nal_type: u8) -> bool {
    matches!(nal_type, NAL_SPS | NAL_PPS)
}

/// The size in the sequence parameter set of a payload.
pub(super) fn size(payload: &[u8]) -> Option<FrameSize> {
    sequence_header::h264(sequence_set(payload)?)
}

/// The sequence parameter set in a payload, without its NAL header; fragments are ignored.
fn sequence_set(payload: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    each_unit(payload, &mut |unit| {
        if unit.nal_type == NAL_SPS && unit.whole.is_some() {
            found = found.or(Some(unit.body));
        }
    });
    found
}

/// Which parameter set a unit is, or which one a slice refers to (ITU-T H.264 7.3.2.1.1, 7.3.2.2, 7.3.3).
pub(super) fn reference(unit: &Unit<'_>) -> Option<Reference> {
    let bits = &mut Bits::of_unit(unit.body);
    let sequence = |id| SetId::below(SPS_IDS, SetKind::Sequence, id);
    let picture = |id| SetId::below(PPS_IDS, SetKind::Picture, id);
    match unit.nal_type {
        NAL_SPS => {
            bits.skip(24)?;
            Some(Reference::Set { own: sequence(bits.golomb()?)?, parent: None })
        }
        NAL_PPS => {
            let own = picture(bits.golomb()?)?;
            Some(Reference::Set { own, parent: Some(sequence(bits.golomb()?)?) })
        }
        NAL_IDR if unit.begins => {
            // first_mb_in_slice, slice_type.
            bits.golomb()?;
            bits.golomb()?;
            Some(Reference::Slice(picture(bits.golomb()?)?))
        }
        _ => None,
    }
}

/// An H.264 profile as far as formats of WebRTC clients differ (RFC 6184 table 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum H264Profile {
    /// Baseline without flexible macroblock order and redundant slices: what browsers encode.
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

impl H264Profile {
    /// The profile in a format's `profile-level-id`; Baseline where there is none (RFC 6184 8.1).
    pub(super) fn of(format: &Format) -> Self {
        format.parameter("profile-level-id").map_or(Self::Baseline, Self::of_level_id)
    }

    /// The profile in a `profile-level-id` of six hexadecimal digits; Baseline when the text is no such id, as if
    /// there were none.
    pub(crate) fn of_level_id(text: &str) -> Self {
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

    /// The name that people read: that of the standard, or its number.
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
    pub(crate) fn contains(self, smaller: Self) -> bool {
        use H264Profile::{Baseline, ConstrainedBaseline, ConstrainedHigh, Main};
        self == smaller
            || match (self.high_rank(), smaller) {
                (Some(_), ConstrainedBaseline | Main | ConstrainedHigh) => true,
                (Some(own), smaller) => smaller.high_rank().is_some_and(|rank| rank < own),
                (None, ConstrainedBaseline) => matches!(self, Baseline | Main | ConstrainedHigh),
                (None, _) => false,
            }
    }

    /// The rank among the profiles of which each contains the ones below: High, High 10, High 4:2:2 and High 4:4:4
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

    const KEYFRAME: Part = Part::SLICE.and(Part::RANDOM_ACCESS).and(Part::KEYFRAME);

    #[test]
    fn a_frame_is_discardable_when_all_its_slices_are() {
        let discardable = |payload: &[u8]| layer(payload).is_some_and(FrameLayer::is_discardable);
        assert!(discardable(&[0x01, 0x9a, 0x02]) && !discardable(&SLICE) && !discardable(&IDR));
        assert!(
            discardable(&[0x1c, 0x81, 0x9a]) && discardable(&[0x1c, 0x01, 0x9a]) && !discardable(&[0x7c, 0x85, 0x88])
        );
        assert!(!discardable(&SEI) && !discardable(&[0x09, 0xf0]), "units of any frame");
        assert_eq!(layer(&[]), None);
    }

    #[test]
    fn parameter_sets_alone_begin_no_keyframe() {
        for payload in [&SPS[..], &PPS, &stap_a(&[&SPS, &PPS]), &[0x7c, 0x87, 0x42]] {
            assert_eq!(part(payload), Part::SETS, "{payload:02x?}");
        }
        assert_eq!(part(&stap_a(&[&SPS, &PPS, &SLICE])), Part::SETS.and(Part::SLICE));
        assert_eq!(part(&stap_a(&[&[0x09, 0x10], &SEI, &SPS, &PPS, &IDR])), Part::SETS.and(KEYFRAME));
    }

    #[test]
    fn units_name_their_ids_and_the_parameter_sets_they_refer_to() {
        let set = |kind, id| SetId { kind, id };
        let of = |unit: &[u8]| {
            let mut found = None;
            each_unit(unit, &mut |unit| found = reference(&unit));
            found
        };
        let sequence = set(SetKind::Sequence, 0);
        assert_eq!(of(&[0x67, 0x42, 0xe0, 0x1f, 0xda]), Some(Reference::Set { own: sequence, parent: None }));
        let picture = set(SetKind::Picture, 1);
        // 010 1 ...: picture set 1 of sequence set 0.
        assert_eq!(of(&[0x68, 0b0101_0000]), Some(Reference::Set { own: picture, parent: Some(sequence) }));
        // 1 00111 010: first macroblock 0, slice type 6, picture set 1 (in two bytes).
        assert_eq!(of(&[0x65, 0b1001_1101, 0b0000_0000]), Some(Reference::Slice(picture)));
        assert_eq!(of(&[0x7c, 0x85, 0b1001_1101, 0]), Some(Reference::Slice(picture)));
        for cut in [&[0x67, 0x42, 0xe0][..], &[0x68], &[0x65], &[0x7c, 0x05, 0x9d, 0], &[0x41, 0x9d, 0]] {
            assert_eq!(of(cut), None, "{cut:02x?}");
        }
        // Picture set 256.
        assert_eq!(of(&[0x68, 0x00, 0x80, 0x80, 0x80]), None, "there are 256");
    }

    #[test]
    fn the_sequence_parameter_set_is_found_alone_or_aggregated() {
        assert_eq!(sequence_set(&SPS), Some(&SPS[1..]));
        assert_eq!(sequence_set(&stap_a(&[&[0x09, 0x10], &SEI, &SPS, &PPS])), Some(&SPS[1..]));
        for payload in [&PPS[..], &stap_a(&[&SEI, &PPS]), &[0x78, 0, 9, 0x67], &[], &[0x7c, 0x87, 0x42]] {
            assert_eq!(sequence_set(payload), None, "{payload:02x?}");
        }
    }

    #[test]
    fn the_first_slice_of_an_idr_begins_a_keyframe_and_later_slices_do_not() {
        let later = Part::SLICE.and(Part::RANDOM_ACCESS);
        assert_eq!(part(&IDR), KEYFRAME);
        assert_eq!(part(&stap_a(&[&SEI, &IDR])), KEYFRAME);
        assert_eq!(part(&IDR_LATER_SLICE), later);
        assert_eq!(part(&[0x7c, 0x85, 0x88]), KEYFRAME);
        for payload in [&[0x7c, 0x85, 0x42][..], &[0x7c, 0x05, 0x88], &[0x7c, 0x45, 0x88]] {
            assert_eq!(part(payload), later, "{payload:02x?}");
        }
    }

    #[test]
    fn the_interleaved_mode_is_read_as_the_others_are() {
        let sized = |unit: &[u8]| [&(unit.len() as u16).to_be_bytes()[..], unit].concat();
        let timed = |unit: &[u8], between: &[u8]| [&(unit.len() as u16).to_be_bytes()[..], between, unit].concat();
        assert_eq!(part(&[&[0x79, 0, 1][..], &sized(&SEI), &sized(&SPS)].concat()), Part::SETS);
        let both = [&[0x7a, 0, 1][..], &timed(&SPS, &[0; 3]), &timed(&IDR, &[0; 3])].concat();
        assert_eq!(part(&both), Part::SETS.and(KEYFRAME));
        assert_eq!(part(&[&[0x7a, 0, 1][..], &timed(&SEI, &[0; 3]), &timed(&IDR, &[0; 3])].concat()), KEYFRAME);
        assert_eq!(part(&[&[0x7b, 0, 1][..], &timed(&SLICE, &[0; 4]), &timed(&IDR, &[0; 4])].concat()), KEYFRAME);
        assert_eq!(part(&[0x7d, 0x85, 0, 1, 0x88]), KEYFRAME);
        assert_eq!(part(&[0x7d, 0x85, 0x88, 0x88, 0x42]), Part::SLICE.and(Part::RANDOM_ACCESS));
    }

    #[test]
    fn other_frames_and_supplemental_information_begin_no_keyframe() {
        assert_eq!([&SLICE[..], &[0x7c, 0x81, 0x9a]].map(part), [Part::SLICE; 2]);
        assert_eq!([&SEI[..], &[0x09, 0x10]].map(part), [Part::default(); 2]);
        assert_eq!(part(&stap_a(&[&SEI, &SLICE])), Part::SLICE);
        assert_eq!(part(&[0x06, 0x06, 0x01, 0xc4]), Part::RECOVERY_POINT);
    }

    #[test]
    fn cut_payloads_are_read_until_the_cut() {
        for payload in [&[][..], &[0x78], &[0x78, 0], &[0x78, 0, 9, 0x67], &[0x7c]] {
            assert_eq!(part(payload), Part::default(), "{payload:02x?}");
        }
        for payload in [&[0x7c, 0x85][..], &[0x7d, 0x85, 0], &[0x65]] {
            assert!(!part(payload).is_keyframe(), "{payload:02x?}");
        }
        let mut cut = stap_a(&[&SPS, &PPS, &IDR]);
        cut.truncate(cut.len() - 1);
        assert_eq!(part(&cut), Part::SETS);
    }

    #[test]
    fn names_profiles_by_table_5() {
        let cases = [
            ("42e01f", H264Profile::ConstrainedBaseline),
            ("42c02a", H264Profile::ConstrainedBaseline),
            ("4d801f", H264Profile::ConstrainedBaseline),
            ("58c01f", H264Profile::ConstrainedBaseline),
            ("42000a", H264Profile::Baseline),
            ("42801f", H264Profile::Baseline),
            ("588014", H264Profile::Baseline),
            ("4d001f", H264Profile::Main),
            ("4D401F", H264Profile::Main),
            ("640c1f", H264Profile::ConstrainedHigh),
            ("64001f", H264Profile::High),
            ("f4001f", H264Profile::Other(0xf4, 0)),
            ("+2e01f", H264Profile::Baseline),
            ("nonsense", H264Profile::Baseline),
        ];
        for (text, profile) in cases {
            assert_eq!(H264Profile::of_level_id(text), profile, "{text}");
        }
    }

    #[test]
    fn each_high_profile_contains_the_ones_below_it() {
        let line = ["42e01f", "4d001f", "640c1f", "64001f", "6e001f", "7a001f", "f4001f"].map(H264Profile::of_level_id);
        for (place, own) in line.into_iter().enumerate().skip(3) {
            assert!(line[..=place].iter().all(|smaller| own.contains(*smaller)), "{own:?}");
            assert!(line[place + 1..].iter().all(|larger| !own.contains(*larger)), "{own:?}");
        }
        assert!(
            !H264Profile::High.contains(H264Profile::Baseline)
                && !H264Profile::Main.contains(H264Profile::ConstrainedHigh)
        );
        assert!(
            H264Profile::Main.contains(H264Profile::ConstrainedBaseline)
                && !H264Profile::Main.contains(H264Profile::High)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = part(&payload);
        }

        #[test]
        fn any_bytes_behind_an_aggregation_or_fragmentation_byte_are_read_without_panic(
            indicator in prop::sample::select(vec![0x78u8, 0x79, 0x7a, 0x7b, 0x7c, 0x7d]),
            rest in prop::collection::vec(prop_oneof![Just(0u8), 1u8..9, any::<u8>()], 0..64),
        ) {
            let payload: Vec<u8> = std::iter::once(indicator).chain(rest).collect();
            let _ = (part(&payload), sequence_set(&payload));
        }

        #[test]
        fn any_text_names_a_profile(text in ".{0,8}") {
            let _ = H264Profile::of_level_id(&text);
        }
    }
}
