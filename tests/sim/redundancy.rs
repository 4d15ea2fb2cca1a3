//! Redundant audio (RFC 2198): publishers send Opus with copies of earlier packets, to viewers that negotiated RED and
//! to others, with packets lost between publisher and relay.

use std::time::Duration;

use proptest::prelude::*;
use sluice::forward::codec::Codec;
use sluice::name::Role;
use sluice::node::Create;

use crate::broadcast::GCM;
use crate::net::Net;

const CODECS: &[Codec] = &[Codec::Opus, Codec::Vp8];
/// Payload types of Opus with copies, as the publisher and the viewer have them; the publisher's of Opus.
const PUBLISHERS: u8 = 63;
const VIEWERS: u8 = 35;
const OPUS: u8 = 111;
/// Ticks of 20 ms.
const STEP: u32 = 960;

/// Offers redundant audio under this number before or behind Opus.
fn with_red(number: u8, first: bool) -> impl FnOnce(&mut Create) {
    move |request| {
        let order = if first { format!("{number} {OPUS}") } else { format!("{OPUS} {number}") };
        let mut lines: Vec<String> = request.offer.lines().map(str::to_owned).collect();
        let media = lines.iter_mut().find(|line| line.starts_with("m=audio ")).expect("the offer has audio");
        *media = media.replace(&OPUS.to_string(), &order);
        let map = lines.iter().position(|line| line.starts_with("a=rtpmap:111 ")).expect("the offer has Opus");
        lines.insert(map, format!("a=fmtp:{number} {OPUS}/{OPUS}"));
        lines.insert(map, format!("a=rtpmap:{number} red/48000/2"));
        request.offer = lines.join("\r\n") + "\r\n";
    }
}

/// The audio of a number: the numbers have different lengths.
fn opus(number: u32) -> Vec<u8> {
    let mut payload = vec![0x78; 5 + number as usize % 7];
    payload.extend(number.to_be_bytes());
    payload
}

/// That audio with copies of the ones before it, the oldest first.
fn redundant(payload_type: u8, copies: u32, number: u32) -> Vec<u8> {
    let earlier = || (1..=copies.min(number)).rev();
    let header = |age: u32| {
        let [_, a, b, c] = ((age * STEP) << 10 | opus(number - age).len() as u32).to_be_bytes();
        [payload_type | 0x80, a, b, c]
    };
    let mut payload: Vec<u8> = earlier().flat_map(header).collect();
    payload.push(payload_type);
    earlier().for_each(|age| payload.extend(opus(number - age)));
    payload.extend(opus(number));
    payload
}

struct Stage {
    net: Net,
    publisher: usize,
    /// Takes copies, and does not.
    viewers: [usize; 2],
}

impl Stage {
    fn new() -> Self {
        let mut net = Net::new(2);
        let publisher = publisher(&mut net);
        let takes = net.try_join(Role::Viewer, "cam", CODECS, GCM, with_red(VIEWERS, false)).expect("an answer");
        let takes_not = net.join(Role::Viewer, "cam", CODECS, GCM);
        net.connect();
        Self { net, publisher, viewers: [takes, takes_not] }
    }

    /// The publisher sends the audio of these numbers under a payload type; `arrives` says which come.
    fn send(&mut self, payload_type: u8, numbers: std::ops::Range<u32>, copies: u32, arrives: impl Fn(u32) -> bool) {
        for number in numbers {
            let payload = if payload_type == OPUS { opus(number) } else { redundant(OPUS, copies, number) };
            self.send_payload(payload_type, number * STEP, &payload, arrives(number));
        }
    }

    fn send_payload(&mut self, payload_type: u8, timestamp: u32, payload: &[u8], arrives: bool) {
        let client = &mut self.net.clients[self.publisher];
        client.tracks[0].payload_type = payload_type;
        let datagram = client.seal(0, timestamp, false, payload);
        if arrives {
            self.net.deliver(self.publisher, datagram);
        }
        self.net.run(Duration::from_millis(20));
    }

    /// What a viewer got: payload type, number in its line and timestamp, both since the first, and payload.
    fn got(&self, viewer: usize) -> Vec<(u8, u64, u32, Vec<u8>)> {
        let received = &self.net.clients[self.viewers[viewer]].received;
        let mut got = received.clone();
        got.sort_by_key(|packet| packet.index);
        let Some(first) = got.first().cloned() else { return Vec::new() };
        let since = |packet: crate::net::client::Received| {
            let ticks = packet.timestamp.wrapping_sub(first.timestamp);
            (packet.payload_type, packet.index - first.index, ticks, packet.payload)
        };
        got.into_iter().map(since).collect()
    }
}

fn publisher(net: &mut Net) -> usize {
    let publisher = net.try_join(Role::Publisher, "cam", CODECS, GCM, with_red(PUBLISHERS, true)).expect("an answer");
    assert_eq!(net.clients[publisher].tracks[0].payload_type, PUBLISHERS, "what it would rather send stands first");
    net.connect();
    publisher
}

fn plain(number: u32, since: u32) -> (u8, u64, u32, Vec<u8>) {
    (OPUS, (number - since).into(), (number - since) * STEP, opus(number))
}

fn whole(number: u32, since: u32) -> (u8, u64, u32, Vec<u8>) {
    (VIEWERS, (number - since).into(), (number - since) * STEP, redundant(OPUS, 1, number))
}

#[test]
fn viewers_that_negotiated_red_get_copies_and_others_plain_audio() {
    let mut stage = Stage::new();
    stage.send(PUBLISHERS, 10..30, 1, |_| true);
    assert_eq!(stage.got(0), (10..30).map(|number| whole(number, 10)).collect::<Vec<_>>());
    assert_eq!(stage.got(1), (10..30).map(|number| plain(number, 10)).collect::<Vec<_>>());
}

#[test]
fn a_lost_packet_is_rebuilt_from_the_next_one_for_all_viewers() {
    let mut stage = Stage::new();
    stage.send(PUBLISHERS, 10..30, 1, |number| number != 15 && number != 22);
    assert_eq!(stage.got(1), (10..30).map(|number| plain(number, 10)).collect::<Vec<_>>());
    let expected =
        (10..30).map(|number| if number == 15 || number == 22 { plain(number, 10) } else { whole(number, 10) });
    assert_eq!(stage.got(0), expected.collect::<Vec<_>>());
    stage.net.run(Duration::from_secs(1));
    assert_eq!(stage.net.metric("sluice_stream_repaired_packets_total{kind=\"audio\",stream=\"cam\"}"), 2);
    assert_eq!(stage.net.metric("sluice_stream_lost_packets_total{kind=\"audio\",stream=\"cam\"}"), 0);
}

#[test]
fn in_a_gap_packets_with_a_copy_are_rebuilt_and_others_keep_their_numbers() {
    let mut stage = Stage::new();
    stage.send(PUBLISHERS, 10..20, 2, |number| !(13..16).contains(&number));
    let expected = (10..20).filter(|number| *number != 13).map(|number| plain(number, 10));
    assert_eq!(stage.got(1), expected.collect::<Vec<_>>());
}

#[test]
fn nothing_is_rebuilt_if_timestamps_do_not_identify_the_packet() {
    let mut stage = Stage::new();
    stage.send(PUBLISHERS, 10..12, 1, |_| true);
    // Number 12 is lost, and silence lies behind it: the copy may be of any number.
    stage.send_payload(PUBLISHERS, 12 * STEP, &redundant(OPUS, 1, 12), false);
    stage.send_payload(PUBLISHERS, 33 * STEP, &redundant(OPUS, 1, 33), true);
    let got = stage.got(1);
    assert_eq!(got.iter().map(|packet| packet.1).collect::<Vec<_>>(), [0, 1, 3]);
    assert_eq!(got[2].2, 23 * STEP);
}

#[test]
fn a_packet_that_arrives_after_it_was_rebuilt_changes_nothing() {
    let mut stage = Stage::new();
    stage.send(PUBLISHERS, 10..12, 1, |_| true);
    let late = stage.net.clients[stage.publisher].seal(0, 12 * STEP, true, &redundant(OPUS, 1, 12));
    stage.send(PUBLISHERS, 13..15, 1, |_| true);
    stage.net.deliver(stage.publisher, late);
    stage.send(PUBLISHERS, 15..17, 1, |_| true);
    let expected = (10..17).map(|number| plain(number, 10));
    assert_eq!(stage.got(1), expected.collect::<Vec<_>>());
}

#[test]
fn a_publisher_may_stop_and_resume_copies_in_one_rtp_stream() {
    let mut stage = Stage::new();
    stage.send(PUBLISHERS, 10..15, 1, |_| true);
    stage.send(OPUS, 15..20, 0, |_| true);
    stage.send(PUBLISHERS, 20..25, 1, |_| true);
    let with_copies = |number| if (15..20).contains(&number) { plain(number, 10) } else { whole(number, 10) };
    assert_eq!(stage.got(0), (10..25).map(with_copies).collect::<Vec<_>>());
    assert_eq!(stage.got(1), (10..25).map(|number| plain(number, 10)).collect::<Vec<_>>());
}

#[test]
fn publishers_with_and_without_copies_take_over_from_each_other() {
    let mut stage = Stage::new();
    stage.send(PUBLISHERS, 0..10, 1, |_| true);
    stage.publisher = stage.net.join(Role::Publisher, "cam", CODECS, GCM);
    stage.net.connect();
    stage.send(OPUS, 10..20, 0, |_| true);
    stage.publisher = publisher(&mut stage.net);
    stage.send(PUBLISHERS, 20..30, 1, |_| true);
    for (viewer, takes) in [(0, true), (1, false)] {
        let got = stage.got(viewer);
        assert_eq!(got.len(), 30);
        for (number, (payload_type, index, _, payload)) in (0..).zip(got) {
            let copies = takes && !(10..20).contains(&number);
            let expected = if copies { redundant(OPUS, 1, number) } else { opus(number) };
            assert_eq!((payload_type, index), (if copies { VIEWERS } else { OPUS }, number.into()));
            assert_eq!(payload, expected, "{number}");
        }
    }
}

#[test]
fn unreadable_red_is_dropped_and_counted() {
    let mut stage = Stage::new();
    stage.send(PUBLISHERS, 10..12, 1, |_| true);
    let cut_off = redundant(OPUS, 1, 12)[..9].to_vec();
    for (number, payload) in (12..).zip([vec![], vec![0x80 | OPUS], cut_off, redundant(13, 1, 15)]) {
        stage.send_payload(PUBLISHERS, number * STEP, &payload, true);
    }
    stage.send(OPUS, 16..18, 0, |_| true);
    assert_eq!(stage.got(1).iter().map(|packet| packet.1).collect::<Vec<_>>(), [0, 1, 6, 7]);
    assert_eq!(stage.net.drops("redundancy"), 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is lost: each viewer gets each packet at most once, as it was, and with one copy in each all that was
    /// lost alone.
    #[test]
    fn single_losses_are_rebuilt_for_all_viewers(lost in prop::collection::vec(prop::bool::weighted(0.2), 60)) {
        let mut stage = Stage::new();
        let arrives = |number: u32| number < 2 || !lost[number as usize];
        stage.send(PUBLISHERS, 0..60, 1, arrives);
        let expected = (0..60).filter(|number| arrives(*number) || *number < 59 && arrives(number + 1));
        prop_assert_eq!(stage.got(1), expected.clone().map(|number| plain(number, 0)).collect::<Vec<_>>());
        let whole = expected.map(|number| if arrives(number) { whole(number, 0) } else { plain(number, 0) });
        prop_assert_eq!(stage.got(0), whole.collect::<Vec<_>>());
    }
}
