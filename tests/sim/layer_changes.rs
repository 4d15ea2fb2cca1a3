//! Publishers of several encodings that change what they send: the number of encodings, their codec, names and order.
//! Viewers go on with the best that is sent, in one RTP stream.

#![expect(clippy::unwrap_used, reason = "the functions that tests share may end a test, as tests may")]

use std::collections::BTreeSet;
use std::time::Duration;

use sluice::forward::codec::{Codec, Kind};
use sluice::name::Role;

use crate::broadcast::{GCM, SECOND, assert_spliced, track};
use crate::net::Net;
use crate::net::lane::Random;
use crate::simulcast::sender::{LAYER, Offer, QHF, Sender, lines, list, newest_layer};

type Encodings = &'static [(&'static str, u16, u16)];

const ONE: Encodings = &[("only", 640, 360)];
const TWO: Encodings = &[("low", 320, 180), ("high", 640, 360)];
const THREE: Encodings = QHF;

/// A viewer of all codecs joins.
fn watch(net: &mut Net) -> usize {
    let viewer = net.join(Role::Viewer, "cam", Codec::ALL, GCM);
    net.connect();
    viewer
}

fn join(net: &mut Net, codec: Codec, encodings: &[(&str, u16, u16)], standby: bool) -> Sender {
    let offer = Offer { encodings, lines: &lines(encodings, &list(encodings)), codec };
    Sender::join_by(net, &offer, |request| request.standby = standby)
}

/// The codec and the number of the newest packet of a viewer's video.
fn newest(net: &Net, viewer: usize) -> (Codec, u32) {
    let client = &net.clients[viewer];
    let track = &client.tracks[track(client, Kind::Video)];
    let packet = client.received.iter().rfind(|packet| Some(packet.ssrc) == track.ssrc).unwrap();
    let codec = track.accepted.iter().find(|(number, _)| *number == packet.payload_type).unwrap().1;
    (codec, net.video(viewer).last().unwrap().number)
}

fn place_of(encodings: &[(&str, u16, u16)], rid: &str) -> u32 {
    encodings.iter().position(|(name, ..)| *name == rid).unwrap() as u32
}

/// The place of the largest encoding in the list.
fn largest(encodings: &[(&str, u16, u16)]) -> u32 {
    (0..).zip(encodings).max_by_key(|(_, (_, width, _))| *width).unwrap().0
}

/// The name of the encoding that a viewer is sent, as the API shows it: none where there is one encoding.
fn shown_rid(net: &Net, viewer: usize) -> Option<String> {
    net.report(viewer).tracks.into_iter().find(|track| track.kind == "video").unwrap().rid.map(|rid| rid.to_string())
}

#[test]
fn publishers_of_any_codec_and_number_of_encodings_follow_each_other_by_takeover_and_by_standby() {
    const PUBLISHERS: [(Codec, Encodings); 7] = [
        (Codec::Vp8, THREE),
        (Codec::H264, ONE),
        (Codec::Vp9, TWO),
        (Codec::Vp9, THREE),
        (Codec::H264, THREE),
        (Codec::Vp8, ONE),
        (Codec::Vp8, TWO),
    ];
    for (by_standby, workers) in [(false, 1), (true, 1), (false, 2), (true, 2)] {
        let mut net = Net::new(workers);
        let mut viewers = vec![watch(&mut net)];
        let mut live: Option<Sender> = None;
        for (codec, encodings) in PUBLISHERS {
            let mut sender = join(&mut net, codec, encodings, by_standby && live.is_some());
            sender.begin_all(&mut net, 30);
            if let Some(live) = live.filter(|_| by_standby) {
                net.delete(live.publisher);
            }
            sender.begin_all(&mut net, 20);
            viewers.push(watch(&mut net));
            sender.begin_all(&mut net, 50);
            for viewer in &viewers {
                let newest = newest(&net, *viewer);
                assert_eq!(newest, (codec, largest(encodings) * LAYER + 99), "{by_standby}, {codec:?} {encodings:?}");
            }
            live = Some(sender);
        }
        for viewer in viewers {
            assert_spliced(&net.video(viewer));
            assert!(!net.clients[viewer].closed);
        }
    }
}

#[test]
fn a_publisher_of_three_encodings_may_change_its_codec_of_all_of_them_one_after_the_other() {
    let mut net = Net::new(1);
    let more = "a=rtpmap:35 VP9/90000\r\na=fmtp:35 profile-id=0\r\n";
    let offer = Offer { encodings: THREE, lines: &format!("{}{more}", lines(THREE, &list(THREE))), codec: Codec::Vp8 };
    let mut sender = Sender::join_by(&mut net, &offer, |request| {
        let video = request.offer.find("m=video").unwrap();
        let end = video + request.offer[video..].find("\r\n").unwrap();
        request.offer.insert_str(end, " 35");
    });
    let viewer = watch(&mut net);
    sender.begin_all(&mut net, 50);
    assert_eq!(newest(&net, viewer), (Codec::Vp8, 2 * LAYER + 49));
    for codec in [Codec::Vp9, Codec::Vp8] {
        sender.prefer(&mut net, codec);
        sender.begin_all(&mut net, 50);
        assert_eq!(newest(&net, viewer).0, codec);
        assert_eq!(newest(&net, viewer).1 / LAYER, 2);
    }
    assert_spliced(&net.video(viewer));
    assert!(!net.clients[viewer].closed);
    let codecs: BTreeSet<_> = sender.reports(&net).iter().map(|track| track.codec).collect();
    assert_eq!(codecs, ["VP8"].into());
}

#[test]
fn a_selection_follows_its_name_to_another_place_of_the_list_and_is_automatic_where_no_encoding_has_the_name() {
    const LISTS: [Encodings; 6] = [
        QHF,
        &[("f", 640, 360), ("h", 320, 180), ("q", 160, 90)],
        &[("h", 640, 360), ("f", 160, 90)],
        // `h` has another name here.
        &[("q", 160, 90), ("middle", 320, 180), ("f", 640, 360)],
        &[("h", 320, 180)],
        &[("f", 640, 360), ("q", 160, 90), ("x", 1280, 720), ("h", 320, 180)],
    ];
    let mut net = Net::new(1);
    let [automatic, selected] = [watch(&mut net), watch(&mut net)];
    net.select_rid(selected, "h");
    for encodings in LISTS {
        let mut sender = join(&mut net, Codec::Vp8, encodings, false);
        sender.begin_all(&mut net, 50);
        sender.begin_all(&mut net, 50);
        net.run(SECOND);
        assert_eq!(newest_layer(&net, automatic), largest(encodings), "{encodings:?}");
        let has_name = encodings.iter().any(|(rid, ..)| *rid == "h");
        let expected = if has_name { place_of(encodings, "h") } else { largest(encodings) };
        assert_eq!(newest_layer(&net, selected), expected, "{encodings:?}");
        let rid = (encodings.len() > 1).then_some(encodings[expected as usize].0);
        assert_eq!(shown_rid(&net, selected).as_deref(), rid);
    }
    for viewer in [automatic, selected] {
        assert_spliced(&net.video(viewer));
    }
}

#[test]
fn a_selected_encoding_that_falls_silent_is_replaced_by_the_next_smaller_one_until_it_returns() {
    let mut net = Net::new(1);
    let mut sender = join(&mut net, Codec::Vp8, THREE, false);
    let [largest, middle] = [watch(&mut net), watch(&mut net)];
    net.select_rid(largest, "f");
    net.select_rid(middle, "h");
    sender.begin_all(&mut net, 50);
    sender.begin_all(&mut net, 10);
    let shown = |net: &Net| [largest, middle].map(|viewer| newest_layer(net, viewer));
    assert_eq!(shown(&net), [2, 1]);
    for (silent, expected) in [(2, [1, 1]), (1, [2, 0])] {
        let others: Vec<usize> = (0..3).filter(|place| *place != silent).collect();
        for _ in 0..50 {
            sender.show(&mut net, &others, false);
        }
        assert_eq!(shown(&net), expected, "{silent} is silent");
        sender.begin_all(&mut net, 3);
        sender.begin_all(&mut net, 30);
        assert_eq!(shown(&net), [2, 1], "{silent} is sent again");
    }
    for viewer in [largest, middle] {
        assert_spliced(&net.video(viewer));
    }
}

/// Up to four encodings with names of letters, digits, `-` and `_`, in a random order of size.
fn random_encodings(random: &mut Random) -> Vec<(String, u16, u16)> {
    const LETTERS: &[u8] = b"0123456789abcXYZ-_";
    let count = 2 + random.between(0.0, 3.0) as usize;
    let mut encodings: Vec<(String, u16, u16)> = Vec::new();
    while encodings.len() < count {
        let letter = |random: &mut Random| char::from(LETTERS[random.between(0.0, LETTERS.len() as f64) as usize]);
        let rid: String = (0..1 + random.between(0.0, 16.0) as usize).map(|_| letter(random)).collect();
        let columns = 16 * (1 + random.between(0.0, 100.0) as u16);
        if encodings.iter().all(|(other, width, _)| *other != rid && *width != columns) {
            encodings.push((rid, columns, columns / 16 * 9));
        }
    }
    encodings
}

#[test]
fn encodings_of_any_names_and_order_are_found_although_the_first_fifty_packets_of_each_are_lost() {
    for seed in 0..30 {
        let random = &mut Random::new(seed);
        let named = random_encodings(random);
        let encodings: Vec<_> = named.iter().map(|(rid, width, height)| (rid.as_str(), *width, *height)).collect();
        let largest = largest(&encodings) as usize;
        // The publisher sends a paused one later.
        let is_paused = random.draw() < 0.5;
        let tilde = |(place, (rid, ..)): (usize, &(&str, u16, u16))| {
            if is_paused && place == largest { format!("~{rid}") } else { (*rid).to_owned() }
        };
        let list = encodings.iter().enumerate().map(tilde).collect::<Vec<_>>().join(";");
        let mut net = Net::new(1);
        let viewer = watch(&mut net);
        let mut sender = Sender::join(&mut net, &encodings, &list);
        sender.stops_naming = random.draw() < 0.5;
        let sent: Vec<usize> = (0..encodings.len()).filter(|place| !(is_paused && *place == largest)).collect();
        for frame in 0..50 {
            for place in &sent {
                sender.frame(&mut net, *place, frame == 0);
            }
            probe(&mut net, &mut sender, random);
            sender.frames += 1;
            net.run(Duration::from_millis(40));
        }
        assert!(net.video(viewer).is_empty());
        sender.begin(&mut net, &sent, 50);
        let of_sent: Vec<_> = sent.iter().map(|place| encodings[*place]).collect();
        let expected = place_of(&encodings, of_sent[self::largest(&of_sent) as usize].0);
        assert_eq!(newest_layer(&net, viewer), expected, "seed {seed}: {list}");
        for _ in 0..2 {
            probe(&mut net, &mut sender, random);
            sender.begin_all(&mut net, 40);
        }
        let line = net.video(viewer);
        assert_spliced(&line);
        assert_eq!(line.last().unwrap().number / LAYER, largest as u32, "seed {seed}: {list}");
        assert_eq!(shown_rid(&net, viewer).as_deref(), Some(encodings[largest].0));
        assert_eq!(net.metric_sum("sluice_drops_total{"), 0, "seed {seed}: {list}");
        assert_eq!(sender.reports(&net).len(), encodings.len());
    }
}

/// The publisher probes its network with packets of SSRC 0, as Chromium does before it knows an RTX SSRC, or with
/// padding only.
fn probe(net: &mut Net, sender: &mut Sender, random: &mut Random) {
    let is_rtx = random.draw() < 0.5;
    let datagram = sender.seal(net, (0, is_rtx), None, 1, &[0; 200]);
    net.deliver(sender.publisher, datagram);
}
