//! What the relay reads of a payload: where a frame begins, its size, its running numbers, its parameter sets, and the
//! blocks of redundant audio.

use bytes::Bytes;
use proptest::prelude::*;
use rtp::codec::vp8::Vp8Packet;
use rtp::codec::vp9::Vp9Packet;
use rtp::packetizer::Depacketizer as _;
use sluice::forward::codec::{
    Codec, Descriptor, Format, FrameLayer, FrameLayers, FrameSize, KeyframeFinder, ParameterSets, Part, PictureIds,
    Redundancy, may_begin,
};

use crate::cases;
use crate::change::changed;

/// Payloads with keyframes, parameter sets and others, by codec.
fn payloads(codec: Codec) -> Vec<Vec<u8>> {
    let payloads: &[&[u8]] = match codec {
        Codec::H264 => &[
            &[
                0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xe8, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00,
                0x0c,
            ],
            &[0x78, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 3, 0x68, 0xce, 0x3c, 0, 3, 0x65, 0x88, 0x84],
            &[0x7c, 0x85, 0x88, 0x84, 0, 1],
            &[0x7c, 0x45, 0x88],
            &[0x06, 0x06, 0x01, 0x84, 0x80],
            &[0x41, 0x9a, 0x02],
        ],
        Codec::H265 => &[
            &[0x60, 0x01, 0, 4, 0x40, 0x01, 0x0c, 0x01, 0, 4, 0x42, 0x01, 0x01, 0x01, 0, 3, 0x44, 0x01, 0xc1],
            &[
                0x42, 0x01, 0x01, 0x01, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x5d, 0xa0, 0x02, 0x80, 0x80,
                0x2d, 0x16, 0x59, 0x59, 0xa4, 0x93,
            ],
            &[0x28, 0x01, 0xac, 0x2d],
            &[0x62, 0x01, 0x93, 0xac, 0x2d],
            &[0x2a, 0x01, 0xac, 0x2d],
            &[0x02, 0x01, 0xd0, 0x09],
        ],
        Codec::Vp8 => &[
            &[0x90, 0xe0, 0xff, 0xfe, 0xfe, 0x20, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01],
            &[0x10, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01],
            &[0x90, 0x80, 0x7e, 0x11, 0x02, 0x00, 0x77],
        ],
        Codec::Vp9 => &[
            &[
                0xaa, 0x92, 0x34, 0x00, 0x07, 0x18, 0x02, 0x80, 0x01, 0x68, 0x01, 0x04, 0x82, 0x49, 0x83, 0x42, 0x00,
                0x05,
            ],
            &[0xa8, 0x92, 0x34, 0x00, 0x07, 0x82, 0x49, 0x83, 0x42, 0x00],
            &[0xf8, 0x92, 0x34, 0x00, 0x03, 0x02, 0x86, 0x00, 0x40, 0x92],
        ],
        Codec::Av1 => &[
            &[0x08, 0x0a, 0x0b, 0x00, 0x00, 0x00, 0x04, 0x3c, 0xff, 0xbd, 0xff, 0xf9, 0x80, 0x40, 3, 0x30, 0x10, 0x00],
            &[0x28, 4, 0x08, 0, 0, 0, 0x30, 0x10, 0x00],
            &[0x10, 0x30, 0x30, 0x00],
            &[0x90, 0x10, 0x00],
        ],
        Codec::Opus | Codec::Multiopus | Codec::Pcmu | Codec::Pcma | Codec::G722 => &[&[0xfc, 1, 2, 3], &[0]],
    };
    payloads.iter().map(|payload| payload.to_vec()).collect()
}

/// Dependency descriptors: with the structure of two temporal layers, of a frame of each, with indications of its own,
/// and none.
fn descriptors() -> Vec<Vec<u8>> {
    let structure = vec![0xc0, 0, 1, 0x80, 0x01, 0x1a, 0x8a, 0x90, 0x80];
    vec![structure, vec![0xc0, 0, 2], vec![0xc1, 0, 3], vec![0xc1, 0, 4, 0x20, 0x50], vec![]]
}

fn format(codec: Codec) -> Format {
    Format { codec, clock_rate: codec.clock_rate(), channels: 0, parameters: String::new() }
}

fn payload() -> impl Strategy<Value = (Codec, Vec<u8>)> {
    prop::sample::select(Codec::ALL).prop_flat_map(|codec| (Just(codec), changed(payloads(codec))))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_frame_begins_once_and_only_where_it_may((codec, payload) in payload(), timestamp: u32) {
        let part = Part::of(codec, &payload);
        prop_assert_eq!(may_begin(codec, &payload), part.is_keyframe() || part.has_sets());
        let mut finder = KeyframeFinder::new(codec);
        let (read, begins) = finder.read(timestamp, &payload);
        prop_assert_eq!(read, part);
        prop_assert_eq!(begins, part.is_keyframe());
        if codec.kind() == sluice::forward::codec::Kind::Video {
            prop_assert!(!finder.read(timestamp, &payload).1, "the same frame begins twice");
            prop_assert_eq!(finder.read(timestamp.wrapping_add(1), &payload).1, begins);
            prop_assert_eq!(finder.size().is_some(), !part.is_plain() && FrameSize::of(codec, &payload).is_some());
        }
        if let Some(FrameSize { width, height }) = FrameSize::of(codec, &payload) {
            prop_assert!(width > 0 && height > 0);
        }
    }

    #[test]
    fn running_numbers_are_shifted_in_place_and_nothing_else_is((codec, payload) in payload(), picture_id: u16, tl0_pic_idx: u8) {
        let descriptor = Descriptor::of(codec, &payload);
        let (none, shift) = (PictureIds::default(), PictureIds { picture_id, tl0_pic_idx });
        let mut written = payload.clone();
        descriptor.add(shift, &mut written);
        prop_assert_eq!(Descriptor::of(codec, &written), descriptor, "its place stays");
        prop_assert_eq!(descriptor.read(&written, none), descriptor.read(&payload, shift));
        let differing = payload.iter().zip(&written).filter(|(one, other)| one != other).count();
        prop_assert!(payload.len() == written.len() && differing <= 3);
        let back = PictureIds { picture_id: picture_id.wrapping_neg(), tl0_pic_idx: tl0_pic_idx.wrapping_neg() };
        descriptor.add(back, &mut written);
        prop_assert_eq!(written, payload);
    }

    #[test]
    fn layers_of_frames_stay_within_their_ids_whatever_descriptors_say(
        packets in prop::collection::vec((payload(), 0u32..4, changed(descriptors())), 1..20),
        codec in prop::sample::select(Codec::ALL),
    ) {
        let mut layers = FrameLayers::new(codec);
        for ((_, payload), timestamp, descriptor) in &packets {
            let layer = layers.read(*timestamp, payload, descriptor);
            prop_assert!(layer.temporal() <= FrameLayer::HIGHEST && layer.spatial() <= FrameLayer::HIGHEST);
            let alone = FrameLayers::new(codec).read(*timestamp, payload, &[]);
            prop_assert_eq!(alone, FrameLayer::of(codec, payload).unwrap_or_default());
        }
        let printed = format!("{layers:?}");
        prop_assert!(printed.len() < 16 * 1024, "{} octets in print", printed.len());
    }

    #[test]
    fn vp8_is_read_as_webrtc_rs_reads_it(payload in changed(payloads(Codec::Vp8))) {
        let mut reference = Vp8Packet::default();
        let Ok(frame) = reference.depacketize(&Bytes::from(payload.clone())) else { return Ok(()) };
        let numbers = Descriptor::of(Codec::Vp8, &payload).read(&payload, PictureIds::default());
        if !Descriptor::of(Codec::Vp8, &payload).is_empty() {
            prop_assert_eq!(numbers.picture_id, if reference.i == 1 { reference.picture_id } else { 0 });
            prop_assert_eq!(numbers.tl0_pic_idx, if reference.l == 1 { reference.tl0_pic_idx } else { 0 });
        }
        let layer = FrameLayer::of(Codec::Vp8, &payload).unwrap_or_default();
        prop_assert_eq!(layer.is_discardable(), reference.n == 1);
        if reference.t == 1 {
            prop_assert_eq!((layer.temporal(), layer.is_sync()), (reference.tid, reference.y == 1));
        }
        if Part::of(Codec::Vp8, &payload).is_keyframe() {
            prop_assert!(reference.s == 1 && reference.pid == 0 && frame.first().is_some_and(|first| first & 1 == 0));
        }
    }

    #[test]
    fn vp9_is_read_as_webrtc_rs_reads_it(payload in changed(payloads(Codec::Vp9))) {
        let mut reference = Vp9Packet::default();
        if reference.depacketize(&Bytes::from(payload.clone())).is_err() {
            return Ok(());
        }
        let descriptor = Descriptor::of(Codec::Vp9, &payload);
        if !descriptor.is_empty() {
            let numbers = descriptor.read(&payload, PictureIds::default());
            prop_assert_eq!(numbers.picture_id, if reference.i { reference.picture_id } else { 0 });
            prop_assert_eq!(numbers.tl0_pic_idx, if reference.l && !reference.f { reference.tl0picidx } else { 0 });
        }
        let layer = FrameLayer::of(Codec::Vp9, &payload).unwrap_or_default();
        if reference.l {
            prop_assert_eq!((layer.temporal(), layer.spatial()), (reference.tid, reference.sid));
            prop_assert_eq!((layer.is_sync(), layer.is_opening()), (reference.u, reference.u));
        }
        if Part::of(Codec::Vp9, &payload).is_keyframe() {
            prop_assert!(reference.b && !reference.p);
        }
    }

    #[test]
    fn parameter_sets_are_kept_within_bounds_and_known_sets_are_not_lacking(
        units in prop::collection::vec(payload(), 1..40),
        codec in prop::sample::select(vec![Codec::H264, Codec::H265, Codec::Av1, Codec::Vp8]),
    ) {
        let mut sets = ParameterSets::of(&format(codec));
        for (index, (_, payload)) in (0u64..).zip(&units) {
            sets.note(Some(index), payload);
            _ = sets.lacking(&[payload]);
            _ = sets.size();
        }
        let printed = format!("{sets:?}");
        prop_assert!(printed.len() < 256 * 1024, "{} octets in print", printed.len());
        prop_assert!(matches!(codec, Codec::H264 | Codec::H265) || sets.is_empty());
    }

    #[test]
    fn redundant_audio_reads_back_and_keeps_its_blocks(
        copies in prop::collection::vec((0u32..0x4000, prop::collection::vec(any::<u8>(), 0..1024)), 0..18),
        own in prop::collection::vec(any::<u8>(), 0..60),
        other in 0u8..128,
    ) {
        let payload = redundant(111, &copies, &own);
        let read = Redundancy::read(&payload, 111);
        prop_assert_eq!(read.is_some(), copies.len() <= 16);
        let Some(read) = read else { return Ok(()) };
        prop_assert_eq!((read.carries(), read.own(&payload)), (111, &own[..]));
        prop_assert_eq!(read.newest_age(&payload), copies.iter().map(|(age, _)| *age).min());
        for (age, _) in &copies {
            let found = read.copy_of_age(&payload, *age).map(|place| &payload[place]);
            let first = copies.iter().find(|(other, copy)| other == age && !copy.is_empty()).map(|(_, copy)| &copy[..]);
            prop_assert_eq!(found, first);
        }
        let mut relabelled = payload;
        read.relabel(other, &mut relabelled);
        prop_assert_eq!(relabelled, redundant(other, &copies, &own));
    }

    #[test]
    fn what_is_read_of_redundant_audio_lies_in_it(
        payload in changed(vec![redundant(111, &[(960, vec![1; 20])], &[2; 9]), redundant(111, &[(1920, vec![3; 5]), (960, vec![])], &[])]),
    ) {
        let Some(read) = Redundancy::read(&payload, 111) else { return Ok(()) };
        prop_assert!(payload.ends_with(read.own(&payload)) && read.own(&payload).len() < payload.len());
        let mut relabelled = payload.clone();
        read.relabel(96, &mut relabelled);
        prop_assert_eq!(relabelled.len(), payload.len());
        let again = Redundancy::read(&relabelled, 96);
        prop_assert_eq!(again.map(|again| again.own(&relabelled).len()), Some(read.own(&payload).len()));
        read.relabel(111, &mut relabelled);
        prop_assert_eq!(relabelled, payload);
    }
}

/// A payload of RFC 2198 with these copies, each with its age, and its own payload.
fn redundant(payload_type: u8, copies: &[(u32, Vec<u8>)], own: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (age, copy) in copies {
        payload.push(0x80 | payload_type);
        payload.extend(&(age << 10 | copy.len() as u32).to_be_bytes()[1..]);
    }
    payload.push(payload_type);
    payload.extend(copies.iter().flat_map(|(_, copy)| copy));
    payload.extend(own);
    payload
}
