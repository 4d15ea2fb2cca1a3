//! Every codec and every combination of tracks: audio alone, video alone, viewers that joined before the publisher, and
//! publishers that follow each other with different codecs.

use std::time::Duration;

use sluice::forward::codec::{Codec, Kind};
use sluice::name::Role;
use sluice::node::Create;

use crate::broadcast::GCM;
use crate::net::Net;
use crate::net::client::Received;

const STREAM: &str = "cam";

/// A payload that ends with its number, in the codec's packetisation: a keyframe's first packet, or another frame.
fn payload(codec: Codec, keyframe: bool, number: u32) -> Vec<u8> {
    let head: &[u8] = match (codec, keyframe) {
        (Codec::H264, true) => &[0x65, 0x88],
        (Codec::H264, false) => &[0x41, 0x9a],
        (Codec::H265, true) => &[0x28, 0x01, 0xac],
        (Codec::H265, false) => &[0x02, 0x01, 0xd0],
        (Codec::Vp8, true) => &[0x10, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a],
        (Codec::Vp8, false) => &[0x10, 0x11, 0x02],
        (Codec::Vp9, true) => &[0x08, 0x82, 0x49, 0x83, 0x42],
        (Codec::Vp9, false) => &[0x48, 0x86, 0x00],
        (Codec::Av1, true) => &[0x18, 0x08],
        (Codec::Av1, false) => &[0x10, 0x30, 0x30],
        (Codec::Opus | Codec::Multiopus | Codec::Pcmu | Codec::Pcma | Codec::G722, _) => &[0x78],
    };
    [head, &number.to_be_bytes()].concat()
}

/// Publishes `numbers` on each track, 20 ms apart, the first of them a keyframe.
fn publish(net: &mut Net, publisher: usize, numbers: std::ops::Range<u32>) {
    let tracks = net.clients[publisher].tracks.clone();
    for number in numbers.clone() {
        for (place, track) in tracks.iter().enumerate() {
            let codec = track.codec.expect("this client knows its codecs");
            let payload = payload(codec, number == numbers.start, number);
            net.send(publisher, place, number * codec.clock_rate() / 50, true, &payload);
        }
        net.run(Duration::from_millis(20));
    }
}

/// What a viewer got on its section of a kind: codec by the payload type that its answer has, and number.
fn got(net: &Net, viewer: usize, kind: Kind) -> Vec<(Codec, u32)> {
    let client = &net.clients[viewer];
    let Some(track) = client.tracks.iter().find(|track| track.kind == kind) else { return Vec::new() };
    let codec_of = |packet: &Received| {
        let accepted = track.accepted.iter().find(|(number, _)| *number == packet.payload_type);
        accepted.expect("only payload types of the answer arrive").1
    };
    let number_of = |payload: &[u8]| u32::from_be_bytes(*payload.last_chunk().expect("each payload has a number"));
    let of_track = client.received.iter().filter(|packet| Some(packet.ssrc) == track.ssrc);
    of_track.map(|packet| (codec_of(packet), number_of(&packet.payload))).collect()
}

fn numbered(codec: Codec, numbers: std::ops::Range<u32>) -> Vec<(Codec, u32)> {
    numbers.map(|number| (codec, number)).collect()
}

fn join(net: &mut Net, role: Role, codecs: &[Codec]) -> usize {
    let number = net.join(role, STREAM, codecs, GCM);
    net.connect();
    number
}

#[test]
fn every_codec_reaches_viewers_that_joined_before_and_after_the_publisher() {
    for &codec in Codec::ALL {
        let mut net = Net::new(1);
        let before = join(&mut net, Role::Viewer, Codec::ALL);
        let publisher = join(&mut net, Role::Publisher, &[codec]);
        publish(&mut net, publisher, 0..10);
        assert_eq!(got(&net, before, codec.kind()), numbered(codec, 0..10));
        let after = join(&mut net, Role::Viewer, Codec::ALL);
        net.run(Duration::from_millis(20));
        publish(&mut net, publisher, 10..20);
        let first = if codec.kind() == Kind::Video { 0 } else { 10 };
        assert_eq!(got(&net, after, codec.kind()), numbered(codec, first..20), "video since the keyframe, live audio");
        assert_eq!(got(&net, before, codec.kind()), numbered(codec, 0..20));
        let accepted = net.clients[after].tracks.iter().find(|track| track.kind == codec.kind());
        assert_eq!(accepted.and_then(|track| track.codec), Some(codec), "the stream's codec stands first");
    }
}

/// Lets a publisher send its video in another codec than the first of the answer, as Pion does.
fn prefer(net: &mut Net, publisher: usize, codec: Codec) {
    let tracks = &mut net.clients[publisher].tracks;
    let track = tracks.iter_mut().find(|track| track.kind == codec.kind()).expect("it has such a track");
    let (payload_type, _) = track.accepted.iter().find(|(_, accepted)| *accepted == codec).expect("it was accepted");
    (track.payload_type, track.codec) = (*payload_type, Some(codec));
}

/// A publisher whose offer has H.264 behind its own codecs: webrtc-rs offers a track's own codec only.
fn join_with_h264(net: &mut Net, codecs: &[Codec]) -> usize {
    let more = |request: &mut Create| {
        let video = request.offer.find("m=video").expect("it has video, in its last section");
        let end = video + request.offer[video..].find("\r\n").expect("a line ends");
        request.offer.insert_str(end, " 35");
        request.offer += "a=rtpmap:35 H264/90000\r\na=fmtp:35 packetization-mode=1;profile-level-id=42e01f\r\n";
    };
    let number = net.try_join(Role::Publisher, STREAM, codecs, GCM, more).expect("the offer is answered");
    net.connect();
    number
}

#[test]
fn the_first_packet_decides_which_negotiated_codec_is_used() {
    for chosen in [Codec::Vp8, Codec::H264] {
        let mut net = Net::new(2);
        let before = join(&mut net, Role::Viewer, Codec::ALL);
        let narrow_before = join(&mut net, Role::Viewer, &[chosen]);
        let publisher = join_with_h264(&mut net, &[Codec::Vp8, Codec::Opus]);
        let between = join(&mut net, Role::Viewer, &[chosen, Codec::Opus]);
        prefer(&mut net, publisher, chosen);
        publish(&mut net, publisher, 0..10);
        let after = join(&mut net, Role::Viewer, &[chosen]);
        net.run(Duration::from_millis(20));
        for viewer in [before, narrow_before, between, after] {
            assert_eq!(got(&net, viewer, Kind::Video), numbered(chosen, 0..10), "{viewer}");
        }
        for viewer in [before, between] {
            assert_eq!(got(&net, viewer, Kind::Audio), numbered(Codec::Opus, 0..10), "{viewer}");
        }
    }
}

#[test]
fn a_publisher_may_change_its_codec_and_viewers_without_it_are_ended() {
    for (first, second) in [(Codec::Vp8, Codec::H264), (Codec::H264, Codec::Vp8)] {
        let mut net = Net::new(2);
        let publisher = join_with_h264(&mut net, &[Codec::Vp8, Codec::Opus]);
        prefer(&mut net, publisher, first);
        let everything = join(&mut net, Role::Viewer, Codec::ALL);
        publish(&mut net, publisher, 0..10);
        let narrow = join(&mut net, Role::Viewer, &[first]);
        net.run(Duration::from_millis(20));
        prefer(&mut net, publisher, second);
        publish(&mut net, publisher, 10..20);
        let video: Vec<_> = [numbered(first, 0..10), numbered(second, 10..20)].concat();
        assert_eq!(got(&net, everything, Kind::Video), video);
        assert_eq!(got(&net, everything, Kind::Audio), numbered(Codec::Opus, 0..20), "the audio goes on");
        assert!(net.clients[narrow].closed && !net.clients[everything].closed);
        assert_eq!(net.metric("sluice_session_ends_total{reason=\"codec_changed\",role=\"viewer\"}"), 1);
        let after = join(&mut net, Role::Viewer, &[second]);
        net.run(Duration::from_millis(20));
        assert_eq!(got(&net, after, Kind::Video), numbered(second, 10..20), "the video since the change");
    }
}

#[test]
fn a_codec_change_begins_at_a_keyframe_and_at_most_once_a_second() {
    let mut net = Net::new(1);
    let publisher = join_with_h264(&mut net, &[Codec::Vp8, Codec::Opus]);
    let viewer = join(&mut net, Role::Viewer, Codec::ALL);
    let video = net.clients[publisher].tracks.iter().position(|track| track.kind == Kind::Video).unwrap();
    let send = |net: &mut Net, codec: Codec, keyframe, number| {
        prefer(net, publisher, codec);
        net.send(publisher, video, number * 1800, true, &payload(codec, keyframe, number));
        net.run(Duration::from_millis(20));
    };
    send(&mut net, Codec::Vp8, true, 0);
    let late = net.clients[publisher].seal(video, 1800, true, &payload(Codec::Vp8, false, 1));
    send(&mut net, Codec::H264, false, 2);
    send(&mut net, Codec::H264, true, 3);
    send(&mut net, Codec::Vp8, true, 4);
    send(&mut net, Codec::H264, false, 5);
    net.deliver(publisher, late);
    net.run(Duration::from_millis(1100));
    send(&mut net, Codec::Vp8, false, 6);
    send(&mut net, Codec::Vp8, true, 7);
    let h264 = |number| (Codec::H264, number);
    let expected = [(Codec::Vp8, 0), h264(3), h264(5), (Codec::Vp8, 7)];
    assert_eq!(got(&net, viewer, Kind::Video), expected);
    assert_eq!(net.drops("codec_change"), 4);
    assert!(net.keyframe_requests(publisher) > 0, "the publisher is asked for a keyframe");
}

#[test]
fn a_codec_change_without_a_keyframe_asks_for_one_only_while_there_are_viewers() {
    let mut net = Net::new(1);
    let publisher = join_with_h264(&mut net, &[Codec::Vp8, Codec::Opus]);
    let video = net.clients[publisher].tracks.iter().position(|track| track.kind == Kind::Video).unwrap();
    let send = |net: &mut Net, codec: Codec, keyframe, numbers: std::ops::Range<u32>| {
        prefer(net, publisher, codec);
        for number in numbers {
            net.send(publisher, video, number * 18_000, true, &payload(codec, keyframe, number));
            net.run(Duration::from_millis(200));
        }
    };
    send(&mut net, Codec::Vp8, true, 0..1);
    send(&mut net, Codec::H264, false, 1..21);
    assert_eq!(net.keyframe_requests(publisher), 0);
    join(&mut net, Role::Viewer, Codec::ALL);
    send(&mut net, Codec::H264, false, 21..31);
    let asked = net.keyframe_requests(publisher);
    assert!(asked >= 2, "{asked}");
}

#[test]
fn timestamps_advance_in_the_clock_of_each_codec() {
    for &codec in Codec::ALL {
        let mut net = Net::new(1);
        let viewer = join(&mut net, Role::Viewer, Codec::ALL);
        let publisher = join(&mut net, Role::Publisher, &[codec]);
        publish(&mut net, publisher, 0..5);
        let timestamps: Vec<u32> = net.clients[viewer].received.iter().map(|packet| packet.timestamp).collect();
        let step = codec.clock_rate() / 50;
        assert_eq!(timestamps.len(), 5);
        assert!(timestamps.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step), "{codec:?} {timestamps:?}");
    }
}

#[test]
fn an_audio_only_stream_plays_and_may_get_video_later() {
    let mut net = Net::new(2);
    let radio = join(&mut net, Role::Publisher, &[Codec::Opus]);
    let both = join(&mut net, Role::Viewer, &[Codec::Vp8, Codec::Opus]);
    let listener = join(&mut net, Role::Viewer, &[Codec::Opus]);
    let watcher = join(&mut net, Role::Viewer, &[Codec::Vp8]);
    publish(&mut net, radio, 0..10);
    for viewer in [both, listener] {
        assert_eq!(got(&net, viewer, Kind::Audio), numbered(Codec::Opus, 0..10));
    }
    assert!(net.clients[watcher].received.is_empty() && !net.clients[watcher].closed);
    let television = join(&mut net, Role::Publisher, &[Codec::Vp8, Codec::Opus]);
    publish(&mut net, television, 100..110);
    for viewer in [both, watcher] {
        assert_eq!(got(&net, viewer, Kind::Video), numbered(Codec::Vp8, 100..110));
    }
    for viewer in [both, listener] {
        let twice = [numbered(Codec::Opus, 0..10), numbered(Codec::Opus, 100..110)].concat();
        assert_eq!(got(&net, viewer, Kind::Audio), twice);
    }
}

#[test]
fn a_video_only_stream_plays_and_may_get_audio_later() {
    let mut net = Net::new(2);
    let silent = join(&mut net, Role::Publisher, &[Codec::H264]);
    let both = join(&mut net, Role::Viewer, &[Codec::H264, Codec::Opus]);
    let watcher = join(&mut net, Role::Viewer, &[Codec::H264]);
    let listener = join(&mut net, Role::Viewer, &[Codec::Opus]);
    publish(&mut net, silent, 0..10);
    for viewer in [both, watcher] {
        assert_eq!(got(&net, viewer, Kind::Video), numbered(Codec::H264, 0..10));
    }
    assert!(net.clients[listener].received.is_empty() && !net.clients[listener].closed);
    let loud = join(&mut net, Role::Publisher, &[Codec::H264, Codec::Opus]);
    publish(&mut net, loud, 100..110);
    for viewer in [both, listener] {
        assert_eq!(got(&net, viewer, Kind::Audio), numbered(Codec::Opus, 100..110));
    }
}

#[test]
fn a_viewer_follows_publishers_from_codec_to_codec() {
    let mut net = Net::new(1);
    let early = join(&mut net, Role::Viewer, Codec::ALL);
    let mut late = None;
    let mut expected = Vec::new();
    let takeovers =
        [(Codec::Vp8, Codec::Opus), (Codec::Av1, Codec::Pcmu), (Codec::H264, Codec::Opus), (Codec::Vp9, Codec::G722)];
    for (begin, (video, audio)) in (0..).step_by(100).zip(takeovers) {
        let publisher = join(&mut net, Role::Publisher, &[video, audio]);
        // This one's answer was written for the first publisher.
        late.get_or_insert_with(|| join(&mut net, Role::Viewer, Codec::ALL));
        publish(&mut net, publisher, begin..begin + 10);
        expected.extend((begin..begin + 10).map(|number| (video, audio, number)));
    }
    for viewer in [Some(early), late].into_iter().flatten() {
        let video: Vec<_> = expected.iter().map(|(video, _, number)| (*video, *number)).collect();
        let audio: Vec<_> = expected.iter().map(|(_, audio, number)| (*audio, *number)).collect();
        assert_eq!(got(&net, viewer, Kind::Video), video);
        assert_eq!(got(&net, viewer, Kind::Audio), audio);
        let indices = net.clients[viewer].received.iter().map(|packet| (packet.ssrc, packet.index));
        let distinct: std::collections::HashSet<_> = indices.clone().collect();
        assert_eq!(distinct.len(), indices.count(), "no number is sealed twice");
    }
}

#[test]
fn a_viewer_that_cannot_decode_a_publisher_stays_for_the_next() {
    let mut net = Net::new(1);
    let viewer = join(&mut net, Role::Viewer, &[Codec::Vp8, Codec::Opus]);
    let first = join(&mut net, Role::Publisher, &[Codec::Av1, Codec::Opus]);
    publish(&mut net, first, 0..10);
    assert_eq!(got(&net, viewer, Kind::Video), []);
    assert_eq!(got(&net, viewer, Kind::Audio), numbered(Codec::Opus, 0..10));
    let second = join(&mut net, Role::Publisher, &[Codec::Vp8, Codec::Opus]);
    publish(&mut net, second, 100..110);
    assert_eq!(got(&net, viewer, Kind::Video), numbered(Codec::Vp8, 100..110));
    assert_eq!(net.clients[viewer].tracks.len(), 2);
}

#[test]
fn a_publisher_that_declares_no_ssrc_is_received_with_video_audio_and_both() {
    for codecs in [&[Codec::Vp8][..], &[Codec::H264], &[Codec::Opus], &[Codec::Vp8, Codec::Opus]] {
        let mut net = Net::new(1);
        let viewer = join(&mut net, Role::Viewer, Codec::ALL);
        let undeclared = |request: &mut Create| {
            assert!(request.offer.contains("\r\na=ssrc"), "there is something to leave out");
            let kept = request.offer.lines().filter(|line| !line.starts_with("a=ssrc"));
            request.offer = kept.map(|line| format!("{line}\r\n")).collect();
        };
        let joined = net.try_join(Role::Publisher, STREAM, codecs, GCM, undeclared);
        let publisher = joined.expect("the offer is answered");
        net.connect();
        publish(&mut net, publisher, 0..10);
        for codec in codecs {
            assert_eq!(got(&net, viewer, codec.kind()), numbered(*codec, 0..10), "{codecs:?}");
        }
    }
}

#[test]
fn a_late_av1_viewer_begins_at_a_keyframe_with_a_sequence_header_and_its_absence_is_reported() {
    let mut net = Net::new(1);
    let publisher = join(&mut net, Role::Publisher, &[Codec::Av1]);
    publish(&mut net, publisher, 0..5);
    for number in 5..10_u32 {
        // The first begins a new coded video sequence, by bit N and its type, and has no header.
        let head: &[u8] = if number == 5 { &[0x18, 0x30, 0x10] } else { &[0x10, 0x30, 0x30] };
        net.send(publisher, 0, number * 1800, true, &[head, &number.to_be_bytes()].concat());
        net.run(Duration::from_millis(20));
    }
    let late = join(&mut net, Role::Viewer, &[Codec::Av1]);
    net.run(Duration::from_secs(2));
    assert_eq!(got(&net, late, Kind::Video), numbered(Codec::Av1, 0..10));
    let record = net.handle().record(&net.clients[publisher].session).expect("it lives");
    let lint: Vec<_> = record.report().tracks.into_iter().flat_map(|track| track.lint).collect();
    assert!(lint.len() == 1 && lint[0].contains("sequence header"), "{lint:?}");
}
