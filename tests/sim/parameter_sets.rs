//! Publishers whose keyframes come without parameter sets: viewers get those of the offer or of earlier keyframes
//! before each keyframe. The streams are the recordings of real encoders in `tests/media/`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use sluice::forward::codec::{Codec, Kind};
use sluice::name::Role;
use sluice::session::TrackReport;
use sluice::worker::Config;

use crate::broadcast::{GCM, MILLISECOND};
use crate::net::Net;
use crate::net::client::Received;
use crate::recording::{Recorded, recording};

/// From one frame of the recordings to the next.
const FRAME: Duration = Duration::from_millis(100);
const FRAME_TICKS: u32 = 9_000;

/// The parameter sets that begin a recording of the same encoder with the same settings.
fn sets(codec: Codec) -> Vec<Vec<u8>> {
    let (name, header) = if codec == Codec::H265 { ("h265", 2) } else { ("h264-baseline", 1) };
    let first = recording(name).swap_remove(0).payload;
    let (mut rest, mut units) = (&first[header..], Vec::new());
    while let Some((size, behind)) = rest.split_first_chunk::<2>() {
        let (unit, behind) = behind.split_at(u16::from_be_bytes(*size).into());
        units.push(unit.to_vec());
        rest = behind;
    }
    units
}

/// The parameters of an offer that name these sets.
fn sprop(codec: Codec, sets: &[Vec<u8>]) -> String {
    let texts: Vec<String> = sets.iter().map(|set| BASE64.encode(set)).collect();
    match codec {
        Codec::H265 => format!("sprop-vps={};sprop-sps={};sprop-pps={}", texts[0], texts[1], texts[2]),
        _ => format!("sprop-parameter-sets={}", texts.join(",")),
    }
}

/// A publisher whose offer has these parameters for its video.
fn publisher(net: &mut Net, codec: Codec, parameters: &str) -> usize {
    let joined = net.try_join(Role::Publisher, "cam", &[codec], GCM, |request| {
        let number = |line: &str| line.split_once(' ').map(|(number, _)| number["a=rtpmap:".len()..].to_owned());
        let rtpmap = request.offer.lines().find(|line| line.ends_with(&format!(" {}/90000", codec.name())));
        let number = rtpmap.and_then(number).expect("the codec is offered");
        let line = format!("a=fmtp:{number} ");
        request.offer = if request.offer.contains(&line) {
            request.offer.replace(&line, &format!("{line}{parameters};"))
        } else {
            let rtpmap = format!("a=rtpmap:{number} {}/90000\r\n", codec.name());
            request.offer.replace(&rtpmap, &format!("{rtpmap}{line}{parameters}\r\n"))
        };
    });
    let publisher = joined.expect("the offer is answered");
    net.connect();
    publisher
}

/// Publishes one frame of a recording after the other, of each what arrives.
fn play(net: &mut Net, publisher: usize, packets: &[Recorded], arrives: impl Fn(usize) -> bool) {
    let mut before = None;
    for (number, packet) in packets.iter().enumerate() {
        if before.replace(packet.timestamp).is_some_and(|before| before != packet.timestamp) {
            net.run(FRAME);
        }
        let sealed = net.clients[publisher].seal(0, packet.timestamp, packet.marker, &packet.payload);
        if arrives(number) {
            net.deliver(publisher, sealed);
        }
    }
    net.run(FRAME);
}

fn watch(net: &mut Net, codec: Codec) -> usize {
    let viewer = net.join(Role::Viewer, "cam", &[codec], GCM);
    net.connect();
    viewer
}

/// The viewer's line of video, in the order of its numbers, which has no hole.
fn line(net: &Net, viewer: usize) -> Vec<Received> {
    let client = &net.clients[viewer];
    let ssrc = client.tracks.iter().find(|track| track.kind == Kind::Video).and_then(|track| track.ssrc);
    let mut line: Vec<Received> = client.received.iter().filter(|packet| Some(packet.ssrc) == ssrc).cloned().collect();
    line.sort_by_key(|packet| packet.index);
    assert!(line.windows(2).all(|pair| pair[1].index == pair[0].index + 1), "no hole, no number twice");
    line
}

/// The positions in a stream at which all these sets follow each other, each in its own packet without a marker.
fn places_of(line: &[Received], sets: &[Vec<u8>]) -> Vec<usize> {
    let is_here = |window: &[Received]| {
        window.iter().zip(sets).all(|(packet, set)| packet.payload == *set && !packet.marker)
            && window.iter().all(|packet| packet.timestamp == window[0].timestamp)
    };
    (0..line.len()).filter(|place| line[*place..].get(..sets.len()).is_some_and(is_here)).collect()
}

fn report(net: &mut Net, publisher: usize) -> TrackReport {
    net.run(Duration::from_millis(1100));
    let record = net.handle().record(&net.clients[publisher].session).expect("it is there");
    record.report().tracks.into_iter().find(|track| track.kind == "video").expect("it has video")
}

fn without(codec: Codec) -> Vec<Recorded> {
    recording(if codec == Codec::H265 { "h265-without-parameter-sets" } else { "h264-without-parameter-sets" })
}

#[test]
fn parameter_sets_of_the_offer_precede_each_keyframe_live_and_in_a_replay() {
    for (codec, workers) in [(Codec::H264, 1), (Codec::H265, 2), (Codec::H264, 2)] {
        let mut net = Net::with(workers, Config::default());
        let sets = sets(codec);
        let publisher = publisher(&mut net, codec, &sprop(codec, &sets));
        let early = watch(&mut net, codec);
        let packets = without(codec);
        play(&mut net, publisher, &packets, |_| true);
        let late = watch(&mut net, codec);
        net.run(FRAME);

        let live = line(&net, early);
        let places = places_of(&live, &sets);
        assert_eq!(places.len(), 3, "{codec:?}");
        assert_eq!(places[0], 0, "a viewer begins with them");
        for place in places {
            let keyframe = &live[place + sets.len()];
            assert_eq!(keyframe.timestamp, live[place].timestamp, "the keyframe's timestamp");
            let (nal_type, idr) = if codec == Codec::H265 {
                (keyframe.payload[2] & 0x3f, 16..=21)
            } else {
                (keyframe.payload[1] & 0x1f, 5..=5)
            };
            assert!(idr.contains(&nal_type), "{codec:?}: {nal_type}");
        }
        let replayed = line(&net, late);
        assert_eq!(places_of(&replayed, &sets), [0], "{codec:?}");
        let last = packets.iter().rposition(|packet| packet.timestamp == 8 * FRAME_TICKS).unwrap();
        assert_eq!(replayed.last().unwrap().payload, packets[last].payload);

        let report = report(&mut net, publisher);
        assert_eq!(report.sets, Some("added"));
        assert!(report.lint.iter().any(|line| line.contains("without parameter sets")), "{:?}", report.lint);
        assert_eq!(report.size, Some((64, 64)));
        let interval = report.keyframe_interval.expect("there were three keyframes");
        assert!(interval >= 4 * FRAME && interval <= 10 * FRAME, "{interval:?}");
    }
}

#[test]
fn a_resent_parameter_set_is_the_same() {
    let codec = Codec::H264;
    let mut net = Net::new(1);
    let sets = sets(codec);
    let publisher = publisher(&mut net, codec, &sprop(codec, &sets));
    let viewer = watch(&mut net, codec);
    play(&mut net, publisher, &without(codec), |_| true);
    let live = line(&net, viewer);
    let asked: Vec<Received> =
        places_of(&live, &sets)[1..].iter().flat_map(|place| live[*place..place + 2].to_vec()).collect();
    let media_ssrc = asked[0].ssrc;
    for packet in &asked {
        let nacks = vec![NackPair { packet_id: packet.index as u16, lost_packets: 0 }];
        let nack = TransportLayerNack { sender_ssrc: 1, media_ssrc, nacks };
        net.send_rtcp(viewer, nack);
        net.run(20 * MILLISECOND);
    }
    // Each comes again as a resend on its own SSRC, with the number that it had (RFC 4588 4).
    let resent: Vec<&Received> =
        net.clients[viewer].received.iter().filter(|packet| packet.ssrc != media_ssrc).collect();
    for packet in &asked {
        let expected = [&(packet.index as u16).to_be_bytes()[..], &packet.payload].concat();
        let again = resent.iter().filter(|resent| resent.payload == expected && resent.timestamp == packet.timestamp);
        assert!(again.count() >= 1, "{}", packet.index);
    }
    assert!(resent.iter().all(|resent| asked.iter().any(|packet| resent.payload[2..] == packet.payload[..])));
}

#[test]
fn a_keyframe_gets_its_parameter_sets_when_its_lost_first_packet_arrives_again() {
    let codec = Codec::H264;
    let mut net = Net::new(1);
    let sets = sets(codec);
    let publisher = publisher(&mut net, codec, &sprop(codec, &sets));
    let viewer = watch(&mut net, codec);
    net.clients[publisher].sent = Some(Default::default());
    let packets = without(codec);
    // The first packet of the second keyframe's slice; the relay asks for it again at the next one.
    let lost = packets.iter().position(|packet| packet.timestamp == 4 * FRAME_TICKS).unwrap();
    play(&mut net, publisher, &packets[..=lost], |number| number != lost);
    let sealed: Vec<Vec<u8>> = net.clients[publisher].sent.take().unwrap().into_values().collect();
    let rest: Vec<Vec<u8>> = packets[lost + 1..]
        .iter()
        .map(|packet| net.clients[publisher].seal(0, packet.timestamp, packet.marker, &packet.payload))
        .collect();
    for sealed in &rest[..3] {
        net.deliver(publisher, sealed.clone());
        net.run(MILLISECOND);
    }
    let before = line(&net, viewer).len();
    net.run(30 * MILLISECOND);
    assert_eq!(line(&net, viewer).len(), before, "what belongs to it waits");
    // All of it is sent again: what has been here is refused.
    for sealed in sealed.into_iter().chain(rest) {
        net.deliver(publisher, sealed);
    }
    net.run(FRAME);
    assert_eq!(places_of(&line(&net, viewer), &sets).len(), 3);
}

#[test]
fn a_new_publisher_brings_its_own_parameter_sets() {
    let codec = Codec::H264;
    let mut net = Net::new(1);
    let sets = sets(codec);
    let first = publisher(&mut net, codec, &sprop(codec, &sets));
    let viewer = watch(&mut net, codec);
    play(&mut net, first, &without(codec), |_| true);
    // One whose offer has another level.
    let mut others = sets.clone();
    others[0][3] += 1;
    let second = publisher(&mut net, codec, &sprop(codec, &others));
    play(&mut net, second, &without(codec), |_| true);
    let live = line(&net, viewer);
    let (of_first, of_second) = (places_of(&live, &sets), places_of(&live, &others));
    assert_eq!((of_first.len(), of_second.len()), (3, 3));
    assert!(of_first.last() < of_second.first());
    // And one that has none gets none.
    let third = publisher(&mut net, codec, "x=1");
    play(&mut net, third, &without(codec), |_| true);
    let live = line(&net, viewer);
    assert_eq!(places_of(&live, &sets).len() + places_of(&live, &others).len(), 6);
    let report = report(&mut net, third);
    assert_eq!(report.sets, Some("missing"));
    assert!(report.lint.iter().any(|line| line.contains("cannot decode")), "{:?}", report.lint);
}

/// `ffmpeg ... -g 300 -bsf:v dump_extra=freq=all`: the late viewer begins at the keyframe, not at the sets that came
/// last.
#[test]
fn parameter_sets_before_every_frame_do_not_hide_the_last_keyframe() {
    let codec = Codec::H264;
    let mut net = Net::new(1);
    let publisher = publisher(&mut net, codec, "x=1");
    let recorded = recording("h264-baseline");
    let sets = recorded[0].clone();
    let mut packets: Vec<Recorded> = recorded.iter().filter(|packet| packet.timestamp == 0).cloned().collect();
    let one = |number: u32| Recorded {
        timestamp: number * FRAME_TICKS,
        marker: true,
        payload: vec![0x41, 0x9a, number as u8],
    };
    for number in 1..120 {
        packets.push(Recorded { timestamp: number * FRAME_TICKS, ..sets.clone() });
        packets.push(one(number));
    }
    play(&mut net, publisher, &packets, |_| true);
    let late = watch(&mut net, codec);
    let connected = net.now;
    net.run(Duration::from_secs(1));
    let replayed = line(&net, late);
    assert!(replayed[0].at <= connected + 20 * MILLISECOND, "at once");
    assert_eq!(replayed[0].payload, sets.payload);
    assert_eq!(replayed[1].payload, packets[1].payload, "the keyframe's next packet");
    assert_eq!(replayed.len(), packets.len());
    let report = report(&mut net, publisher);
    assert_eq!((report.sets, report.keyframe_interval), (Some("in-band"), None), "one keyframe is no interval");
    assert!(report.lint.is_empty(), "{:?}", report.lint);
}

#[test]
fn keyframes_further_apart_than_the_cache_is_long_are_reported() {
    let mut net = Net::new(1);
    let publisher = publisher(&mut net, Codec::H264, "x=1");
    let mut packets = vec![
        Recorded { timestamp: 0, marker: false, payload: vec![0x67, 0x42, 0xc0, 0x1f, 0xda] },
        Recorded { timestamp: 0, marker: false, payload: vec![0x68, 0xce, 0x3c, 0x80] },
        Recorded { timestamp: 0, marker: true, payload: vec![0x65, 0x88, 0x84] },
    ];
    for number in 1..260 {
        let payload = vec![0x41, 0x9a, number as u8];
        packets.push(Recorded { timestamp: number * FRAME_TICKS, marker: true, payload });
    }
    play(&mut net, publisher, &packets[..150], |_| true);
    assert_eq!(report(&mut net, publisher).lint, Vec::<String>::new(), "15 s are kept");
    play(&mut net, publisher, &packets[150..230], |_| true);
    assert_eq!(report(&mut net, publisher).lint, Vec::<String>::new(), "nobody has asked for a keyframe");
    watch(&mut net, Codec::H264);
    play(&mut net, publisher, &packets[230..], |_| true);
    let lint = report(&mut net, publisher).lint;
    assert!(lint.len() == 1 && lint[0].contains("--fast-start"), "{lint:?}");
}

#[test]
fn a_publisher_without_keyframes_is_reported() {
    let codec = Codec::H264;
    for (refreshes, word) in [(true, "intra refresh"), (false, "no keyframe")] {
        let mut net = Net::new(1);
        let publisher = publisher(&mut net, codec, "x=1");
        let mut packets = Vec::new();
        for number in 0..120 {
            let timestamp = number * FRAME_TICKS;
            if refreshes && number % 30 == 0 {
                packets.push(Recorded { timestamp, marker: false, payload: vec![0x06, 0x06, 0x01, 0xc4, 0x80] });
            }
            packets.push(Recorded { timestamp, marker: true, payload: vec![0x41, 0x9a, number as u8] });
        }
        play(&mut net, publisher, &packets[..60], |_| true);
        assert!(report(&mut net, publisher).lint.is_empty(), "not yet");
        play(&mut net, publisher, &packets[60..], |_| true);
        let lint = report(&mut net, publisher).lint;
        assert!(lint.len() == 1 && lint[0].contains(word), "{lint:?}");
    }
}
