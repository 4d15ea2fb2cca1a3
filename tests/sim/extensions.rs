//! Header extensions (RFC 8285): viewers get those of the publisher and those of the relay itself. Every sealed packet
//! passes a recorder that fails if one sequence number has two contents.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use sluice::forward::codec::Kind;
use sluice::name::Role;
use sluice::node::Create;
use sluice::sdp::Extension;
use sluice::worker::Config;

use crate::broadcast::{BOTH, Broadcast, GCM, MILLISECOND, PARTS, SECOND, assert_continuous, track};
use crate::net::Net;
use crate::net::client::Received;

const OF_PACKETS: [Extension; 3] = [Extension::Mid, Extension::AudioLevel, Extension::AbsCaptureTime];

/// An NTP time: seconds and their 2^32nd parts.
const CAPTURED: u64 = 3_900_000_000 << 32;

/// HeaderExtensions with their preamble: two-byte ones where one is too long for the others.
fn block(elements: &[(u8, &[u8])]) -> Vec<u8> {
    let two_byte = elements.iter().any(|(_, value)| value.len() > 16);
    let mut octets = Vec::new();
    for (id, value) in elements {
        match two_byte {
            true => octets.extend([*id, value.len() as u8]),
            false => octets.push(id << 4 | (value.len() as u8 - 1)),
        }
        octets.extend(*value);
    }
    octets.resize(octets.len().next_multiple_of(4), 0);
    let [high, low] = profile(two_byte);
    let mut block = vec![high, low, 0, (octets.len() / 4) as u8];
    block.extend(octets);
    block
}

fn profile(two_byte: bool) -> [u8; 2] {
    if two_byte { [0x10, 0x00] } else { [0xbe, 0xde] }
}

/// The id under which a client negotiated an extension for a track.
fn id(net: &Net, client: usize, kind: Kind, extension: Extension) -> Option<u8> {
    let track = &net.clients[client].tracks[track(&net.clients[client], kind)];
    track.extensions.iter().find(|(_, agreed)| *agreed == extension).map(|(id, _)| *id)
}

/// A publisher and a viewer that offer these extensions.
fn joined(extensions: &[Extension]) -> (Net, Broadcast, usize) {
    let mut net = Net::new(1);
    net.extensions = extensions.to_vec();
    let publisher = net.publish("cam");
    let viewer = net.watch("cam");
    net.connect();
    let broadcast = Broadcast::new(&net, publisher);
    (net, broadcast, viewer)
}

/// What a viewer got of a track, on its line or that of its resends.
fn received(net: &Net, viewer: usize, kind: Kind, resends: bool) -> Vec<Received> {
    let client = &net.clients[viewer];
    let track = &client.tracks[track(client, kind)];
    let ssrc = if resends { track.rtx_ssrc } else { track.ssrc };
    client.received.iter().filter(|packet| Some(packet.ssrc) == ssrc).cloned().collect()
}

fn value(packet: &Received, id: Option<u8>) -> Option<&[u8]> {
    packet.elements.iter().find(|(found, _)| Some(*found) == id).map(|(_, value)| &value[..])
}

/// The lengths of the headers of packets: what a seal of 16 octets and the payload leave.
fn header_lengths(packets: &[Received]) -> BTreeSet<usize> {
    packets.iter().map(|packet| packet.sealed.len() - 16 - packet.payload.len()).collect()
}

/// Publishes for a while; every other millisecond's packets say something.
fn run_saying(net: &mut Net, broadcast: &mut Broadcast, how_long: Duration, says: impl Fn(u64) -> Vec<u8>) {
    let until = net.now + how_long;
    while net.now < until {
        let elapsed = net.now.saturating_duration_since(broadcast.started()).as_millis() as u64;
        net.clients[broadcast.publisher].says = if elapsed.is_multiple_of(80) { says(elapsed) } else { Vec::new() };
        broadcast.run(net, MILLISECOND);
    }
}

/// Capture time and loudness, under the ids of a publisher.
fn captured_at(net: &Net, publisher: usize) -> impl Fn(u64) -> Vec<u8> + use<> {
    let ids =
        [Extension::AudioLevel, Extension::AbsCaptureTime].map(|extension| id(net, publisher, Kind::Audio, extension));
    let [level, capture] = ids.map(|id| id.expect("it is taken from publishers"));
    move |elapsed| {
        let time = CAPTURED + (elapsed << 32) / 1000;
        let long = [time.to_be_bytes(), 5i64.to_be_bytes()].concat();
        block(&[(level, &[0x80 | 30]), (capture, &long)])
    }
}

#[test]
fn every_packet_has_audio_level_and_capture_time_even_if_the_publisher_omits_them() {
    let (mut net, mut broadcast, viewer) = joined(&OF_PACKETS);
    let says = captured_at(&net, broadcast.publisher);
    run_saying(&mut net, &mut broadcast, SECOND, says);
    for kind in [Kind::Audio, Kind::Video] {
        let packets = received(&net, viewer, kind, false);
        assert!(packets.len() >= 50);
        let of = |extension| id(&net, viewer, kind, extension);
        let (began, rate) = (packets[0].timestamp, if kind == Kind::Video { 90_000 } else { 48_000 });
        let mid = &net.clients[viewer].tracks[track(&net.clients[viewer], kind)].mid;
        for packet in &packets {
            assert_eq!(value(packet, of(Extension::Mid)), Some(mid.as_bytes()));
            assert_eq!(value(packet, of(Extension::AudioLevel)), Some(&[0x80 | 30][..]), "{kind:?}");
            let capture = value(packet, of(Extension::AbsCaptureTime)).expect("every packet has one");
            let (time, offset) = capture.split_at(8);
            let time = u64::from_be_bytes(time.try_into().unwrap());
            let since = u64::from(packet.timestamp.wrapping_sub(began));
            assert!(time.abs_diff(CAPTURED + (since << 32) / rate) < 1 << 12, "{kind:?}: {time} after {since} ticks");
            assert_eq!(offset, 5i64.to_be_bytes());
        }
        assert_eq!(header_lengths(&packets).len(), 1);
    }
    assert_continuous(&net.video(viewer), 0..broadcast.frame * PARTS);
}

#[test]
fn a_viewer_that_negotiated_no_extension_gets_none() {
    let (mut net, mut broadcast, asking) = joined(&OF_PACKETS);
    net.extensions.clear();
    let plain = net.watch("cam");
    net.connect();
    let says = captured_at(&net, broadcast.publisher);
    run_saying(&mut net, &mut broadcast, SECOND / 2, says);
    for kind in [Kind::Audio, Kind::Video] {
        assert_eq!(header_lengths(&received(&net, plain, kind, false)), BTreeSet::from([12]));
        assert!(header_lengths(&received(&net, asking, kind, false)) > BTreeSet::from([12]));
    }
}

#[test]
fn replayed_frames_carry_the_time_of_their_capture() {
    let (mut net, mut broadcast, _) = joined(&OF_PACKETS);
    let says = captured_at(&net, broadcast.publisher);
    run_saying(&mut net, &mut broadcast, 3 * SECOND, says);
    let late = broadcast.add_viewer(&mut net);
    broadcast.run(&mut net, SECOND);
    let packets = received(&net, late, Kind::Video, false);
    let shown = net.video(late);
    for (packet, shown) in packets.iter().zip(&shown) {
        let capture = value(packet, id(&net, late, Kind::Video, Extension::AbsCaptureTime)).expect("each has one");
        let time = u64::from_be_bytes(capture[..8].try_into().unwrap());
        let truth = (broadcast.video_sent_at(shown.number) - broadcast.started()).as_millis() as u64;
        assert!(time.abs_diff(CAPTURED + (truth << 32) / 1000) < 1 << 22, "frame of {truth} ms");
    }
    assert_eq!(shown[0].number, 0, "it begins with frames from before it joined");
}

#[test]
fn a_resend_repeats_the_extensions_of_the_packet_with_its_own_send_time() {
    let extensions = [&OF_PACKETS[..], &[Extension::AbsSendTime]].concat();
    let (mut net, mut broadcast, viewer) = joined(&extensions);
    let says = captured_at(&net, broadcast.publisher);
    run_saying(&mut net, &mut broadcast, SECOND, says);
    let first = received(&net, viewer, Kind::Video, false).pop().expect("frames come");
    broadcast.run(&mut net, 100 * MILLISECOND);
    net.nack(viewer, [first.index]);
    net.run(50 * MILLISECOND);
    let resends = received(&net, viewer, Kind::Video, true);
    assert_eq!(resends.len(), 2, "two copies, both within the replay window");
    let time = id(&net, viewer, Kind::Video, Extension::AbsSendTime);
    for resend in &resends {
        assert_eq!(resend.payload[..2], (first.index as u16).to_be_bytes());
        assert_eq!(resend.payload[2..], first.payload);
        for (id, expected) in first.elements.iter().filter(|(id, _)| Some(*id) != time) {
            assert_eq!(value(resend, Some(*id)), Some(&expected[..]));
        }
        assert!(ticks(resend, time) - ticks(&first, time) >= (1 << 18) / 10, "it left 0.1 s later");
    }
    assert_eq!(resends[0].elements.len(), 4);
}

fn ticks(packet: &Received, id: Option<u8>) -> u32 {
    let value = value(packet, id).expect("every packet says when it leaves");
    u32::from_be_bytes([0, value[0], value[1], value[2]])
}

#[test]
fn video_carries_its_send_time_and_audio_whose_resends_are_repetitions_does_not() {
    let (mut net, mut broadcast, viewer) = joined(&[Extension::AbsSendTime, Extension::TransportWideCc]);
    broadcast.run(&mut net, SECOND);
    let packets = received(&net, viewer, Kind::Video, false);
    let time = id(&net, viewer, Kind::Video, Extension::AbsSendTime);
    for packet in &packets {
        let elapsed = f64::from(ticks(packet, time) - ticks(&packets[0], time)) / f64::from(1 << 18);
        assert!((elapsed - (packet.at - packets[0].at).as_secs_f64()).abs() < 0.001);
    }
    assert_eq!(header_lengths(&packets).len(), 1);
    assert_eq!(header_lengths(&received(&net, viewer, Kind::Audio, false)), BTreeSet::from([12]));
    let number = id(&net, viewer, Kind::Video, Extension::TransportWideCc);
    assert!(number.is_some(), "there is no later answer");
    assert!(packets.iter().all(|packet| value(packet, number).is_none()), "one way to see the network is enough");
}

#[test]
fn a_single_encoding_is_sent_and_resent_without_the_transport_wide_numbers_that_were_agreed() {
    let (mut net, mut broadcast, viewer) = joined(&[Extension::Mid, Extension::TransportWideCc]);
    for _ in 0..20 {
        broadcast.run(&mut net, 50 * MILLISECOND);
        let newest = received(&net, viewer, Kind::Video, false).pop().expect("frames come");
        net.nack(viewer, [newest.index]);
    }
    net.run(50 * MILLISECOND);
    let number = id(&net, viewer, Kind::Video, Extension::TransportWideCc);
    assert!(number.is_some() && received(&net, viewer, Kind::Video, true).len() >= 20);
    assert!(net.clients[viewer].received.iter().all(|packet| value(packet, number).is_none()));
}

#[test]
fn extensions_that_a_new_publisher_lacks_end_with_the_takeover() {
    let (mut net, mut first, viewer) = joined(&OF_PACKETS);
    let says = captured_at(&net, first.publisher);
    run_saying(&mut net, &mut first, SECOND, says);
    net.extensions = vec![Extension::Mid];
    let mut second = Broadcast::join(&mut net, 1_000_000);
    second.run(&mut net, SECOND);
    for kind in [Kind::Audio, Kind::Video] {
        let packets = received(&net, viewer, kind, false);
        let shown = net.packets(viewer, kind);
        let capture = id(&net, viewer, kind, Extension::AbsCaptureTime);
        let mid = id(&net, viewer, kind, Extension::Mid);
        let (old, new) =
            packets.split_at(shown.iter().position(|shown| shown.number >= 1_000_000).expect("it is seen"));
        assert!(old.iter().all(|packet| value(packet, capture).is_some()));
        assert!(new.len() > 40 && new.iter().all(|packet| value(packet, capture).is_none()));
        assert!(packets.iter().all(|packet| value(packet, mid).is_some()));
        assert_eq!((header_lengths(old).len(), header_lengths(new).len()), (1, 1));
    }
}

/// A phone in landscape sends its orientation with its first packet only.
#[test]
fn viewers_get_the_video_orientation_if_the_operator_allows_it() {
    let mut net = Net::with(1, Config { video_orientation: true, ..Config::default() });
    net.extensions = vec![Extension::VideoOrientation];
    let publisher = net.publish("cam");
    let viewer = net.watch("cam");
    net.extensions.clear();
    let other = net.watch("cam");
    net.connect();
    let mut broadcast = Broadcast::new(&net, publisher);
    let orientation = id(&net, publisher, Kind::Video, Extension::VideoOrientation).expect("it is taken");
    net.clients[publisher].says = block(&[(orientation, &[3])]);
    broadcast.run(&mut net, MILLISECOND);
    net.clients[publisher].says.clear();
    broadcast.run(&mut net, SECOND);
    let extension_id = id(&net, viewer, Kind::Video, Extension::VideoOrientation);
    let packets = received(&net, viewer, Kind::Video, false);
    assert!(packets.len() > 60 && packets.iter().all(|packet| value(packet, extension_id) == Some(&[3][..])));
    assert_eq!(header_lengths(&packets), BTreeSet::from([20]));
    assert_eq!(header_lengths(&received(&net, other, Kind::Video, false)), BTreeSet::from([12]));
}

#[test]
fn video_orientation_is_not_negotiated_with_publishers_by_default() {
    let (net, broadcast, viewer) = joined(&[Extension::VideoOrientation]);
    assert_eq!(id(&net, broadcast.publisher, Kind::Video, Extension::VideoOrientation), None);
    assert!(id(&net, viewer, Kind::Video, Extension::VideoOrientation).is_some());
}

/// A dependency descriptor of a frame, with the structure if it is of a keyframe.
fn descriptor(frame: u16, key: bool) -> Vec<u8> {
    let [high, low] = frame.to_be_bytes();
    let structure: Vec<u8> = (0..if key { 45 } else { 0 }).map(|at| at ^ low).collect();
    [&[if key { 0x80 } else { 0x41 }, high, low][..], &structure].concat()
}

/// Publishes for a while, with frame numbers that count from `first`.
fn run_describing(net: &mut Net, broadcast: &mut Broadcast, how_long: Duration, first: u16) {
    let id = id(net, broadcast.publisher, Kind::Video, Extension::DependencyDescriptor).expect("it is taken");
    let until = net.now + how_long;
    while net.now < until {
        let (frame, key) = (first.wrapping_add(broadcast.frame as u16), broadcast.is_next_key());
        net.clients[broadcast.publisher].says = block(&[(id, &descriptor(frame, key))]);
        broadcast.run(net, MILLISECOND);
    }
}

/// The descriptors that a viewer got, with the numbers that its publisher gave to the packets.
fn described(net: &Net, viewer: usize) -> Vec<(u32, Option<Vec<u8>>)> {
    let id = id(net, viewer, Kind::Video, Extension::DependencyDescriptor).expect("it is promised");
    let packets = received(net, viewer, Kind::Video, false);
    let shown = net.video(viewer);
    let described = packets.iter().map(|packet| value(packet, Some(id)).map(<[u8]>::to_vec));
    shown.iter().map(|shown| shown.number).zip(described).collect()
}

const DESCRIBED: [Extension; 3] = [Extension::Mid, Extension::AbsSendTime, Extension::DependencyDescriptor];

#[test]
fn dependency_descriptors_arrive_unchanged_and_long_ones_in_two_byte_elements() {
    let (mut net, mut broadcast, viewer) = joined(&DESCRIBED);
    broadcast.keyframe_every = 10;
    run_describing(&mut net, &mut broadcast, 2 * SECOND, 65_520);
    assert_continuous(&net.video(viewer), 0..broadcast.frame * PARTS);
    let packets = received(&net, viewer, Kind::Video, false);
    let (mut long, mut short) = (Vec::new(), Vec::new());
    for ((number, described), packet) in described(&net, viewer).into_iter().zip(packets) {
        let (frame, key) = (number / PARTS, (number / PARTS).is_multiple_of(10));
        assert_eq!(described, Some(descriptor(65_520u16.wrapping_add(frame as u16), key)));
        assert_eq!(packet.sealed[12..14], profile(key));
        assert_eq!(packet.elements.len(), 3, "with mid and the time that it leaves");
        if key { &mut long } else { &mut short }.push(packet);
    }
    assert_eq!((header_lengths(&short).len(), long.len()), (1, 5 * PARTS as usize));
    assert_eq!(header_lengths(&received(&net, viewer, Kind::Audio, false)).len(), 1, "audio has none");
}

#[test]
fn frame_numbers_never_step_back_over_takeovers_and_for_late_viewers() {
    let (mut net, mut first, viewer) = joined(&DESCRIBED);
    first.keyframe_every = 20;
    run_describing(&mut net, &mut first, 2 * SECOND, 65_500);
    let late = net.watch("cam");
    run_describing(&mut net, &mut first, SECOND, 65_500);
    // This publisher does not describe its frames.
    net.extensions = vec![Extension::Mid];
    let mut silent = Broadcast::join(&mut net, 100_000);
    silent.run(&mut net, SECOND);
    net.extensions = DESCRIBED.to_vec();
    let mut last = Broadcast::join(&mut net, 200_000);
    run_describing(&mut net, &mut last, SECOND, 7);
    for viewer in [viewer, late] {
        let mut frames: Vec<(u32, u16)> = Vec::new();
        let described = described(&net, viewer);
        for (number, described) in described {
            let Some(found) = described else {
                assert!((100_000..200_000).contains(&number), "{number} comes without");
                continue;
            };
            let published = number % 100_000 / PARTS;
            let key = if number < 100_000 { published.is_multiple_of(20) } else { published == 0 };
            let frame = u16::from_be_bytes([found[1], found[2]]);
            let first_number = if number < 100_000 { 65_500u16 } else { 7 };
            let mut expected = descriptor(first_number.wrapping_add(published as u16), key);
            expected[1..3].copy_from_slice(&frame.to_be_bytes());
            assert_eq!(found, expected, "all else is as it was");
            // Offsets are no multiples of PARTS.
            let of_all = number / 100_000 * 100_000 + published;
            if frames.last() != Some(&(of_all, frame)) {
                frames.push((of_all, frame));
            }
        }
        for pair in frames.windows(2) {
            assert_eq!(pair[1].1, pair[0].1.wrapping_add(1), "{pair:?}");
        }
        assert!(frames.len() > 50 && frames.last().unwrap().0 > 200_000);
    }
    assert!(self::described(&net, late)[0].0 > 0, "it begins with the keyframe before it came");
}

#[test]
fn a_resend_repeats_the_dependency_descriptor() {
    let (mut net, mut broadcast, viewer) = joined(&DESCRIBED);
    run_describing(&mut net, &mut broadcast, SECOND, 40);
    let mut second = DESCRIBED.to_vec();
    second.rotate_left(1);
    net.extensions = second;
    let mut broadcast = Broadcast::join(&mut net, 100_000);
    run_describing(&mut net, &mut broadcast, SECOND / 2, 9000);
    let extension_id = id(&net, viewer, Kind::Video, Extension::DependencyDescriptor);
    // The first behind the takeover brings the structure.
    let of_second = net.video(viewer).iter().position(|shown| shown.number == 100_000).unwrap();
    for at in [of_second, of_second + 6] {
        let first = received(&net, viewer, Kind::Video, false)[at].clone();
        let before = received(&net, viewer, Kind::Video, true).len();
        net.nack(viewer, [first.index]);
        net.run(50 * MILLISECOND);
        let resends = received(&net, viewer, Kind::Video, true).split_off(before);
        assert!(!resends.is_empty());
        for resend in resends {
            assert_eq!(resend.payload[2..], first.payload);
            assert!(value(&first, extension_id).is_some());
            assert_eq!(value(&resend, extension_id), value(&first, extension_id));
            assert_eq!(resend.sealed[12..14], first.sealed[12..14]);
        }
    }
}

#[test]
fn without_rtx_a_packet_with_a_descriptor_is_repeated_bit_for_bit() {
    let (mut net, mut broadcast, _) = joined(&DESCRIBED);
    let change = |request: &mut Create| request.offer = request.offer.replace(" rtx/", " other/");
    let viewer = net.try_join(Role::Viewer, "cam", BOTH, GCM, change).expect("it is answered");
    net.connect();
    assert_eq!(net.clients[viewer].tracks[track(&net.clients[viewer], Kind::Video)].rtx_ssrc, None);
    broadcast = Broadcast::new(&net, broadcast.publisher);
    run_describing(&mut net, &mut broadcast, SECOND, 40);
    for first in [&received(&net, viewer, Kind::Video, false)[0], &received(&net, viewer, Kind::Video, false)[30]] {
        net.nack(viewer, [first.index]);
        let mut again = 0;
        for _ in 0..50 {
            net.step(|to, datagram| {
                again += u32::from(to == viewer && datagram == first.sealed);
                true
            });
            net.now += MILLISECOND;
        }
        assert!(again > 0);
        assert_eq!(first.elements.len(), 2, "mid and descriptor");
    }
}

/// Without two-byte elements a keyframe could not bring its structure.
#[test]
fn descriptors_are_not_negotiated_without_mixed_elements_nor_for_audio() {
    let (mut net, broadcast, viewer) = joined(&DESCRIBED);
    let of = |net: &Net, client, kind| id(net, client, kind, Extension::DependencyDescriptor);
    for client in [broadcast.publisher, viewer] {
        assert!(of(&net, client, Kind::Video).is_some() && of(&net, client, Kind::Audio).is_none());
    }
    for role in [Role::Viewer, Role::Publisher] {
        let change = |request: &mut Create| request.offer = request.offer.replace("a=extmap-allow-mixed\r\n", "");
        let client = net.try_join(role, "cam", BOTH, GCM, change).expect("it is answered");
        assert_eq!(of(&net, client, Kind::Video), None, "{role:?}");
        assert!(id(&net, client, Kind::Video, Extension::Mid).is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_broken_extension_loses_no_packet(
        blocks in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u32>(), 0..12)), 8..24)
    ) {
        let more = [Extension::TransportWideCc, Extension::DependencyDescriptor];
        let (mut net, mut broadcast, viewer) = joined(&[&OF_PACKETS[..], &more].concat());
        for (two_byte, words) in blocks {
            let mut block = profile(two_byte).to_vec();
            block.extend((words.len() as u16).to_be_bytes());
            // Ids and lengths that are right now and then.
            let mask = if two_byte { 0x073f_073f } else { 0x7f3f_7f3f };
            block.extend(words.iter().flat_map(|word| (word & mask).to_be_bytes()));
            net.clients[broadcast.publisher].says = block;
            broadcast.run(&mut net, 20 * MILLISECOND);
        }
        net.run(10 * MILLISECOND);
        assert_continuous(&net.video(viewer), 0..broadcast.frame * PARTS);
        prop_assert_eq!(received(&net, viewer, Kind::Audio, false).len(), broadcast.audio_packets() as usize);
    }
}
