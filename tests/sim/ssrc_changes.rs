//! A publisher that changes its SSRC: one SSRC plays at a time, and viewers see one continuous stream.

use std::collections::HashMap;
use std::time::Duration;

use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use sluice::forward::codec::Kind;
use sluice::name::Role;

use crate::broadcast::{GCM, SECOND, Shown, track};
use crate::net::{Net, vp8};

const FRAME: Duration = Duration::from_millis(40);
/// The SSRCs of a test: none is a client's own.
const A: u32 = 0xa000_0000;
const B: u32 = 0xb000_0000;

/// A publisher and two viewers.
struct Show {
    net: Net,
    publisher: usize,
    viewers: [usize; 2],
    /// Of the next frame, whatever its source.
    number: u32,
}

impl Show {
    fn new() -> Self {
        let mut net = Net::new(1);
        let publisher = net.publish("cam");
        let viewers = [(); 2].map(|()| net.watch("cam"));
        net.connect();
        Self { net, publisher, viewers, number: 0 }
    }

    /// Seals a frame of one packet without sending it, and returns its number too.
    fn frame(&mut self, kind: Kind, ssrc: u32, keyframe: bool) -> (u32, Vec<u8>) {
        let number = self.number;
        self.number += 1;
        let client = &mut self.net.clients[self.publisher];
        let place = track(client, kind);
        client.tracks[place].ssrc = Some(ssrc);
        let (rate, payload) = match kind {
            Kind::Video => (90, vp8(keyframe, number)),
            Kind::Audio => (48, number.to_be_bytes().to_vec()),
        };
        let timestamp = number.wrapping_mul(40 * rate);
        (number, client.seal(place, timestamp, true, &payload))
    }

    fn send(&mut self, ssrc: u32, keyframe: bool) -> u32 {
        let (number, datagram) = self.frame(Kind::Video, ssrc, keyframe);
        self.net.deliver(self.publisher, datagram);
        number
    }

    /// A frame, and the time until the next one.
    fn show(&mut self, ssrc: u32, keyframe: bool) -> u32 {
        let number = self.send(ssrc, keyframe);
        self.net.run(FRAME);
        number
    }

    fn shown(&self, kind: Kind) -> Vec<u32> {
        let [one, other] = self.viewers.map(|viewer| self.net.packets(viewer, kind));
        let numbers = |line: &[Shown]| line.iter().map(|shown| shown.number).collect::<Vec<_>>();
        assert_eq!(numbers(&one), numbers(&other));
        numbers(&one)
    }

    fn line(&self) -> Vec<Shown> {
        self.net.video(self.viewers[0])
    }

    fn dropped(&mut self, reason: &str) -> u64 {
        // Counts are added up once a turn.
        self.net.run(Duration::from_millis(2));
        self.net.drops(reason)
    }

    /// Of which SSRCs keyframes were asked for.
    fn asked(&self) -> Vec<u32> {
        let packets = self.net.clients[self.publisher].rtcp.iter().flatten();
        let requests = packets.filter_map(|packet| packet.as_any().downcast_ref::<PictureLossIndication>());
        requests.map(|request| request.media_ssrc).collect()
    }
}

#[test]
fn a_publisher_with_a_new_ssrc_every_ten_frames_plays_continuously() {
    let mut show = Show::new();
    for group in 0..200 {
        for frame in 0..10 {
            show.show(A + group, frame == 0);
        }
    }
    assert_eq!(show.shown(Kind::Video), (0..2_000).collect::<Vec<_>>());
    for pair in show.line().windows(2) {
        assert_eq!(pair[1].index, pair[0].index + 1);
        let ticks = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!((3_500..3_700).contains(&ticks), "{ticks}");
    }
    assert_eq!((show.dropped("too_many_ssrcs"), show.dropped("other_source")), (0, 0));
}

#[test]
fn audio_continues_while_the_video_ssrc_changes() {
    let mut show = Show::new();
    let mut audio = Vec::new();
    for group in 0..30 {
        for frame in 0..10 {
            let (number, datagram) = show.frame(Kind::Audio, 7, true);
            show.net.deliver(show.publisher, datagram);
            audio.push(number);
            show.show(A + group, frame == 0);
        }
    }
    assert_eq!(show.shown(Kind::Audio), audio);
    for pair in show.net.audio(show.viewers[0]).windows(2) {
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), 2 * 40 * 48, "as its publisher says");
    }
}

#[test]
fn a_late_packet_of_the_previous_ssrc_restarts_nothing() {
    let mut show = Show::new();
    show.show(A, true);
    for _ in 0..20 {
        show.show(A, false);
    }
    let (late, datagram) = show.frame(Kind::Video, A, false);
    let first = show.show(B, true);
    show.show(B, false);
    show.show(B, false);
    show.net.deliver(show.publisher, datagram);
    for _ in 0..20 {
        show.show(B, false);
    }
    let shown = show.shown(Kind::Video);
    assert_eq!(shown, (0..show.number).filter(|number| *number != late).collect::<Vec<_>>());
    assert!(first < show.number && show.dropped("other_source") == 1);
    assert!(show.asked().len() <= 1, "nobody misses anything: {:?}", show.asked());
}

#[test]
fn a_packet_overtaken_by_the_next_ssrc_keeps_its_place() {
    let mut show = Show::new();
    show.show(A, true);
    show.show(A, false);
    let (late, datagram) = show.frame(Kind::Video, A, false);
    show.show(A, false);
    show.send(B, true);
    show.net.run(Duration::from_millis(3));
    show.net.deliver(show.publisher, datagram);
    show.net.run(FRAME);
    show.show(B, false);
    let mut line = show.line();
    line.sort_by_key(|shown| shown.index);
    assert_eq!(line.iter().map(|shown| shown.number).collect::<Vec<_>>(), [0, 1, late, 3, 4, 5]);
    assert!(line.windows(2).all(|pair| pair[1].index == pair[0].index + 1));
}

#[test]
fn a_second_ssrc_waits_for_its_keyframe_and_takes_over_from_a_silent_one() {
    let mut show = Show::new();
    let mut expected = vec![show.show(A, true)];
    for _ in 0..25 {
        expected.push(show.show(A, false));
        show.send(B, false);
    }
    assert_eq!(show.shown(Kind::Video), expected, "frames without a beginning");
    assert_eq!(show.dropped("other_source"), 25);
    let before = show.asked().iter().filter(|ssrc| **ssrc == B).count();
    for _ in 0..14 {
        show.show(B, false);
    }
    assert_eq!(before, 0);
    assert_eq!(show.asked().last(), Some(&B), "after half a second it plays, and a keyframe is asked for");
    expected.push(show.show(B, true));
    expected.push(show.show(B, false));
    assert_eq!(show.shown(Kind::Video), expected);
}

#[test]
fn a_retired_ssrc_returns_after_a_second_with_a_keyframe() {
    let mut show = Show::new();
    let mut expected = vec![show.show(A, true), show.show(B, true)];
    for _ in 0..24 {
        show.send(A, true);
        expected.push(show.show(B, false));
    }
    assert_eq!(show.shown(Kind::Video), expected, "within its second");
    show.send(A, false);
    expected.push(show.show(B, false));
    expected.push(show.show(A, true));
    expected.push(show.show(A, false));
    assert_eq!(show.shown(Kind::Video), expected);
}

#[test]
fn audio_changes_its_ssrc_at_any_packet_but_not_back_within_a_second() {
    let mut show = Show::new();
    let mut expected = Vec::new();
    for round in 0..60 {
        for ssrc in [A, B] {
            let (number, datagram) = show.frame(Kind::Audio, ssrc, true);
            show.net.deliver(show.publisher, datagram);
            expected.push((round, ssrc, number));
        }
        show.net.run(FRAME);
    }
    let shown = show.shown(Kind::Audio);
    let ssrc_of: HashMap<u32, u32> = expected.iter().map(|(_, ssrc, number)| (*number, *ssrc)).collect();
    let changes = shown.windows(2).filter(|pair| ssrc_of[&pair[0]] != ssrc_of[&pair[1]]).count();
    assert!((1..=3).contains(&changes), "{changes} within 2.4 s");
    assert!((60..=60 + changes).contains(&shown.len()), "one at a time: {}", shown.len());
}

#[test]
fn more_than_ten_ssrc_changes_a_second_are_dropped_and_counted() {
    let mut show = Show::new();
    for second in 0..5 {
        let before = show.shown(Kind::Video).len();
        for change in 0..50 {
            show.send(A + 50 * second + change, true);
            show.net.run(SECOND / 50);
        }
        let taken = show.shown(Kind::Video).len() - before;
        assert!((9..=11).contains(&taken), "{taken}");
    }
    // Of more than 16 live SSRCs not even the packets are opened.
    assert_eq!(
        show.dropped("other_source") + show.dropped("too_many_ssrcs"),
        250 - show.shown(Kind::Video).len() as u64
    );
    show.net.run(SECOND);
    let before = show.shown(Kind::Video).len();
    for frame in 0..10 {
        show.show(B, frame == 0);
    }
    assert_eq!(show.shown(Kind::Video).len() - before, 10, "and it goes on");
}

#[test]
fn parameter_sets_in_separate_packets_arrive_with_their_frame() {
    use sluice::forward::codec::Codec;
    let mut net = Net::new(1);
    let publisher = net.join(Role::Publisher, "cam", &[Codec::H264], GCM);
    let viewer = net.join(Role::Viewer, "cam", &[Codec::H264], GCM);
    net.connect();
    let (sps, pps, idr, slice): (&[u8], &[u8], &[u8], &[u8]) =
        (&[0x67, 0x42, 0xe0, 0x1f, 0x8c, 0x8d, 0x40], &[0x68, 0xce, 0x3c, 0x80], &[0x65, 0x88, 1], &[0x41, 0x9a, 1]);
    for (ssrc, timestamp) in [(A, 0u32), (B, 90_000), (A + 1, 180_000)] {
        net.clients[publisher].tracks[0].ssrc = Some(ssrc);
        for (at, payload, marker) in [(0, sps, false), (0, pps, false), (0, idr, true), (3_000, slice, true)] {
            net.send(publisher, 0, timestamp + at, marker, payload);
        }
        net.run(SECOND);
    }
    let received: Vec<&[u8]> = net.clients[viewer].received.iter().map(|packet| &packet.payload[..]).collect();
    assert_eq!(received, [sps, pps, idr, slice, sps, pps, idr, slice, sps, pps, idr, slice]);
}
