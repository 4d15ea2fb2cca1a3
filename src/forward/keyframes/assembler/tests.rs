use std::collections::HashMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::forward::codec::{Codec, Descriptor, Format};
use crate::forward::header_extensions::HeaderExtensions;
use crate::forward::source::{LayerId, generation};

const MS: Duration = Duration::from_millis(1);

const SPS: &[u8] = &[0x67, 0x42, 0xe0, 0x1f, 0xda];
/// Picture parameter sets 0 and 1, both of sequence parameter set 0.
const PPS: &[u8] = &[0x68, 0b1100_1110];
const PPS_1: &[u8] = &[0x68, 0b0101_0000];
const SEI: &[u8] = &[0x06, 0x05, 0x01];
const BOTH: &[u8] = &[0x78, 0, 5, 0x67, 0x42, 0xe0, 0x1f, 0xda, 0, 2, 0x68, 0b1100_1110];
/// First slices with picture parameter set 0, whole and in fragments.
const IDR: &[u8] = &[0x65, 0b1001_1110, 0];
const IDR_START: &[u8] = &[0x7c, 0x85, 0b1001_1110, 0];
const IDR_MIDDLE: &[u8] = &[0x7c, 0x05, 0x88];
const SLICE: &[u8] = &[0x41, 0x9a];

fn format(parameters: &str) -> Format {
    Format { codec: Codec::H264, clock_rate: 90_000, channels: 0, parameters: parameters.to_owned() }
}

/// Both sets of [`SPS`] and [`PPS`] in an offer.
fn offered() -> KeyframeAssembler {
    KeyframeAssembler::new(ParameterSets::of(&format("sprop-parameter-sets=Z0LgH9o=,aM4=")), true)
}

fn unknown() -> KeyframeAssembler {
    KeyframeAssembler::new(ParameterSets::of(&format("")), true)
}

fn packet(index: SourceIndex, timestamp: u32, payload: &[u8], received: Instant) -> Packet {
    let part = Part::of(Codec::H264, payload);
    Packet {
        received,
        generation: generation(1),
        layer: LayerId::default(),
        index,
        timestamp,
        marker: false,
        payload_type: 96,
        descriptor: Descriptor::default(),
        frame: Default::default(),
        part,
        keyframe: part.is_keyframe(),
        leads: 0,
        payload: Bytes::copy_from_slice(payload),
        extensions: HeaderExtensions::default(),
        redundancy: None,
    }
}

/// The packets that pass when these arrive at once: number, payload, whether viewers can begin there.
fn ready(assembler: &mut KeyframeAssembler, packets: &[(SourceIndex, u32, &[u8])]) -> Vec<(u64, Vec<u8>, bool)> {
    ready_at(assembler, packets, Instant::now())
}

fn ready_at(
    assembler: &mut KeyframeAssembler,
    packets: &[(SourceIndex, u32, &[u8])],
    now: Instant,
) -> Vec<(u64, Vec<u8>, bool)> {
    let mut ready = Vec::new();
    for (index, timestamp, payload) in packets {
        let mut packet = packet(*index, *timestamp, payload, now);
        if assembler.pass(&mut packet) {
            packet.keyframe = false;
            ready.push(packet);
        } else {
            assembler.push(packet, &mut ready);
        }
    }
    shown(ready)
}

fn shown(ready: Vec<Packet>) -> Vec<(u64, Vec<u8>, bool)> {
    ready.into_iter().map(|packet| (packet.index, packet.payload.to_vec(), packet.keyframe)).collect()
}

fn is(packets: Vec<(u64, Vec<u8>, bool)>, expected: &[(u64, &[u8], bool)]) {
    let expected: Vec<_> =
        expected.iter().map(|(index, payload, begins)| (*index, payload.to_vec(), *begins)).collect();
    assert_eq!(packets, expected);
}

#[test]
fn a_keyframe_begins_with_its_parameter_sets_in_packets_of_their_own() {
    let mut assembler = unknown();
    let sent = [(7, 1, SEI), (8, 1, SPS), (9, 1, PPS), (10, 1, SEI), (11, 1, IDR_START), (12, 1, IDR_MIDDLE)];
    let expected = [
        (7, SEI, false),
        (8, SPS, true),
        (9, PPS, false),
        (10, SEI, false),
        (11, IDR_START, false),
        (12, IDR_MIDDLE, false),
    ];
    is(ready(&mut assembler, &sent), &expected);
    assert_eq!(assembler.sets_source(), Some(SetsSource::InBand));
}

#[test]
fn parameter_sets_before_another_frame_begin_nothing_and_wait_only_for_the_next_packet() {
    let mut assembler = unknown();
    is(ready(&mut assembler, &[(7, 1, BOTH)]), &[]);
    is(ready(&mut assembler, &[(8, 1, SLICE)]), &[(7, BOTH, false), (8, SLICE, false)]);
    is(ready(&mut assembler, &[(9, 2, SPS), (10, 2, PPS)]), &[]);
    is(
        ready(&mut assembler, &[(11, 2, SLICE), (12, 3, SLICE)]),
        &[(9, SPS, false), (10, PPS, false), (11, SLICE, false), (12, SLICE, false)],
    );
    // The last packets pass once they have waited.
    let now = Instant::now();
    is(ready_at(&mut assembler, &[(13, 4, SPS)], now), &[]);
    assert_eq!(assembler.poll_timeout(), Some(now + PATIENCE));
    let mut late = Vec::new();
    assembler.poll(now + PATIENCE, &mut late);
    is(shown(late), &[(13, SPS, false)]);
    assert_eq!((assembler.poll_timeout(), assembler.waiting.is_empty()), (None, true));
}

#[test]
fn parameter_sets_of_the_offer_are_inserted_before_a_keyframe_without_any_and_later_packets_are_renumbered() {
    let mut assembler = offered();
    is(
        ready(&mut assembler, &[(7, 1, SEI), (8, 1, IDR_START), (9, 1, IDR_MIDDLE), (10, 2, SLICE)]),
        &[
            (7, SEI, false),
            (8, SPS, true),
            (9, PPS, false),
            (10, IDR_START, false),
            (11, IDR_MIDDLE, false),
            (12, SLICE, false),
        ],
    );
    assert_eq!(assembler.sets_source(), Some(SetsSource::Added));
    is(
        ready(&mut assembler, &[(11, 3, IDR), (12, 4, SLICE)]),
        &[(13, SPS, true), (14, PPS, false), (15, IDR, false), (16, SLICE, false)],
    );
}

#[test]
fn only_missing_parameter_sets_are_inserted_after_those_of_the_keyframe() {
    let mut assembler = offered();
    is(ready(&mut assembler, &[(7, 1, SPS), (8, 1, IDR)]), &[(7, SPS, true), (8, PPS, false), (9, IDR, false)]);
    // A picture parameter set that arrived on its own is one that other frames need.
    let mut assembler = unknown();
    is(
        ready(&mut assembler, &[(7, 1, SPS), (8, 1, PPS), (9, 1, PPS_1), (10, 1, IDR)]),
        &[(7, SPS, true), (8, PPS, false), (9, PPS_1, false), (10, IDR, false)],
    );
    is(
        ready(&mut assembler, &[(11, 2, BOTH), (12, 2, IDR)]),
        &[(11, BOTH, true), (12, PPS_1, false), (13, IDR, false)],
    );
    assert_eq!(assembler.sets_source(), Some(SetsSource::InBand));
}

#[test]
fn parameter_sets_that_came_once_are_inserted_before_each_later_keyframe_the_newest_of_each_id() {
    let newer = [0x67, 0x42, 0xe0, 0x28, 0xda];
    let mut assembler = offered();
    ready(&mut assembler, &[(7, 1, &newer), (8, 1, SLICE)]);
    is(ready(&mut assembler, &[(9, 2, IDR)]), &[(9, &newer, true), (10, PPS, false), (11, IDR, false)]);
    // An older set that arrives late is not the newest.
    ready(&mut assembler, &[(6, 0, SPS)]);
    is(ready(&mut assembler, &[(10, 3, IDR)]), &[(12, &newer, true), (13, PPS, false), (14, IDR, false)]);
}

#[test]
fn a_keyframe_without_known_parameter_sets_begins_at_its_first_slice() {
    let mut assembler = unknown();
    is(ready(&mut assembler, &[(7, 1, IDR), (8, 2, SLICE)]), &[(7, IDR, true), (8, SLICE, false)]);
    assert_eq!(assembler.sets_source(), Some(SetsSource::Missing));
}

#[test]
fn a_keyframe_whose_first_packet_comes_late_waits_for_it() {
    let mut assembler = offered();
    ready(&mut assembler, &[(7, 1, SLICE)]);
    is(ready(&mut assembler, &[(9, 2, IDR_MIDDLE), (10, 2, IDR_MIDDLE)]), &[]);
    is(
        ready(&mut assembler, &[(8, 2, IDR_START)]),
        &[(8, SPS, true), (9, PPS, false), (10, IDR_START, false), (11, IDR_MIDDLE, false), (12, IDR_MIDDLE, false)],
    );
}

#[test]
fn a_keyframe_waits_for_its_parameter_sets_and_for_the_end_of_the_previous_frame() {
    let mut assembler = unknown();
    ready(&mut assembler, &[(7, 1, SLICE)]);
    is(ready(&mut assembler, &[(10, 2, IDR)]), &[]);
    is(ready(&mut assembler, &[(9, 2, BOTH)]), &[]);
    is(ready(&mut assembler, &[(8, 1, SLICE)]), &[(8, SLICE, false), (9, BOTH, true), (10, IDR, false)]);
}

#[test]
fn a_keyframe_whose_beginning_is_lost_passes_in_time_and_no_viewer_begins_there() {
    for (mut assembler, late_begins) in [(offered(), false), (unknown(), true)] {
        let now = Instant::now();
        ready(&mut assembler, &[(7, 1, SLICE)]);
        ready_at(&mut assembler, &[(9, 2, IDR_MIDDLE)], now);
        is(ready_at(&mut assembler, &[(10, 3, SLICE)], now + 33 * MS), &[]);
        assert_eq!(assembler.poll_timeout(), Some(now + PATIENCE));
        let mut given_up = Vec::new();
        assembler.poll(now + PATIENCE, &mut given_up);
        is(shown(given_up), &[(9, IDR_MIDDLE, false), (10, SLICE, false)]);
        // Its number was kept for it. Nothing can be inserted before it any more.
        is(ready(&mut assembler, &[(8, 2, IDR_START)]), &[(8, IDR_START, late_begins)]);
    }
}

#[test]
fn a_keyframe_whose_own_sets_are_lost_gets_those_before() {
    let mut assembler = offered();
    let now = Instant::now();
    ready(&mut assembler, &[(7, 1, SLICE)]);
    is(ready_at(&mut assembler, &[(9, 2, IDR)], now), &[]);
    let mut given_up = Vec::new();
    assembler.poll(now + PATIENCE, &mut given_up);
    is(shown(given_up), &[(9, SPS, true), (10, PPS, false), (11, IDR, false)]);
    // Without known parameter sets, a viewer that began there would see nothing.
    let mut assembler = unknown();
    ready(&mut assembler, &[(7, 1, SLICE)]);
    ready_at(&mut assembler, &[(9, 2, IDR)], now);
    let mut given_up = Vec::new();
    assembler.poll(now + PATIENCE, &mut given_up);
    is(shown(given_up), &[(9, IDR, false)]);
}

#[test]
fn another_rtp_stream_begins_anew_with_the_known_parameter_sets() {
    let mut assembler = unknown();
    ready(&mut assembler, &[(700, 1, BOTH), (701, 1, IDR), (705, 2, IDR)]);
    assembler.begin_again();
    assert!(assembler.waiting.is_empty() && assembler.poll_timeout().is_none());
    is(ready(&mut assembler, &[(7, 9, IDR)]), &[(7, SPS, true), (8, PPS, false), (9, IDR, false)]);
}

#[test]
fn in_the_interleaved_mode_nothing_is_inserted() {
    let mut assembler = KeyframeAssembler::new(ParameterSets::of(&format("sprop-parameter-sets=Z0LgH9o=,aM4=")), false);
    is(ready(&mut assembler, &[(7, 1, IDR)]), &[(7, IDR, true)]);
    assert_eq!(assembler.sets_source(), Some(SetsSource::Missing));
}

#[test]
fn offers_with_any_text_give_sets_or_none() {
    for text in ["", ",", "Z0LgH9o", "!!!,aM4=", "aM4=,,", &"Z0LgH9o=,".repeat(200)] {
        let sets = ParameterSets::of(&format(&format!("sprop-parameter-sets={text}")));
        assert!(sets.lacking(&[IDR]).units.len() <= 2, "{text}");
    }
}

/// A publisher's RTP stream: keyframes with and without parameter sets, of one packet and of many.
fn stream(shapes: &[u8]) -> Vec<(u32, &'static [u8])> {
    let mut line = Vec::new();
    for (timestamp, shape) in (0..).zip(shapes) {
        let frame: &[&'static [u8]] = match shape {
            0 => &[IDR],
            1 => &[BOTH, IDR_START, IDR_MIDDLE],
            2 => &[SPS, PPS, IDR],
            3 => &[IDR_START, IDR_MIDDLE, IDR_MIDDLE],
            4 => &[BOTH, SLICE],
            5 => &[SEI, SLICE, SLICE],
            _ => &[SLICE],
        };
        line.extend(frame.iter().map(|payload| (timestamp, *payload)));
    }
    line
}

/// Marks a packet that never arrives.
const LOST: u64 = 99;

proptest! {
    /// Whatever is lost or late: a number stands for one packet, packets other than late ones pass in the publisher's
    /// order, and each keyframe at which viewers begin has its parameter sets before it.
    #[test]
    fn a_number_has_one_content_and_every_packet_one_number(
        shapes in prop::collection::vec(0u8..9, 1..40),
        fates in prop::collection::vec(prop_oneof![6 => Just(0u64), 1 => 1u64..5, 1 => Just(LOST)], 120),
        steps in prop::collection::vec(0u32..90, 120),
        is_offered in any::<bool>(),
    ) {
        let mut assembler = if is_offered { offered() } else { unknown() };
        let line = stream(&shapes);
        // Each packet arrives in its place, some places later, or never.
        let arrive = |place: u64, fate: u64| (fate != LOST).then(|| (place + fate, place));
        let mut arrivals: Vec<_> =
            (0..line.len() as u64).zip(&fates).filter_map(|(place, fate)| arrive(place, *fate)).collect();
        arrivals.sort();
        let (mut now, mut went) = (Instant::now(), Vec::new());
        for (&(_, place), step) in arrivals.iter().zip(steps.iter().cycle()) {
            now += MS * *step;
            assembler.poll(now, &mut went);
            let (timestamp, payload) = line[place as usize];
            let mut packet = packet(1000 + place, timestamp, payload, now);
            if assembler.pass(&mut packet) {
                went.push(packet);
            } else {
                assembler.push(packet, &mut went);
            }
        }
        assembler.drain(&mut went);
        prop_assert!(assembler.waiting.is_empty());
        let added = |packet: &&Packet| packet.payload == SPS || packet.payload == PPS;
        let own = arrivals.iter().filter(|(_, place)| ![SPS, PPS].contains(&line[*place as usize].1)).count();
        prop_assert_eq!(went.iter().filter(|packet| !added(packet)).count(), own, "each once");
        let mut content_by_number = HashMap::new();
        for packet in &went {
            let before = content_by_number.insert(packet.index, (packet.timestamp, packet.payload.clone()));
            prop_assert_eq!(before, None, "a number stands for one packet");
        }
        // Ordered by number, timestamps never go back, so every packet is in its frame.
        let mut numbers: Vec<_> = went.iter().map(|packet| (packet.index, packet.timestamp)).collect();
        numbers.sort();
        prop_assert!(numbers.is_sorted_by_key(|(_, timestamp)| *timestamp));
        for (at, start) in went.iter().enumerate().filter(|(_, packet)| packet.keyframe) {
            let frame: Vec<&Packet> = went[at..].iter().filter(|packet| packet.timestamp == start.timestamp).collect();
            prop_assert!(frame.iter().any(|packet| packet.part.is_keyframe()));
            let knows = |unit: &[u8]| frame.iter().any(|packet| packet.payload == unit || packet.payload == BOTH);
            prop_assert!(!is_offered || knows(SPS) && knows(PPS), "{:?}", shown(went));
        }
    }
}
