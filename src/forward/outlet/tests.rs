//! How one viewer's leg behaves: starts, continuity, takeover, repair, and that no number has two contents.

use bytes::Bytes;

use super::*;
use crate::forward::codec::Codec;

const SSRC: u32 = 0x1111_1111;
const RTX_SSRC: u32 = 0x2222_2222;
/// What the publishers call their medium, and what the viewer calls it and its resends.
const SOURCE: u8 = 106;
const VIEWER: u8 = 102;
const VIEWER_RTX: u8 = 103;
const FIRST: FirstNumbers = FirstNumbers { index: 100, rtx_index: 500, timestamp: 1_000_000 };

fn vp8() -> Format {
    Format { codec: Codec::Vp8, clock_rate: 90_000, channels: 0, parameters: String::new() }
}

fn opus() -> Format {
    Format { codec: Codec::Opus, clock_rate: 48_000, channels: 2, parameters: String::new() }
}

fn config(kind: Kind, rtx: bool) -> OutletConfig {
    let format = if kind == Kind::Video { vp8() } else { opus() };
    let rtx_payload_type = rtx.then_some(VIEWER_RTX);
    OutletConfig {
        kind,
        ssrc: SSRC,
        rtx_ssrc: rtx.then_some(RTX_SSRC),
        formats: vec![Negotiated { payload_type: VIEWER, format, rtx_payload_type }],
        max_size: 1240,
        first: FIRST,
    }
}

fn outlet(kind: Kind, rtx: bool) -> Outlet {
    let config = config(kind, rtx);
    let format = config.formats[0].format.clone();
    let mut outlet = Outlet::new(config);
    assert_eq!(outlet.select(1, &format, SOURCE), Some(VIEWER));
    outlet
}

/// A packet of epoch 1 whose payload is its index; times and timestamps go by 10 ms a packet.
fn packet(start: Instant, index: u64) -> Packet {
    Packet {
        received: start + Duration::from_millis(10 * index),
        epoch: 1,
        layer: LayerId(0),
        index,
        timestamp: 7_000 + 900 * index as u32,
        marker: false,
        payload_type: SOURCE,
        keyframe: false,
        payload: Bytes::from(index.to_be_bytes().to_vec()),
    }
}

fn keyframe(start: Instant, index: u64) -> Packet {
    Packet { keyframe: true, ..packet(start, index) }
}

/// What a receiver reads from a packet on the line.
#[derive(Debug, PartialEq)]
struct Read {
    index: u64,
    timestamp: u32,
    payload: Vec<u8>,
}

fn read(written: Written, buffer: &[u8]) -> Read {
    let timestamp = u32::from_be_bytes(buffer[4..8].try_into().unwrap());
    Read { index: written.index, timestamp, payload: buffer[written.header_len..written.len].to_vec() }
}

/// Forwards packets one by one and returns what the viewer receives: number and, of the payload, the source index.
fn line(outlet: &mut Outlet, packets: &[Packet]) -> Vec<(u64, Option<u64>)> {
    let mut buffer = [0; 1500];
    let written = packets.iter().filter_map(|packet| {
        let read = read(outlet.forward(packet, &mut buffer)?, &buffer);
        Some((read.index, read.payload.try_into().ok().map(u64::from_be_bytes)))
    });
    written.collect()
}

#[test]
fn pictures_begin_at_a_keyframe_and_sound_at_once() {
    let start = Instant::now();
    let packets = [packet(start, 5), keyframe(start, 6), packet(start, 7), packet(start, 4)];
    let mut video = outlet(Kind::Video, false);
    assert!(video.wants_keyframe());
    assert_eq!(line(&mut video, &packets), [(100, Some(6)), (101, Some(7))]);
    assert!(!video.wants_keyframe());
    let sound = packets.map(|packet| Packet { keyframe: true, ..packet });
    let mut audio = outlet(Kind::Audio, false);
    assert!(!audio.wants_keyframe());
    assert_eq!(line(&mut audio, &sound), [(100, Some(5)), (101, Some(6)), (102, Some(7))]);
}

#[test]
fn writes_the_viewers_labels_and_the_publishers_payload() {
    let start = Instant::now();
    let mut outlet = outlet(Kind::Video, false);
    let mut buffer = [0; 1500];
    let first = Packet { marker: true, payload: Bytes::from_static(b"picture"), ..keyframe(start, 1) };
    let written = outlet.forward(&first, &mut buffer).unwrap();
    assert_eq!(written, Written { ssrc: SSRC, index: 100, header_len: 12, len: 19 });
    assert_eq!(buffer[..4], [0x80, 0x80 | VIEWER, 0, 100]);
    assert_eq!(buffer[4..8], 1_000_001u32.to_be_bytes());
    assert_eq!(buffer[8..12], SSRC.to_be_bytes());
    assert_eq!(&buffer[12..19], b"picture");
    assert_eq!((outlet.counts().packets, outlet.counts().octets), (1, 7));
}
