//! H.265 as RFC 7798 packetises it: which profile a format names and which payload begins a keyframe.
//!
//! Streams with decoding order numbers in their packets (`sprop-max-don-diff` above 0) are not read; no WebRTC client
//! sends them. A length that points past the payload ends the reading; the units before it count.

use super::bits::Bits;
use super::format::Format;
use super::frame_layer::FrameLayer;
use super::frame_size::FrameSize;
use super::nal::{FU_START, Reference, SetId, SetKind, Unit, each_of};
use super::part::Part;
use super::sequence_header;

/// Leading pictures that may refer to pictures before their random access picture (ITU-T H.265 table 7-1).
const NAL_RASL: std::ops::RangeInclusive<u8> = 8..=9;
/// Pictures that need no earlier one: BLA, IDR and CRA (ITU-T H.265 table 7-1).
const NAL_IRAP: std::ops::RangeInclusive<u8> = 16..=21;
/// Frames at which a temporal layer can be begun: with all higher ones (TSA), alone (STSA).
const NAL_TSA: [u8; 2] = [2, 3];
const NAL_STSA: [u8; 2] = [4, 5];
/// Up to this type, even ones are of frames that no frame of their temporal layer refers to.
const LAST_NON_REFERENCE: u8 = 14;
const NAL_SLICES: std::ops::RangeInclusive<u8> = 0..=31;
const NAL_VPS: u8 = 32;
const NAL_SPS: u8 = 33;
const NAL_PPS: u8 = 34;
const NAL_SEI: u8 = 39;
const AP: u8 = 48;
const FU: u8 = 49;
const PACI: u8 = 50;

/// Limits of parameter set ids (ITU-T H.265 7.4.3.2.1, 7.4.3.3.1); the id of a video parameter set has four bits.
const SPS_IDS: u32 = 16;
const PPS_IDS: u32 = 64;

/// What part of a frame a payload contains.
pub(super) fn part(payload: &[u8]) -> Part {
    let mut part = Part::default();
    each_unit(payload, &mut |unit| part = part.and(of_unit(&unit)));
    part
}

/// Visits the NAL units in a payload.
pub(super) fn each_unit<'a>(payload: &'a [u8], visit: &mut impl FnMut(Unit<'a>)) {
    let Some((nal_type, rest)) = split_header(payload) else { return };
    match nal_type {
        PACI => {
            if let Some((nal_type, rest)) = unwrapped(rest) {
                visit_packet(nal_type, rest, None, visit);
            }
        }
        _ => visit_packet(nal_type, rest, Some(payload), visit),
    }
}

/// The type in a payload header or NAL unit header of two octets, and what follows (RFC 7798 1.1.4).
fn split_header(unit: &[u8]) -> Option<(u8, &[u8])> {
    let (header, body) = unit.split_first_chunk::<2>()?;
    Some((header[0] >> 1 & 0x3f, body))
}

/// What a PACI packet wraps: its type and the payload after the extension (RFC 7798 4.4.4).
fn unwrapped(rest: &[u8]) -> Option<(u8, &[u8])> {
    let (fields, behind) = rest.split_first_chunk::<2>()?;
    let fields = u16::from_be_bytes(*fields);
    let extension = usize::from(fields >> 4 & 0x1f);
    Some(((fields >> 9 & 0x3f) as u8, behind.get(extension..)?))
}

fn visit_packet<'a>(nal_type: u8, rest: &'a [u8], whole: Option<&'a [u8]>, visit: &mut impl FnMut(Unit<'a>)) {
    match nal_type {
        AP => each_of(rest, 0, &mut |unit| {
            if let Some((nal_type, body)) = split_header(unit) {
                visit(Unit { nal_type, body, whole: Some(unit), begins: true });
            }
        }),
        FU => {
            let Some((&header, body)) = rest.split_first() else { return };
            visit(Unit { nal_type: header & 0x3f, body, whole: None, begins: header & FU_START != 0 });
        }
        _ => visit(Unit { nal_type, body: rest, whole, begins: true }),
    }
}

fn of_unit(unit: &Unit<'_>) -> Part {
    match unit.nal_type {
        nal_type if is_set(nal_type) => Part::SETS,
        NAL_SEI if unit.is_recovery_point() => Part::RECOVERY_POINT,
        nal_type if NAL_IRAP.contains(&nal_type) => {
            let part = Part::SLICE.and(Part::RANDOM_ACCESS);
            if unit.is_first_slice() { part.and(Part::KEYFRAME) } else { part }
        }
        nal_type if NAL_RASL.contains(&nal_type) => Part::SLICE.and(Part::SKIPPED_LEADING),
        nal_type if NAL_SLICES.contains(&nal_type) => Part::SLICE,
        _ => Part::default(),
    }
}

/// The temporal layer, and what the type of the first slice says of references to it and by it (ITU-T H.265 7.4.2.2,
/// table 7-1). The payload header has the lowest temporal id of its units (RFC 7798 4.4.2).
pub(super) fn layer(payload: &[u8]) -> Option<FrameLayer> {
    let temporal = (payload.get(1)? & 0x07).saturating_sub(1);
    let mut slice = None;
    each_unit(payload, &mut |unit| {
        if NAL_SLICES.contains(&unit.nal_type) {
            slice = slice.or(Some(unit.nal_type));
        }
    });
    let is = |types: &[u8]| slice.is_some_and(|nal_type| types.contains(&nal_type));
    let is_discardable = slice.is_some_and(|nal_type| nal_type <= LAST_NON_REFERENCE && nal_type % 2 == 0);
    let layer = FrameLayer::new(temporal, 0).discardable(is_discardable);
    Some(layer.sync(is(&NAL_TSA) || is(&NAL_STSA)).opens(is(&NAL_TSA)))
}

/// Whether units of this type are parameter sets.
pub(super) fn is_set(nal_type: u8) -> bool {
    matches!(nal_type, NAL_VPS | NAL_SPS | NAL_PPS)
}

/// The size in the sequence parameter set of a payload.
pub(super) fn size(payload: &[u8]) -> Option<FrameSize> {
    sequence_header::h265(sequence_set(payload)?)
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

/// Which parameter set a unit is, or which one a slice refers to (ITU-T H.265 7.3.2.1, 7.3.2.2, 7.3.2.3, 7.3.6.1).
pub(super) fn reference(unit: &Unit<'_>) -> Option<Reference> {
    let bits = &mut Bits::of_unit(unit.body);
    let video = |id| SetId { kind: SetKind::Video, id };
    let sequence = |id| SetId::below(SPS_IDS, SetKind::Sequence, id);
    let picture = |id| SetId::below(PPS_IDS, SetKind::Picture, id);
    match unit.nal_type {
        NAL_VPS => Some(Reference::Set { own: video(bits.number(4)?), parent: None }),
        NAL_SPS => {
            let parent = video(bits.clone().number(4)?);
            sequence_header::h265_until_id(bits)?;
            Some(Reference::Set { own: sequence(bits.golomb()?)?, parent: Some(parent) })
        }
        NAL_PPS => {
            let own = picture(bits.golomb()?)?;
            Some(Reference::Set { own, parent: Some(sequence(bits.golomb()?)?) })
        }
        nal_type if NAL_IRAP.contains(&nal_type) && unit.begins => {
            let is_first = bits.flag()?;
            // no_output_of_prior_pics_flag.
            bits.skip(1)?;
            is_first.then_some(())?;
            Some(Reference::Slice(picture(bits.golomb()?)?))
        }
        _ => None,
    }
}

/// An H.265 profile and tier (RFC 7798 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct H265Profile {
    space: u8,
    id: u8,
    /// 0 for the Main tier, 1 for the High tier.
    tier: u8,
}

impl H265Profile {
    /// The Main profile in the Main tier: the default without parameters.
    pub(crate) const MAIN: Self = Self { space: 0, id: 1, tier: 0 };

    /// The profile that a format's parameters name.
    pub(super) fn of(format: &Format) -> Self {
        let number = |name, default| format.parameter(name).and_then(|value| value.parse().ok()).unwrap_or(default);
        let Self { space, id, tier } = Self::MAIN;
        Self { space: number("profile-space", space), id: number("profile-id", id), tier: number("tier-flag", tier) }
    }

    /// The name that people read: that of the standard, or its number.
    pub(super) fn name(self) -> String {
        match self.id {
            1 => "main".to_owned(),
            2 => "main 10".to_owned(),
            3 => "main still picture".to_owned(),
            4 => "range extensions".to_owned(),
            id => id.to_string(),
        }
    }

    /// True when a decoder for this profile decodes that one (ITU-T H.265 A.3): Main decodes still pictures, Main 10
    /// both, and the range extensions all three.
    pub(crate) fn contains(self, smaller: Self) -> bool {
        let larger: &[u8] = match smaller.id {
            1 => &[1, 2, 4],
            2 => &[2, 4],
            3 => &[1, 2, 3, 4],
            _ => &[],
        };
        let of_profile = self.id == smaller.id || larger.contains(&self.id);
        self.space == smaller.space && self.tier >= smaller.tier && of_profile
    }
}

/// False for a stream whose units are sent in several RTP streams or out of order, which neither sluice nor any browser
/// reads (RFC 7798 7.1).
pub(super) fn is_in_order(format: &Format) -> bool {
    let single = format.parameter("tx-mode").is_none_or(|mode| mode.eq_ignore_ascii_case("SRST"));
    let orderly = |name| format.parameter(name).is_none_or(|value| value == "0");
    single && orderly("sprop-max-don-diff") && orderly("sprop-depack-buf-nalus")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VPS: [u8; 4] = [0x40, 0x01, 0x0c, 0x01];
    const SPS: [u8; 4] = [0x42, 0x01, 0x01, 0x01];
    const PPS: [u8; 3] = [0x44, 0x01, 0xc1];
    const SEI: [u8; 3] = [0x4e, 0x01, 0x05];
    const IDR: [u8; 4] = [0x28, 0x01, 0xac, 0x2d];
    const CRA: [u8; 4] = [0x2a, 0x01, 0xac, 0x2d];
    const IDR_LATER_SLICE: [u8; 4] = [0x28, 0x01, 0x2c, 0x2d];
    const SLICE: [u8; 4] = [0x02, 0x01, 0xd0, 0x09];

    fn aggregate(units: &[&[u8]]) -> Vec<u8> {
        let sized = units.iter().flat_map(|unit| [&(unit.len() as u16).to_be_bytes()[..], unit].concat());
        [0x60, 0x01].into_iter().chain(sized).collect()
    }

    /// A PACI packet around a packet, with an extension of three octets.
    fn wrap(packet: &[u8]) -> Vec<u8> {
        let fields = u16::from(packet[0] >> 1 & 0x3f) << 9 | 3 << 4;
        [&[0x64, 0x01][..], &fields.to_be_bytes(), &[7; 3], &packet[2..]].concat()
    }

    const KEYFRAME: Part = Part::SLICE.and(Part::RANDOM_ACCESS).and(Part::KEYFRAME);

    #[test]
    fn the_temporal_layer_is_in_each_header_and_the_type_tells_who_refers_to_whom() {
        let of = |nal_type: u8, temporal: u8| layer(&[nal_type << 1, temporal + 1, 0xd0, 0x09]).unwrap();
        assert_eq!([0, 1, 6].map(|temporal| of(1, temporal).temporal()), [0, 1, 6]);
        let flags = |layer: FrameLayer| (layer.is_discardable(), layer.is_sync(), layer.is_opening());
        let types = [0, 1, 2, 3, 4, 5, 8, 9, 16, 20].map(|nal_type| flags(of(nal_type, 1)));
        let (reference, none) = ((false, false, false), (true, false, false));
        let (tsa, stsa) = ([(true, true, true), (false, true, true)], [(true, true, false), (false, true, false)]);
        assert_eq!(types[..6], [none, reference, tsa[0], tsa[1], stsa[0], stsa[1]]);
        assert_eq!(types[6..], [none, reference, reference, reference]);
        let fragment = layer(&[49 << 1, 3, 0x82, 0xd0]).unwrap();
        assert_eq!((fragment.temporal(), flags(fragment)), (2, tsa[0]));
        assert!(!layer(&SEI).unwrap().is_discardable() && layer(&[0x02]).is_none());
    }

    #[test]
    fn parameter_sets_alone_begin_no_keyframe() {
        for payload in [&VPS[..], &SPS, &PPS, &aggregate(&[&VPS, &SPS, &PPS]), &[0x62, 0x01, 0xa0, 0x0c]] {
            assert_eq!(part(payload), Part::SETS, "{payload:02x?}");
        }
        assert_eq!(part(&aggregate(&[&SEI, &SPS, &PPS, &SLICE])), Part::SETS.and(Part::SLICE));
        assert_eq!(part(&aggregate(&[&SEI, &SPS, &PPS, &IDR])), Part::SETS.and(KEYFRAME));
    }

    #[test]
    fn the_first_slice_of_an_intra_random_access_picture_begins_a_keyframe() {
        for unit in [&IDR[..], &CRA, &aggregate(&[&SEI, &IDR]), &[0x62, 0x01, 0x94, 0xac], &[0x62, 0x01, 0x93, 0xac]] {
            assert_eq!(part(unit), KEYFRAME, "{unit:02x?}");
        }
        let later = Part::SLICE.and(Part::RANDOM_ACCESS);
        for unit in
            [&IDR_LATER_SLICE[..], &[0x62, 0x01, 0x14, 0xac], &[0x62, 0x01, 0x54, 0xac], &[0x62, 0x01, 0x94, 0x2c]]
        {
            assert_eq!(part(unit), later, "{unit:02x?}");
        }
        assert_eq!([&SLICE[..], &[0x62, 0x01, 0x81, 0xd0]].map(part), [Part::SLICE; 2]);
        assert_eq!(part(&SEI), Part::default());
        assert_eq!(part(&[0x4e, 0x01, 0x06, 0x01]), Part::RECOVERY_POINT);
    }

    #[test]
    fn leading_pictures_that_a_start_at_their_keyframe_skips_are_distinguished_from_decodable_ones() {
        let skipped = Part::SLICE.and(Part::SKIPPED_LEADING);
        assert_eq!([&[0x10, 0x01, 0xd0][..], &[0x12, 0x01, 0xd0], &[0x62, 0x01, 0x88, 0xd0]].map(part), [skipped; 3]);
        assert_eq!([&[0x0c, 0x01, 0xd0][..], &[0x0e, 0x01, 0xd0]].map(part), [Part::SLICE; 2], "RADL");
    }

    #[test]
    fn the_sequence_parameter_set_is_found_alone_or_aggregated() {
        assert_eq!(sequence_set(&SPS), Some(&SPS[2..]));
        assert_eq!(sequence_set(&aggregate(&[&VPS, &SPS, &PPS])), Some(&SPS[2..]));
        for payload in [&VPS[..], &aggregate(&[&VPS, &PPS]), &[0x60, 1, 0, 9, 0x42], &[], &[0x42]] {
            assert_eq!(sequence_set(payload), None, "{payload:02x?}");
        }
    }

    #[test]
    fn a_paci_packet_is_what_it_wraps() {
        assert_eq!(part(&wrap(&VPS)), Part::SETS);
        assert_eq!(part(&wrap(&aggregate(&[&SPS, &PPS]))), Part::SETS);
        assert_eq!(part(&wrap(&[0x62, 0x01, 0x94, 0xac])), KEYFRAME);
        assert_eq!(part(&wrap(&SLICE)), Part::SLICE);
        assert_eq!(part(&wrap(&wrap(&VPS))), Part::default(), "RFC 7798 4.4.4: never one in another");
    }

    #[test]
    fn cut_payloads_are_read_until_the_cut() {
        for payload in [&[][..], &[0x28], &[0x60, 1, 0], &[0x60, 1, 0, 9, 0x40], &[0x62, 1]] {
            assert_eq!(part(payload), Part::default(), "{payload:02x?}");
        }
        assert!(!part(&[0x28, 1]).is_keyframe() && !part(&[0x62, 1, 0x94]).is_keyframe());
        assert_eq!(part(&[0x64, 1, 0x40, 0x30, 7, 7]), Part::default());
        let mut cut = aggregate(&[&VPS, &IDR]);
        cut.truncate(cut.len() - 1);
        assert_eq!(part(&cut), Part::SETS);
    }

    #[test]
    fn a_larger_profile_or_tier_takes_a_smaller_one() {
        let profile = |parameters: &str| {
            H265Profile::of(&Format {
                codec: super::super::Codec::H265,
                clock_rate: 90_000,
                channels: 0,
                parameters: parameters.to_owned(),
            })
        };
        assert_eq!(profile(""), H265Profile::MAIN);
        assert_eq!(profile("level-id=93;tx-mode=SRST"), profile("profile-id=1;tier-flag=0;level-id=180"));
        assert!(
            profile("profile-id=2").contains(H265Profile::MAIN) && !H265Profile::MAIN.contains(profile("profile-id=2"))
        );
        assert!(
            profile("tier-flag=1").contains(H265Profile::MAIN) && !H265Profile::MAIN.contains(profile("tier-flag=1"))
        );
        assert!(!profile("profile-space=1").contains(H265Profile::MAIN));
        assert!(profile("profile-id=9").contains(profile("profile-id=9")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = part(&payload);
        }

        #[test]
        fn any_bytes_behind_an_aggregation_fragmentation_or_paci_header_are_read_without_panic(
            header in prop::sample::select(vec![0x60u8, 0x62, 0x64]),
            rest in prop::collection::vec(prop_oneof![Just(0u8), 1u8..9, any::<u8>()], 0..64),
        ) {
            let payload: Vec<u8> = [header, 1].into_iter().chain(rest).collect();
            let _ = (part(&payload), sequence_set(&payload));
        }
    }
}
