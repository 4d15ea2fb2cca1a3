//! Keyframes are found in what a real FFmpeg sends: the recordings of `tests/media/`, in which pictures 0, 4 and 8 are
//! keyframes. The packets with which they begin were read off by hand.

use std::fs;
use std::path::Path;

use sluice::forward::codec::{Codec, KeyframeFinder, Kind};

/// A recording, its codec, how many packets it has, and at which of them the keyframes begin.
const PICTURES: [(&str, Codec, usize, [usize; 3]); 12] = [
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

const SOUNDS: [(&str, Codec, usize); 4] =
    [("opus", Codec::Opus, 6), ("pcmu", Codec::Pcmu, 8), ("pcma", Codec::Pcma, 8), ("g722", Codec::G722, 9)];

/// Timestamp and payload of each packet of a recording (RFC 4571 framing; FFmpeg writes headers of twelve octets).
fn recording(name: &str) -> Vec<(u32, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media").join(format!("{name}.rtp"));
    let bytes = fs::read(path).expect("a readable recording");
    let mut rest = &bytes[..];
    let mut packets = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let (packet, behind) = behind.split_at(u16::from_be_bytes(*length).into());
        let timestamp = u32::from_be_bytes(packet[4..8].try_into().expect("four octets"));
        packets.push((timestamp, packet[12..].to_vec()));
        rest = behind;
    }
    packets
}

/// The numbers of the packets that are marked, of those that arrive.
fn marked(codec: Codec, packets: &[(u32, Vec<u8>)], arrives: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut finder = KeyframeFinder::new(codec);
    let arrived = packets.iter().enumerate().filter(|(number, _)| arrives(*number));
    arrived.filter(|(_, (timestamp, payload))| finder.is_start(*timestamp, payload)).map(|(number, _)| number).collect()
}

#[test]
fn the_size_of_the_pictures_is_found_wherever_the_line_tells_it() {
    for (name, codec, ..) in PICTURES {
        let mut finder = KeyframeFinder::new(codec);
        for (timestamp, payload) in recording(name) {
            finder.is_start(timestamp, &payload);
        }
        let size = finder.size().map(|size| (size.width, size.height));
        assert_eq!(size, (!name.ends_with("without-parameter-sets")).then_some((64, 64)), "{name}");
    }
}

#[test]
fn exactly_the_first_packet_of_each_keyframe_is_marked() {
    for (name, codec, count, starts) in PICTURES {
        let packets = recording(name);
        assert_eq!(packets.len(), count, "{name}");
        assert_eq!(marked(codec, &packets, |_| true), starts, "{name}");
        // Ten pictures a second, and every fourth is a keyframe.
        assert_eq!(starts.map(|start| packets[start].0), [0, 4 * 9_000, 8 * 9_000], "{name}");
    }
}

#[test]
fn a_keyframe_whose_first_packet_is_lost_is_none() {
    for (name, codec, _, [first, lost, third]) in PICTURES {
        let marked = marked(codec, &recording(name), |number| number != lost);
        assert_eq!(marked, [first, third], "{name}");
    }
}

#[test]
fn a_first_packet_that_comes_late_is_marked_where_it_comes() {
    for (name, codec, _, [_, late, _]) in PICTURES {
        let mut packets = recording(name);
        packets.swap(late, late + 1);
        assert!(marked(codec, &packets, |_| true).contains(&(late + 1)), "{name}");
        assert_eq!(marked(codec, &packets, |_| true).len(), 3, "{name}");
    }
}

#[test]
fn every_packet_of_sound_is_marked() {
    for (name, codec, count) in SOUNDS {
        assert_eq!(codec.kind(), Kind::Audio);
        assert_eq!(marked(codec, &recording(name), |_| true), (0..count).collect::<Vec<_>>(), "{name}");
    }
}
