//! What VP9 and AV1 say of frames before their payloads: viewers are sent the temporal layers that they select, and
//! changes of encodings, without a hole in any of the numbers, and with the marker at the end of each frame.

#![expect(clippy::unwrap_used, reason = "the functions that tests share may end a test, as tests may")]

use sluice::forward::codec::{Codec, Kind};
use sluice::name::Role;
use sluice::sdp::Extension;
use sluice::session::Selection;

use crate::broadcast::{GCM, SECOND, track};
use crate::net::Net;
use crate::net::client::Received;
use crate::simulcast::sender::{FRAME, Offer, Sender, lines, list};

/// The temporal ids of frames in turn (L1T3).
const PATTERN: [u8; 4] = [0, 2, 1, 2];

/// Packets of a frame.
const PARTS: usize = 2;

/// The PictureID of a publisher's first frame: 15 bits soon wrap around.
const FIRST_ID: u32 = 0x7ff0;

/// How the temporal layer of a frame is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// By the payload descriptor of VP9.
    Vp9,
    /// By the dependency descriptor of AV1.
    Descriptor,
    /// By the OBU header of AV1.
    Obu,
}

/// A publisher of three temporal layers and viewers that have selected up to the first, the second and the third.
struct Layered {
    net: Net,
    publisher: usize,
    told: Told,
    viewers: [usize; 3],
    frame: u32,
}

fn temporal(frame: u32) -> u8 {
    PATTERN[frame as usize % PATTERN.len()]
}

/// One packet of a frame of VP9 in the non-flexible mode (RFC 9628 4.2), with its number at the end.
fn vp9(frame: u32, part: usize, is_keyframe: bool, (columns, rows): (u16, u16), temporal: u8) -> Vec<u8> {
    let (begins, ends) = (part == 0, part + 1 == PARTS);
    let mut payload = vec![0xa0 | u8::from(!is_keyframe) << 6 | u8::from(begins) << 3 | u8::from(ends) << 2];
    payload.extend((0x8000 | (FIRST_ID + frame) as u16 & 0x7fff).to_be_bytes());
    // Frames of higher layers refer to lower ones only.
    payload.push(temporal << 5 | u8::from(temporal > 0) << 4);
    payload.push((frame / PATTERN.len() as u32) as u8);
    if begins && is_keyframe {
        let sizes = u64::from(columns - 1) << 44 | u64::from(rows - 1) << 28;
        payload.extend([0x82, 0x49, 0x83, 0x42]);
        payload.extend(&sizes.to_be_bytes()[..5]);
    } else {
        payload.extend([0x86, 0]);
    }
    payload.resize(100, 7);
    payload.extend(frame.to_be_bytes());
    payload
}

/// One packet of a frame of AV1: the first begins its OBU, the second goes on with it.
fn av1(frame: u32, part: usize, is_keyframe: bool, told: Told) -> Vec<u8> {
    let mut payload = match (part, is_keyframe) {
        (0, true) => vec![0x58, 0x08],
        (0, false) if told == Told::Obu => vec![0x50, 0x34, temporal(frame) << 5, 0x30],
        (0, false) => vec![0x50, 0x30, 0x30],
        _ => vec![0x90, 0x30],
    };
    payload.resize(100, 7);
    payload.extend(frame.to_be_bytes());
    payload
}

/// The dependency descriptor of one packet.
fn descriptor(frame: u32, part: usize, is_keyframe: bool) -> Vec<u8> {
    let template = match (is_keyframe, frame % 4) {
        (true, _) => 0,
        (false, 0) => 1,
        (false, 2) => 2,
        (false, place) => 3 + u8::from(place == 3),
    };
    let ends = u8::from(part == 0) << 7 | u8::from(part + 1 == PARTS) << 6;
    let mut value = vec![ends | template];
    value.extend((frame as u16).to_be_bytes());
    if is_keyframe && part == 0 {
        value.extend(structure());
    }
    value
}

/// The structure that Chromium sends for L1T3 behind the first three octets of a keyframe's descriptor (AV1 RTP
/// specification, appendix A.8): templates of T0 (key and delta), T1, T2, T2.
fn structure() -> Vec<u8> {
    let mut bits = Vec::new();
    let mut put = |value: u32, count: u32| bits.extend((0..count).rev().map(|bit| value >> bit & 1));
    // A structure comes; its first template has the id 0; three decode targets.
    put(0b10000, 5);
    put(0, 6);
    put(2, 5);
    for next in [0, 1, 1, 0, 3] {
        put(next, 2);
    }
    for indications in ["SSS", "SSS", "-DS", "--D", "--D"] {
        indications.chars().for_each(|indication| put("-DSR".find(indication).unwrap() as u32, 2));
    }
    bits.chunks(8)
        .map(|bits| bits.iter().enumerate().fold(0, |octet, (at, bit)| octet | (*bit as u8) << (7 - at)))
        .collect()
}

impl Layered {
    fn new(told: Told) -> Self {
        let mut net = Net::new(1);
        net.extensions = vec![Extension::Mid];
        if told == Told::Descriptor {
            net.extensions.push(Extension::DependencyDescriptor);
        }
        let codec = if told == Told::Vp9 { Codec::Vp9 } else { Codec::Av1 };
        let publisher = net.join(Role::Publisher, "cam", &[codec], GCM);
        let viewers = [(); 3].map(|()| net.join(Role::Viewer, "cam", &[codec], GCM));
        net.connect();
        for (highest, viewer) in (0..).zip(viewers) {
            net.select(viewer, Selection { temporal: Some(highest), ..Selection::default() });
        }
        Self { net, publisher, told, viewers, frame: 0 }
    }

    fn id(&self, client: usize) -> Option<u8> {
        let mut extensions = self.net.clients[client].tracks[0].extensions.iter();
        extensions.find(|(_, agreed)| *agreed == Extension::DependencyDescriptor).map(|(id, _)| *id)
    }

    /// Frames of all layers; the first is a keyframe if `begins`.
    fn show(&mut self, frames: u32, begins: bool) {
        for nth in 0..frames {
            let (frame, is_keyframe) = (self.frame, begins && nth == 0);
            for part in 0..PARTS {
                let payload = match self.told {
                    Told::Vp9 => vp9(frame, part, is_keyframe, (640, 360), temporal(frame)),
                    told => av1(frame, part, is_keyframe, told),
                };
                if let Some(id) = self.id(self.publisher).filter(|_| self.told == Told::Descriptor) {
                    let value = descriptor(frame, part, is_keyframe);
                    let mut elements = [&[id << 4 | (value.len() as u8 - 1)], &value[..]].concat();
                    elements.resize(elements.len().next_multiple_of(4), 0);
                    let says = [&[0xbe, 0xde, 0, (elements.len() / 4) as u8], &elements[..]].concat();
                    self.net.clients[self.publisher].says = says;
                }
                self.net.send(self.publisher, 0, frame * 3_600, part + 1 == PARTS, &payload);
            }
            self.frame += 1;
            self.net.run(FRAME);
        }
    }

    fn received(&self, viewer: usize) -> Vec<&Received> {
        let client = &self.net.clients[viewer];
        client.received.iter().filter(|packet| Some(packet.ssrc) == client.tracks[0].ssrc).collect()
    }

    /// The frames that a viewer was sent, each whole, with the marker at its end and nothing missing between packets.
    fn frames(&self, viewer: usize) -> Vec<u32> {
        let packets = self.received(viewer);
        assert!(packets.windows(2).all(|pair| pair[1].index == pair[0].index + 1), "{:?}", self.told);
        let frame = |parts: &[&Received]| {
            assert!(parts.len() == PARTS && parts.iter().all(|packet| number(packet) == number(parts[0])));
            assert_eq!(parts.iter().map(|packet| packet.marker).collect::<Vec<_>>(), [false, true]);
            number(parts[0])
        };
        packets.chunks(PARTS).map(frame).collect()
    }
}

/// The number at the end of a payload.
fn number(packet: &Received) -> u32 {
    u32::from_be_bytes(*packet.payload.last_chunk().unwrap())
}

/// PictureID and TL0PICIDX.
fn vp9_numbers(packet: &Received) -> (u16, u8) {
    let id = u16::from_be_bytes([packet.payload[1], packet.payload[2]]);
    (id & 0x7fff, packet.payload[4])
}

/// The frame number of a dependency descriptor.
fn described_number(packet: &Received, id: u8) -> u16 {
    let (_, value) = packet.elements.iter().find(|(other, _)| *other == id).unwrap();
    u16::from_be_bytes([value[1], value[2]])
}

#[test]
fn viewers_are_sent_the_temporal_layers_that_they_select_of_vp9_and_av1_without_a_hole() {
    for told in [Told::Vp9, Told::Descriptor, Told::Obu] {
        let mut layered = Layered::new(told);
        layered.show(80, true);
        for (highest, viewer) in (0..).zip(layered.viewers) {
            let frames = layered.frames(viewer);
            let expected: Vec<u32> = (0..80).filter(|frame| temporal(*frame) <= highest).collect();
            assert_eq!(frames, expected, "{told:?}, up to {highest}");
            let packets = layered.received(viewer);
            let first = packets[0];
            for packet in &packets {
                // What refers to other frames does so by differences of their numbers, so these stay as they are.
                let since = (number(packet) - number(first)) as u16;
                match told {
                    Told::Vp9 => {
                        let ((id, base), (first_id, first_base)) = (vp9_numbers(packet), vp9_numbers(first));
                        assert_eq!(id, (first_id + since) & 0x7fff);
                        assert_eq!(base, first_base.wrapping_add((since / 4) as u8));
                    }
                    Told::Descriptor => {
                        let id = layered.id(viewer).unwrap();
                        assert_eq!(described_number(packet, id), described_number(first, id).wrapping_add(since));
                    }
                    Told::Obu => {}
                }
            }
        }
        assert_eq!(layered.net.metric_sum("sluice_drops_total{"), 0, "{told:?}");
    }
}

#[test]
fn more_temporal_layers_follow_where_frames_say_that_they_may_and_else_at_the_next_keyframe() {
    for told in [Told::Vp9, Told::Descriptor, Told::Obu] {
        let mut layered = Layered::new(told);
        layered.show(20, true);
        let lowest = layered.viewers[0];
        layered.net.select(lowest, Selection::default());
        layered.show(20, false);
        let without = layered.frames(lowest).into_iter().filter(|frame| (20..40).contains(frame)).count();
        match told {
            Told::Vp9 | Told::Descriptor => assert!((17..=20).contains(&without), "{told:?}: {without} of 20"),
            Told::Obu => assert_eq!(without, 5, "an OBU header does not say so"),
        }
        layered.show(20, true);
        let with = layered.frames(lowest).into_iter().filter(|frame| *frame >= 40).count();
        assert_eq!(with, 20, "{told:?}");
    }
}

#[test]
fn changes_of_the_encoding_leave_no_hole_in_the_picture_ids_of_vp9_and_one_marker_a_frame() {
    const BOTH: &[(&str, u16, u16)] = &[("low", 320, 180), ("high", 640, 360)];
    let mut net = Net::new(1);
    let offer = Offer { encodings: BOTH, lines: &lines(BOTH, &list(BOTH)), codec: Codec::Vp9 };
    let mut sender = Sender::join_by(&mut net, &offer, |_| {});
    let viewer = net.join(Role::Viewer, "cam", &[Codec::Vp9, Codec::Opus], GCM);
    net.connect();
    // The encodings begin with different PictureIDs.
    let show = |net: &mut Net, sender: &mut Sender, is_keyframe: bool| {
        for (place, (rid, columns, rows)) in (0..).zip(BOTH) {
            let timestamp = sender.timestamp(place);
            let ssrc = sender.encodings[place].ssrc;
            let named = (!Sender::is_reported(net, sender.publisher, ssrc)).then_some(*rid);
            for part in 0..PARTS {
                sender.is_last = part + 1 == PARTS;
                let payload = vp9(sender.frames + place as u32 * 5_000, part, is_keyframe, (*columns, *rows), 0);
                let datagram = sender.seal(net, (ssrc, false), named, timestamp, &payload);
                net.deliver(sender.publisher, datagram);
            }
        }
        sender.frames += 1;
        net.run(FRAME);
    };
    let mut selected = 0;
    for round in 0..30 {
        selected = (selected + 1) % 2;
        net.select_rid(viewer, BOTH[selected].0);
        for nth in 0..20 {
            show(&mut net, &mut sender, nth == 7 + round % 5);
        }
    }
    net.run(SECOND);
    let client = &net.clients[viewer];
    let video = client.tracks[track(client, Kind::Video)].ssrc;
    let packets: Vec<_> = client.received.iter().filter(|packet| Some(packet.ssrc) == video).collect();
    let switches = packets.windows(2).filter(|pair| number(pair[0]) / 5_000 != number(pair[1]) / 5_000).count();
    assert!(switches >= 25, "{switches}");
    assert!(packets.windows(2).all(|pair| pair[1].index == pair[0].index + 1));
    let mut before: Option<u16> = None;
    for frame in packets.chunks(PARTS) {
        assert_eq!(frame.iter().map(|packet| packet.marker).collect::<Vec<_>>(), [false, true]);
        let ids: Vec<u16> = frame.iter().map(|packet| vp9_numbers(packet).0).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert!(before.is_none_or(|before| ids[0] == (before + 1) & 0x7fff), "{before:?}, {ids:?}");
        before = Some(ids[0]);
    }
}
