//! Frames above a limit are left out of the RTP stream.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Temporal ids of Chromium's three layers, and which frames have bit Y: those that refer to the lowest layer only.
const PATTERN: [(u8, bool); 8] =
    [(0, false), (2, true), (1, true), (2, false), (0, false), (2, false), (1, false), (2, false)];

/// Packets of each frame; the first frame is a keyframe, and each is as its place in the pattern says.
fn video(publisher: Publisher, packets_of_frames: &[u64]) -> Vec<Packet> {
    let (mut packets, mut index, mut base) = (Vec::new(), 0, 255u8);
    for (frame, &count) in packets_of_frames.iter().enumerate() {
        let (temporal, sync) = PATTERN[frame % PATTERN.len()];
        base = base.wrapping_add(u8::from(temporal == 0));
        for part in 1..=count {
            let octet = temporal << 6 | u8::from(sync) << 5;
            let packet = Packet {
                timestamp: 3000 * frame as u32,
                marker: part == count,
                keyframe: frame == 0 && part == 1,
                ..publisher.packet(index)
            };
            packets.push(layered(packet, true, 0x7ffd + frame as u16, base, octet));
            index += 1;
        }
    }
    packets
}

/// What a viewer has of a frame: its number of packets, the end of its last one, its frame numbers and timestamp.
#[derive(Debug, Default, PartialEq, Eq)]
struct Received {
    temporal: u8,
    packets: u64,
    ids: (u16, u8),
    timestamp: u32,
}

/// Sends packets one by one; `limit` says which limit is set before each. Returns what arrives by number.
fn send(
    outbound_track: &mut OutboundTrack,
    packets: &[Packet],
    mut limit: impl FnMut(usize) -> Option<FrameLimit>,
) -> BTreeMap<u64, (u32, Vec<u8>)> {
    let mut received = BTreeMap::new();
    let mut buffer = [0; 1500];
    for (at, packet) in packets.iter().enumerate() {
        if let Some(limit) = limit(at) {
            outbound_track.limit_frames(limit);
        }
        let Some(written) = outbound_track.forward(packet, &mut buffer) else { continue };
        let payload = buffer[written.header_len..written.len].to_vec();
        assert_eq!(received.insert(written.index, (timestamp(&buffer), payload)), None, "a number twice");
    }
    received
}

/// The frames in packets that arrived, in the order of their numbers.
fn frames(received: &BTreeMap<u64, (u32, Vec<u8>)>) -> Vec<Received> {
    let mut frames: Vec<Received> = Vec::new();
    for (timestamp, payload) in received.values() {
        if frames.last().is_none_or(|last| last.timestamp != *timestamp) {
            let temporal = FrameLayer::of(Codec::Vp8, payload).unwrap().temporal();
            frames.push(Received { temporal, packets: 0, ids: numbers_in(payload), timestamp: *timestamp });
        }
        let last = frames.last_mut().unwrap();
        assert_eq!(last.ids, numbers_in(payload), "one frame, one number");
        last.packets += 1;
    }
    frames
}

#[test]
fn frames_above_a_temporal_id_leave_no_hole_in_any_numbers() {
    for highest in 0..3 {
        let packets = video(Publisher::new(), &[2; 40]);
        let mut outbound_track = outbound_track(Kind::Video, false);
        let received = send(&mut outbound_track, &packets, |at| (at == 0).then_some(FrameLimit::Temporal(highest)));
        let frames = frames(&received);
        assert!(frames.iter().all(|frame| frame.temporal <= highest && frame.packets == 2));
        assert_eq!(frames.len(), 10 << highest);
        assert!(received.keys().copied().eq(100..100 + 2 * frames.len() as u64));
        let ids = (0u16..).map(|at| 0x7ffd_u16.wrapping_add(at) & 0x7fff);
        assert!(frames.iter().map(|frame| frame.ids.0).eq(ids.take(frames.len())));
        let bases: Vec<u8> = frames.iter().filter(|frame| frame.temporal == 0).map(|frame| frame.ids.1).collect();
        assert!(bases.iter().copied().eq(0..10));
        assert_eq!(outbound_track.counts().thinned, 80 - received.len() as u64);
    }
}

#[test]
fn a_limit_is_stricter_from_the_next_frame_on_and_looser_where_frames_allow_it() {
    let packets = video(Publisher::new(), &[2; 24]);
    let mut outbound_track = outbound_track(Kind::Video, false);
    // In the middle of the second frame down, in the middle of the sixth up.
    let limit = |at| match at {
        3 => Some(FrameLimit::Temporal(0)),
        11 => Some(FrameLimit::ALL),
        _ => None,
    };
    let received = frames(&send(&mut outbound_track, &packets, limit));
    assert!(received.iter().all(|frame| frame.packets == 2), "no frame is cut");
    let at = |frame: &Received| frame.timestamp.wrapping_sub(1_000_001) / 3000;
    let sent: Vec<u32> = received.iter().map(at).collect();
    // T1 is added at 10, and T2 at 17: frame 9 is of T2 and refers to T0 only, but frames of T1 come before the next.
    assert_eq!(sent, [0, 1, 4, 8, 10, 12, 14, 16, 17, 18, 19, 20, 21, 22, 23]);
    assert_eq!(outbound_track.frame_limit(), FrameLimit::Temporal(2));
}

#[test]
fn frames_that_open_higher_layers_and_keyframes_loosen_a_limit_at_once() {
    let publisher = Publisher::new();
    // VP9 without flexible mode, with 15 bits of PictureID: an octet of TID and U, and TL0PICIDX.
    let packet = |index: u64, layer: u8, keyframe: bool| {
        let payload = [&[0xa8, 0x80, index as u8, layer, 7][..], b"frame"].concat();
        Packet {
            descriptor: Descriptor::of(Codec::Vp9, &payload),
            frame: FrameLayer::of(Codec::Vp9, &payload).unwrap(),
            payload: payload.into(),
            keyframe,
            ..publisher.packet(index)
        }
    };
    let (base, opening, upper, top) = (0x00, 0x10, 0x20, 0x40);
    let mut outbound_track = outbound_track(Kind::Video, false);
    outbound_track.limit_frames(FrameLimit::Temporal(0));
    let ids =
        |received: &BTreeMap<u64, (u32, Vec<u8>)>| received.values().map(|(_, payload)| payload[2]).collect::<Vec<_>>();
    let packets = [packet(1, base, true), packet(2, upper, false), packet(3, base, false)];
    assert_eq!(ids(&send(&mut outbound_track, &packets, |_| None)), [1, 3], "differences of PictureIDs are references");
    outbound_track.limit_frames(FrameLimit::Temporal(2));
    let packets = [packet(4, top, false), packet(5, opening, false), packet(6, top, false), packet(7, upper, false)];
    assert_eq!(ids(&send(&mut outbound_track, &packets, |_| None)), [5, 6, 7]);
    outbound_track.limit_frames(FrameLimit::Nothing);
    assert!(!outbound_track.lacks_keyframe());
    let packets = [packet(8, base, false), packet(9, base, true), packet(10, base, false)];
    assert!(ids(&send(&mut outbound_track, &packets, |_| None)).is_empty());
    outbound_track.limit_frames(FrameLimit::ALL);
    assert!(outbound_track.lacks_keyframe());
    let packets = [packet(11, opening, false), packet(12, base, true), packet(13, top, false)];
    assert_eq!(ids(&send(&mut outbound_track, &packets, |_| None)), [12, 13]);
    assert!(!outbound_track.lacks_keyframe());
    assert_eq!(outbound_track.counts().packets, 7);
}

#[test]
fn frames_that_nothing_refers_to_are_left_out_first_and_come_back_at_once() {
    let publisher = Publisher::new();
    // Bit N of VP8.
    let packet = |index: u64, discardable: bool| {
        let mut packet = numbered(publisher.packet(index), false, index as u16, index as u8);
        let mut payload = packet.payload.to_vec();
        payload[0] |= u8::from(discardable) << 5;
        packet.frame = FrameLayer::of(Codec::Vp8, &payload).unwrap();
        Packet { payload: payload.into(), keyframe: index == 1, ..packet }
    };
    let packets: Vec<Packet> = (1..9).map(|index| packet(index, index % 2 == 0)).collect();
    let mut outbound_track = outbound_track(Kind::Video, false);
    let limit = |at| match at {
        0 => Some(FrameLimit::Reference),
        5 => Some(FrameLimit::ALL),
        _ => None,
    };
    let received = send(&mut outbound_track, &packets, limit);
    let sent: Vec<u8> = received.values().map(|(_, payload)| *payload.last().unwrap() - b'0').collect();
    assert_eq!(sent, [1, 3, 5, 6, 7, 8]);
    let ids: Vec<_> = received.values().map(|(_, payload)| numbers_in(payload)).collect();
    assert_eq!(ids, [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)]);
}

#[test]
fn a_packet_that_arrives_late_is_sent_where_its_number_is_reserved() {
    let packets = video(Publisher::new(), &[1, 2, 1]);
    let mut outbound_track = outbound_track(Kind::Video, false);
    outbound_track.limit_frames(FrameLimit::Temporal(1));
    let order = [0, 2, 3, 1].map(|at| packets[at].clone());
    let received = send(&mut outbound_track, &order, |_| None);
    assert!(received.keys().copied().eq(100..103));
    assert_eq!(outbound_track.counts().thinned, 1);
}

fn limits() -> impl Strategy<Value = FrameLimit> {
    prop_oneof![
        1 => Just(FrameLimit::Nothing),
        1 => Just(FrameLimit::Reference),
        4 => (0u8..3).prop_map(FrameLimit::Temporal),
        2 => Just(FrameLimit::ALL),
    ]
}

proptest! {
    #[test]
    fn every_frame_is_whole_and_has_what_it_refers_to_whatever_the_limits(
        packets_of_frames in prop::collection::vec(1u64..4, 30..80),
        changes in prop::collection::btree_map(0usize..150, limits(), 0..8),
    ) {
        let packets = video(Publisher::new(), &packets_of_frames);
        let mut outbound_track = outbound_track(Kind::Video, false);
        // A looser limit after this one waits for the next keyframe, and there is none.
        let stopped = changes.iter().find(|(_, limit)| **limit == FrameLimit::Nothing).map(|(at, _)| *at);
        let received = send(&mut outbound_track, &packets, |at| changes.get(&at).copied());
        prop_assert!(received.keys().copied().eq(100..100 + received.len() as u64));
        let frames = frames(&received);
        let at = |frame: &Received| (frame.timestamp.wrapping_sub(1_000_001) / 3000) as usize;
        let mut newest_of_layer = [0; 3];
        for (place, frame) in frames.iter().enumerate() {
            prop_assert_eq!(frame.packets, packets_of_frames[at(frame)], "frame {}", at(frame));
            prop_assert_eq!(frame.ids.0, 0x7ffd_u16.wrapping_add(place as u16) & 0x7fff);
            let (temporal, sync) = PATTERN[at(frame) % PATTERN.len()];
            let lower = if sync { 1 } else { usize::from(temporal) + 1 };
            for (layer, &newest_here) in newest_of_layer.iter().enumerate().take(lower) {
                // The newest frame of that layer before this one is here, unless it is of another group.
                let newest = (0..at(frame)).rev().find(|before| usize::from(PATTERN[before % PATTERN.len()].0) == layer);
                let needed = newest.filter(|newest| newest / 8 == at(frame) / 8 || layer == 0).unwrap_or(0);
                prop_assert!(at(frame) == 0 || newest_here >= needed, "frame {} without {}", at(frame), needed);
            }
            newest_of_layer[usize::from(temporal)] = at(frame);
            prop_assert!(stopped.is_none_or(|stopped| at(frame) <= stopped));
        }
    }

    #[test]
    fn no_number_has_two_contents_and_none_is_missing_in_any_order_of_arrival(
        packets in prop::collection::vec((1u64..4, 0u64..6), 20..60),
        changes in prop::collection::btree_map(0usize..100, limits(), 0..8),
    ) {
        let counts: Vec<u64> = packets.iter().map(|(count, _)| *count).collect();
        let mut arrivals: Vec<(u64, Packet)> = video(Publisher::new(), &counts)
            .into_iter()
            .map(|packet| (if packet.index == 0 { 0 } else { packet.index + packets[packet.index as usize % packets.len()].1 }, packet))
            .collect();
        arrivals.sort_by_key(|(at, packet)| (*at, packet.index));
        let arrivals: Vec<Packet> = arrivals.into_iter().map(|(_, packet)| packet).collect();
        let mut outbound_track = outbound_track(Kind::Video, false);
        let received = send(&mut outbound_track, &arrivals, |at| changes.get(&at).copied());
        prop_assert!(received.keys().copied().eq(100..100 + received.len() as u64));
        prop_assert_eq!(received.len() as u64 + outbound_track.counts().thinned, arrivals.len() as u64);
    }
}
