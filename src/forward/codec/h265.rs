//! H.265 as RFC 7798 packetises it: which profile a format names and which payload begins a keyframe.
//!
//! Streams with decoding order numbers in their packets (`sprop-max-don-diff` above 0) are not read; no WebRTC client
//! sends them. A length that points past the payload ends the reading; what was read until there counts.

use super::{Format, Start};

/// Pictures that need no earlier one: BLA, IDR and CRA (ITU-T H.265 table 7-1).
const NAL_IRAP: std::ops::RangeInclusive<u8> = 16..=21;
const NAL_VPS: u8 = 32;
const NAL_SPS: u8 = 33;
const AP: u8 = 48;
const FU: u8 = 49;
const PACI: u8 = 50;

/// The bit of a FU header that says "first fragment" (RFC 7798 4.4.3).
const FU_START: u8 = 0x80;

/// What of a keyframe's beginning a payload holds.
pub(super) fn start(payload: &[u8]) -> Start {
    let Some((nal_type, rest)) = split_header(payload) else { return Start::None };
    match nal_type {
        PACI => unwrapped(rest).map_or(Start::None, |(nal_type, rest)| of_packet(nal_type, rest)),
        _ => of_packet(nal_type, rest),
    }
}

/// The type in a payload header or NAL unit header of two octets, and what follows (RFC 7798 1.1.4).
fn split_header(unit: &[u8]) -> Option<(u8, &[u8])> {
    let (header, body) = unit.split_first_chunk::<2>()?;
    Some((header[0] >> 1 & 0x3f, body))
}

/// What a PACI packet wraps: its type and the payload behind the extension (RFC 7798 4.4.4).
fn unwrapped(rest: &[u8]) -> Option<(u8, &[u8])> {
    let (fields, behind) = rest.split_first_chunk::<2>()?;
    let fields = u16::from_be_bytes(*fields);
    let extension = usize::from(fields >> 4 & 0x1f);
    Some(((fields >> 9 & 0x3f) as u8, behind.get(extension..)?))
}

fn of_packet(nal_type: u8, rest: &[u8]) -> Start {
    match nal_type {
        AP => of_units(rest),
        FU => match rest.split_first() {
            Some((&header, fragment)) if header & FU_START != 0 => of_unit(header & 0x3f, fragment),
            _ => Start::None,
        },
        _ => of_unit(nal_type, rest),
    }
}

/// The sequence parameter set in a payload, without its NAL header; none that is in fragments.
pub(super) fn sequence(payload: &[u8]) -> Option<&[u8]> {
    let (nal_type, mut rest) = split_header(payload)?;
    match nal_type {
        NAL_SPS => return Some(rest),
        AP => {}
        _ => return None,
    }
    while let Some((size, behind)) = rest.split_first_chunk::<2>() {
        let (unit, behind) = behind.split_at_checked(u16::from_be_bytes(*size).into())?;
        match split_header(unit) {
            Some((NAL_SPS, set)) => return Some(set),
            _ => rest = behind,
        }
    }
    None
}

/// The best of the units of an aggregation packet (RFC 7798 4.4.2).
fn of_units(mut rest: &[u8]) -> Start {
    let mut best = Start::None;
    while let Some((size, behind)) = rest.split_first_chunk::<2>() {
        let Some((unit, behind)) = behind.split_at_checked(u16::from_be_bytes(*size).into()) else { break };
        best = best.max(split_header(unit).map_or(Start::None, |(nal_type, body)| of_unit(nal_type, body)));
        rest = behind;
    }
    best
}

fn of_unit(nal_type: u8, body: &[u8]) -> Start {
    match nal_type {
        NAL_VPS => Start::Video,
        NAL_SPS => Start::Sequence,
        // first_slice_segment_in_pic_flag is the first bit of a slice (ITU-T H.265 7.3.6.1).
        nal_type if NAL_IRAP.contains(&nal_type) && body.first().is_some_and(|byte| byte & 0x80 != 0) => Start::Picture,
        _ => Start::None,
    }
}

/// An H.265 profile and tier (RFC 7798 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Profile {
    space: u8,
    id: u8,
    /// 0 for the Main tier, 1 for the High tier.
    tier: u8,
}

impl Profile {
    /// The Main profile in the Main tier: what a format without parameters has.
    pub const MAIN: Self = Self { space: 0, id: 1, tier: 0 };

    /// The profile that a format's parameters name.
    pub(super) fn of(format: &Format) -> Self {
        let number = |name, default| format.parameter(name).and_then(|value| value.parse().ok()).unwrap_or(default);
        let Self { space, id, tier } = Self::MAIN;
        Self { space: number("profile-space", space), id: number("profile-id", id), tier: number("tier-flag", tier) }
    }

    /// Its name for people: that of the standard, or its number.
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
    pub fn contains(self, smaller: Self) -> bool {
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

/// False for a stream whose units travel in several RTP streams or out of order, which nothing here or in a browser
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

    #[test]
    fn parameter_sets_begin_a_keyframe_alone_or_aggregated() {
        assert_eq!(start(&VPS), Start::Video);
        assert_eq!(start(&SPS), Start::Sequence);
        assert_eq!(start(&aggregate(&[&VPS, &SPS, &PPS])), Start::Video);
        assert_eq!(start(&aggregate(&[&SEI, &SPS, &PPS, &IDR])), Start::Sequence);
        assert_eq!(start(&[0x62, 0x01, 0xa0, 0x0c]), Start::Video);
    }

    #[test]
    fn the_first_slice_of_an_intra_random_access_picture_begins_a_keyframe() {
        for unit in [&IDR[..], &CRA, &aggregate(&[&SEI, &IDR]), &[0x62, 0x01, 0x94, 0xac], &[0x62, 0x01, 0x93, 0xac]] {
            assert_eq!(start(unit), Start::Picture, "{unit:02x?}");
        }
        for unit in [&IDR_LATER_SLICE[..], &SLICE, &PPS, &SEI, &[0x62, 0x01, 0x14, 0xac], &[0x62, 0x01, 0x54, 0xac]] {
            assert_eq!(start(unit), Start::None, "{unit:02x?}");
        }
        assert_eq!(start(&[0x62, 0x01, 0x94, 0x2c]), Start::None, "a later slice's first fragment");
        assert_eq!(start(&[0x62, 0x01, 0x81, 0xd0]), Start::None, "another picture's first fragment");
    }

    #[test]
    fn the_sequence_parameter_set_is_found_alone_or_aggregated() {
        assert_eq!(sequence(&SPS), Some(&SPS[2..]));
        assert_eq!(sequence(&aggregate(&[&VPS, &SPS, &PPS])), Some(&SPS[2..]));
        for payload in [&VPS[..], &aggregate(&[&VPS, &PPS]), &[0x60, 1, 0, 9, 0x42], &[], &[0x42]] {
            assert_eq!(sequence(payload), None, "{payload:02x?}");
        }
    }

    #[test]
    fn a_paci_packet_is_what_it_wraps() {
        assert_eq!(start(&wrap(&VPS)), Start::Video);
        assert_eq!(start(&wrap(&aggregate(&[&SPS, &PPS]))), Start::Sequence);
        assert_eq!(start(&wrap(&[0x62, 0x01, 0x94, 0xac])), Start::Picture);
        assert_eq!(start(&wrap(&SLICE)), Start::None);
        assert_eq!(start(&wrap(&wrap(&VPS))), Start::None, "RFC 7798 4.4.4: never one in another");
    }

    #[test]
    fn cut_payloads_are_read_until_the_cut() {
        for payload in
            [&[][..], &[0x28], &[0x28, 1], &[0x60, 1, 0], &[0x60, 1, 0, 9, 0x40], &[0x62, 1], &[0x62, 1, 0x94]]
        {
            assert_eq!(start(payload), Start::None, "{payload:02x?}");
        }
        assert_eq!(start(&[0x64, 1, 0x40, 0x30, 7, 7]), Start::None);
        let mut cut = aggregate(&[&VPS, &SPS]);
        cut.truncate(cut.len() - 1);
        assert_eq!(start(&cut), Start::Video);
    }

    #[test]
    fn a_larger_profile_or_tier_takes_a_smaller_one() {
        let profile = |parameters: &str| {
            Profile::of(&Format {
                codec: super::super::Codec::H265,
                clock_rate: 90_000,
                channels: 0,
                parameters: parameters.to_owned(),
            })
        };
        assert_eq!(profile(""), Profile::MAIN);
        assert_eq!(profile("level-id=93;tx-mode=SRST"), profile("profile-id=1;tier-flag=0;level-id=180"));
        assert!(profile("profile-id=2").contains(Profile::MAIN) && !Profile::MAIN.contains(profile("profile-id=2")));
        assert!(profile("tier-flag=1").contains(Profile::MAIN) && !Profile::MAIN.contains(profile("tier-flag=1")));
        assert!(!profile("profile-space=1").contains(Profile::MAIN));
        assert!(profile("profile-id=9").contains(profile("profile-id=9")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = start(&payload);
        }

        #[test]
        fn any_bytes_behind_an_aggregation_fragmentation_or_paci_header_are_read_without_panic(
            header in prop::sample::select(vec![0x60u8, 0x62, 0x64]),
            rest in prop::collection::vec(prop_oneof![Just(0u8), 1u8..9, any::<u8>()], 0..64),
        ) {
            let payload: Vec<u8> = [header, 1].into_iter().chain(rest).collect();
            let _ = (start(&payload), sequence(&payload));
        }
    }
}
