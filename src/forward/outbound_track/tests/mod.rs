//! The behaviour of one outbound track.

mod begin;
mod contents;
mod redundant;
mod repair;
mod replay;
mod switch;
mod takeover;
mod thinning;

use std::sync::Arc;

use bytes::Bytes;

use super::track::*;
use super::*;
use crate::forward::codec::{Codec, Descriptor, Format, FrameLayer, Kind, Part, PictureIds, Redundancy};
use crate::forward::header_extensions::ExtensionIds;
use crate::forward::history::{CacheLimits, History, HistoryLimits};
use crate::forward::outbound_track::OutboundTrackConfig;
use crate::forward::packet::Packet;
use crate::forward::rtp_header::HEADER_LEN;
use crate::forward::source::{Epoch, LayerId, generation};
use std::time::{Duration, Instant};

const SSRC: u32 = 0x1111_1111;
const RTX_SSRC: u32 = 0x2222_2222;
/// The publishers' payload type of the media.
const SOURCE: u8 = 106;
/// The publishers' payload type of redundant audio.
const SOURCE_RED: u8 = 105;
/// The viewer's payload types of the media and of its resends.
const VIEWER: u8 = 102;
const VIEWER_RTX: u8 = 103;
const VIEWER_RED: u8 = 63;
const FIRST: FirstNumbers = FirstNumbers { index: 100, rtx_index: 500, timestamp: 1_000_000 };
/// Between two packets of a publisher, in time and in the timestamps of both kinds.
const STEP: Duration = Duration::from_millis(10);

fn format(kind: Kind) -> Format {
    match kind {
        Kind::Video => Format { codec: Codec::Vp8, clock_rate: 90_000, channels: 0, parameters: String::new() },
        Kind::Audio => Format { codec: Codec::Opus, clock_rate: 48_000, channels: 2, parameters: String::new() },
    }
}

fn config(kind: Kind, rtx: bool) -> OutboundTrackConfig {
    let rtx_payload_type = rtx.then_some(VIEWER_RTX);
    OutboundTrackConfig {
        kind,
        ssrc: SSRC,
        rtx_ssrc: rtx.then_some(RTX_SSRC),
        extensions: ExtensionIds { playout_delay: Some(5), ..Default::default() },
        formats: vec![NegotiatedFormat {
            payload_type: VIEWER,
            format: format(kind),
            rtx_payload_type,
            red_payload_type: (kind == Kind::Audio).then_some(VIEWER_RED),
        }],
        max_size: 1240,
        first: FIRST,
    }
}

/// An outbound track on which the first publisher is selected.
fn outbound_track(kind: Kind, rtx: bool) -> OutboundTrack {
    let mut outbound_track = OutboundTrack::new(config(kind, rtx));
    assert_eq!(outbound_track.select(generation(1), &format(kind), SOURCE), Some(VIEWER));
    outbound_track
}

/// Packets of publishers that all began at one instant and send one packet per step.
#[derive(Clone, Copy)]
struct Publisher {
    epoch: Epoch,
    start: Instant,
}

impl Publisher {
    fn new() -> Self {
        Self { epoch: Epoch::of(1), start: Instant::now() }
    }

    /// The publisher that takes over.
    fn successor(self) -> Self {
        Self { epoch: Epoch::of(self.epoch.publisher + 1), ..self }
    }

    /// A packet whose payload names its epoch and index.
    fn packet(self, index: u64) -> Packet {
        Packet {
            received: self.start + STEP * index as u32,
            generation: self.epoch.generation(),
            layer: LayerId(0),
            index,
            timestamp: (self.epoch.publisher as u32).wrapping_mul(1_000_000_000).wrapping_add(900 * index as u32),
            marker: false,
            payload_type: SOURCE,
            descriptor: Default::default(),
            frame: Default::default(),
            extensions: Default::default(),
            part: Part::default(),
            keyframe: false,
            leads: 0,
            payload: payload(self.epoch, index),
            redundancy: None,
        }
    }

    fn keyframe(self, index: u64) -> Packet {
        Packet { keyframe: true, ..self.packet(index) }
    }

    fn padding(self, index: u64) -> Packet {
        Packet { payload: Bytes::new(), ..self.packet(index) }
    }
}

fn payload(epoch: Epoch, index: u64) -> Bytes {
    format!("{}/{index}", epoch.publisher).into_bytes().into()
}

/// Forwards packets one by one; returns what the viewer receives: number and payload.
fn forward(outbound_track: &mut OutboundTrack, packets: &[Packet]) -> Vec<(u64, String)> {
    let mut buffer = [0; 1500];
    let written = packets.iter().filter_map(|packet| {
        let written = outbound_track.forward(packet, &mut buffer)?;
        Some((written.index, text(written, &buffer)))
    });
    written.collect()
}

/// Pulls all packets of the history; returns what the viewer receives.
fn pull(outbound_track: &mut OutboundTrack, history: &History) -> Vec<(u64, String)> {
    let mut buffer = [0; 1500];
    std::iter::from_fn(|| {
        let written = outbound_track.pull(history, &mut buffer)?;
        Some((written.index, text(written, &buffer)))
    })
    .collect()
}

fn text(written: Written, buffer: &[u8]) -> String {
    String::from_utf8(buffer[written.header_len..written.len].to_vec()).unwrap()
}

fn timestamp(buffer: &[u8]) -> u32 {
    u32::from_be_bytes(buffer[4..8].try_into().unwrap())
}

fn empty_history() -> History {
    let age = Duration::from_secs(3600);
    History::new(HistoryLimits { packets: 64, age, cache: CacheLimits { age, ..CacheLimits::default() } })
}

fn history(packets: impl IntoIterator<Item = Packet>) -> History {
    let mut history = empty_history();
    for packet in packets {
        history.push(Arc::new(packet));
    }
    history
}

/// Received packets as the tests write them down.
fn line<const N: usize>(packets: [(u64, &str); N]) -> Vec<(u64, String)> {
    packets.map(|(index, payload)| (index, payload.to_owned())).to_vec()
}

/// A packet of VP8 with a PictureID of 15 or 7 bits and a TL0PICIDX, of the lowest temporal layer.
fn numbered(packet: Packet, long: bool, picture: u16, base: u8) -> Packet {
    layered(packet, long, picture, base, 0x20)
}

/// The same with this octet of temporal id, Y bit and KEYIDX.
fn layered(packet: Packet, long: bool, picture: u16, base: u8, layer: u8) -> Packet {
    let id = if long { vec![0x80 | (picture >> 8) as u8, picture as u8] } else { vec![picture as u8 & 0x7f] };
    let payload = [vec![0x90, 0xe0], id, vec![base, layer], packet.payload.to_vec()].concat();
    Packet {
        descriptor: Descriptor::of(Codec::Vp8, &payload),
        frame: FrameLayer::of(Codec::Vp8, &payload).unwrap(),
        payload: payload.into(),
        ..packet
    }
}

/// The frame numbers that the viewer reads from a packet.
fn numbers_in(payload: &[u8]) -> (u16, u8) {
    let numbers = Descriptor::of(Codec::Vp8, payload).read(payload, PictureIds::default());
    (numbers.picture_id, numbers.tl0_pic_idx)
}
