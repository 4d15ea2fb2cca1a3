//! Keyframes are found in what a real FFmpeg sends: the recordings of `tests/media/`, in which frames 0, 4 and 8 are
//! keyframes. The packets with which they begin were read off by hand.

use std::time::Instant;

use bytes::Bytes;
use sluice::forward::codec::{Codec, Descriptor, Format, KeyframeFinder, Kind, ParameterSets};
use sluice::forward::{Epoch, HeaderExtensions, KeyframeAssembler, LayerId, Packet};

/// A recording, its codec, how many packets it has, and at which of them the keyframes begin.
const VIDEO: [(&str, Codec, usize, [usize; 3]); 12] = [
    ("h264-baseline", Codec::H264, 46, [0, 19, 35]),
    ("h264-mode0", Codec::H264, 58, [0, 24, 46]),
    ("h264-high-delimiters", Codec::H264, 23, [0, 12, 19]),
    // Four packets of supplemental information come before the first slice.
    ("h264-without-parameter-sets", Codec::H264, 43, [4, 18, 33]),
    ("h265", Codec::H265, 27, [0, 10, 21]),
    ("h265-open-gop", Codec::H265, 26, [0, 10, 20]),
    ("h265-without-parameter-sets", Codec::H265, 24, [0, 9, 19]),
    ("vp8", Codec::Vp8, 31, [0, 12, 23]),
    ("vp9", Codec::Vp9, 36, [0, 13, 26]),
    ("vp9-profile-1", Codec::Vp9, 52, [0, 19, 37]),
    ("av1-libaom", Codec::Av1, 32, [0, 12, 23]),
    ("av1-svt", Codec::Av1, 20, [0, 8, 16]),
];

const AUDIO: [(&str, Codec, usize); 4] =
    [("opus", Codec::Opus, 6), ("pcmu", Codec::Pcmu, 8), ("pcma", Codec::Pcma, 8), ("g722", Codec::G722, 9)];

/// Timestamp and payload of each packet of a recording.
fn recording(name: &str) -> Vec<(u32, Vec<u8>)> {
    crate::recording::recording(name).into_iter().map(|packet| (packet.timestamp, packet.payload)).collect()
}

/// What goes on to viewers of the packets that arrive.
fn assembled(codec: Codec, packets: &[(u32, Vec<u8>)], arrivals: &[usize]) -> Vec<Packet> {
    let now = Instant::now();
    let format = Format { codec, clock_rate: 90_000, channels: 0, parameters: String::new() };
    let mut finder = KeyframeFinder::new(codec);
    let mut assembler = KeyframeAssembler::new(ParameterSets::of(&format), true);
    let has_sets = matches!(codec, Codec::H264 | Codec::H265);
    let mut ready = Vec::new();
    for number in arrivals {
        let (timestamp, payload) = &packets[*number];
        let (part, keyframe) = finder.read(*timestamp, payload);
        let mut packet = Packet {
            received: now,
            generation: Epoch::of(1).generation(),
            layer: LayerId::default(),
            index: *number as u64,
            timestamp: *timestamp,
            marker: false,
            payload_type: 96,
            descriptor: Descriptor::default(),
            frame: Default::default(),
            extensions: HeaderExtensions::default(),
            part,
            keyframe,
            leads: 0,
            payload: Bytes::copy_from_slice(payload),
            redundancy: None,
        };
        if !has_sets || assembler.pass(&mut packet) {
            ready.push(packet);
        } else {
            assembler.push(packet, &mut ready);
        }
    }
    assembler.drain(&mut ready);
    ready
}

/// The numbers of the packets at which viewers can begin, of those that arrive.
fn marked(codec: Codec, packets: &[(u32, Vec<u8>)], arrivals: &[usize]) -> Vec<u64> {
    let ready = assembled(codec, packets, arrivals);
    ready.iter().filter(|packet| packet.keyframe).map(|packet| packet.index).collect()
}

#[test]
fn the_frame_size_is_found_wherever_the_stream_contains_it() {
    for (name, codec, ..) in VIDEO {
        let mut finder = KeyframeFinder::new(codec);
        for (timestamp, payload) in recording(name) {
            finder.read(timestamp, &payload);
        }
        let size = finder.size().map(|size| (size.width, size.height));
        assert_eq!(size, (!name.ends_with("without-parameter-sets")).then_some((64, 64)), "{name}");
    }
}

#[test]
fn exactly_the_first_packet_of_each_keyframe_is_marked() {
    for (name, codec, count, starts) in VIDEO {
        let packets = recording(name);
        assert_eq!(packets.len(), count, "{name}");
        let all: Vec<usize> = (0..count).collect();
        assert_eq!(marked(codec, &packets, &all), starts.map(|start| start as u64), "{name}");
        // Nothing is added where nothing is missing.
        assert_eq!(assembled(codec, &packets, &all).len(), count, "{name}");
        // Ten frames a second, and every fourth is a keyframe.
        assert_eq!(starts.map(|start| packets[start].0), [0, 4 * 9_000, 8 * 9_000], "{name}");
    }
}

#[test]
fn a_keyframe_without_its_first_packet_is_none_unless_that_held_known_parameter_sets() {
    for (name, codec, count, [first, lost, third]) in VIDEO {
        let (packets, rest) = (recording(name), (0..count).filter(|number| *number != lost).collect::<Vec<_>>());
        let marked = marked(codec, &packets, &rest);
        let has_sets = matches!(codec, Codec::H264 | Codec::H265) && !name.ends_with("without-parameter-sets");
        if has_sets {
            let number = (lost + 1) as u64;
            assert!(marked.contains(&number) && marked.len() == 3, "{name}: {marked:?}");
        } else {
            assert_eq!(marked, [first as u64, third as u64], "{name}");
        }
    }
}

#[test]
fn a_first_packet_that_comes_late_is_marked_in_its_place() {
    for (name, codec, count, starts) in VIDEO {
        let mut arrivals: Vec<usize> = (0..count).collect();
        arrivals.swap(starts[1], starts[1] + 1);
        assert_eq!(marked(codec, &recording(name), &arrivals), starts.map(|start| start as u64), "{name}");
    }
}

/// FFmpeg's `-bsf:v dump_extra=freq=all`: each frame has its parameter sets, and few are keyframes.
#[test]
fn parameter_sets_before_every_frame_make_none_of_them_a_keyframe() {
    for (name, codec, start) in
        [("h264-baseline", Codec::H264, 0), ("h264-mode0", Codec::H264, 0), ("h265", Codec::H265, 0)]
    {
        let recorded = recording(name);
        let sets: Vec<Vec<u8>> = if name == "h264-mode0" {
            vec![recorded[0].1.clone(), recorded[1].1.clone()]
        } else {
            vec![recorded[0].1.clone()]
        };
        let (mut packets, mut before) = (Vec::new(), None);
        for (timestamp, payload) in recorded {
            let is_new = before.replace(timestamp) != Some(timestamp);
            let is_keyframe = timestamp % (4 * 9_000) == 0;
            if is_new && !is_keyframe {
                packets.extend(sets.iter().map(|set| (timestamp, set.clone())));
            }
            packets.push((timestamp, payload));
        }
        let all: Vec<usize> = (0..packets.len()).collect();
        let ready = assembled(codec, &packets, &all);
        assert_eq!(ready.len(), packets.len(), "{name}");
        let begun: Vec<u32> = ready.iter().filter(|packet| packet.keyframe).map(|packet| packet.timestamp).collect();
        assert_eq!(begun, [start, 4 * 9_000, 8 * 9_000], "{name}");
    }
}

/// With the parameter sets of an offer, or with those of the first keyframe alone, each keyframe begins with them.
#[test]
fn every_keyframe_gets_the_parameter_sets_that_it_lacks() {
    for (with, without, codec) in [
        ("h264-baseline", "h264-without-parameter-sets", Codec::H264),
        ("h265", "h265-without-parameter-sets", Codec::H265),
    ] {
        let (_, sets) = recording(with).swap_remove(0);
        let units = units(codec, &sets);
        let mut packets = recording(without);
        packets.insert(0, (0, sets));
        let all: Vec<usize> = (0..packets.len()).collect();
        let ready = assembled(codec, &packets, &all);
        let starts: Vec<usize> = (0..ready.len()).filter(|place| ready[*place].keyframe).collect();
        assert_eq!(starts.len(), 3, "{without}");
        for start in &starts[1..] {
            let begun = &ready[*start..start + units.len() + 1];
            let added: Vec<&[u8]> = begun[..units.len()].iter().map(|packet| &packet.payload[..]).collect();
            assert_eq!(added, units, "{without}");
            assert!(begun.iter().all(|packet| packet.timestamp == begun[0].timestamp && !packet.marker), "{without}");
            assert!(begun[units.len()].part.is_keyframe(), "{without}");
        }
        assert!(ready.windows(2).all(|pair| pair[1].index == pair[0].index + 1), "{without}");
    }
}

/// The units in an aggregation packet.
fn units(codec: Codec, aggregate: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &aggregate[if codec == Codec::H265 { 2 } else { 1 }..];
    let mut units = Vec::new();
    while let Some((size, behind)) = rest.split_first_chunk::<2>() {
        let (unit, behind) = behind.split_at(u16::from_be_bytes(*size).into());
        units.push(unit.to_vec());
        rest = behind;
    }
    units
}

#[test]
fn every_audio_packet_is_marked() {
    for (name, codec, count) in AUDIO {
        assert_eq!(codec.kind(), Kind::Audio);
        let all: Vec<usize> = (0..count).collect();
        assert_eq!(marked(codec, &recording(name), &all), (0..count as u64).collect::<Vec<_>>(), "{name}");
    }
}
