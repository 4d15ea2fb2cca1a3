//! Publishers as they are: viewers notice nothing of what real encoders, gateways and networks do to packets.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sluice::forward::codec::Kind;
use sluice::name::Role;
use sluice::worker::Config;

use crate::broadcast::{
    BOTH, Broadcast, GCM, MILLISECOND, PARTS, SECOND, assert_continuous, broadcast_to, numbers, run_all, track,
};
use crate::net::Net;
use crate::net::lane::Impairment;
use crate::receiver::{Answers, Receiver};

/// Clients send a check each two seconds (RFC 7675), and one without nomination moves media when the old path has been
/// silent for one second. Then there is one round trip and the next frame.
const MOVED: Duration = Duration::from_millis(3_200);
/// The number of the standby's first packet.
const SECOND_BEGINS: u32 = 1_000_000;

/// A publisher and a viewer that is there from the beginning.
fn watched(workers: usize) -> (Net, Broadcast, usize) {
    let (net, mut broadcast, viewers) = broadcast_to(1, workers, Config::default());
    broadcast.keyframe_every = 50;
    (net, broadcast, viewers[0])
}

/// A publisher that begins now, with a keyframe each two seconds.
fn begin(net: &Net, publisher: usize) -> Broadcast {
    let mut broadcast = Broadcast::new(net, publisher);
    broadcast.keyframe_every = 50;
    broadcast
}

/// Fails unless a viewer has every packet of both kinds once, in order and under consecutive numbers, and audio and
/// video keep the distance at which they were published.
fn assert_whole(net: &Net, viewer: usize, broadcast: &Broadcast) {
    assert_continuous(&net.video(viewer), 0..broadcast.frame * broadcast.parts);
    assert_continuous(&net.audio(viewer), 0..broadcast.audio_packets());
    assert_paced(net, viewer, broadcast);
}

/// Fails unless timestamps go on in step with the publisher's time, in audio and in video.
fn assert_paced(net: &Net, viewer: usize, broadcast: &Broadcast) {
    for (kind, ticks) in [(Kind::Video, 90), (Kind::Audio, 48)] {
        let line = net.packets(viewer, kind);
        for shown in &line {
            let sent = [shown, &line[0]].map(|shown| broadcast.sent_at(kind, shown.number));
            let elapsed = (sent[0] - sent[1]).as_millis() as u32;
            assert_eq!(shown.timestamp.wrapping_sub(line[0].timestamp), elapsed * ticks, "{kind:?} {shown:?}");
        }
    }
}

/// Moves the publisher's sequence numbers of a kind forward.
fn leap(net: &mut Net, publisher: usize, kind: Kind, by: u64) {
    let ssrc = net.ssrc(publisher, kind);
    *net.clients[publisher].next_index.entry(ssrc).or_insert(1000) += by;
}

#[test]
fn sequence_numbers_that_wrap_are_followed() {
    let (mut net, mut broadcast, viewer) = watched(1);
    for kind in [Kind::Video, Kind::Audio] {
        leap(&mut net, broadcast.publisher, kind, 65_530 - 1_000);
    }
    broadcast.run(&mut net, 2 * SECOND);
    assert_whole(&net, viewer, &broadcast);
}

#[test]
fn timestamps_that_wrap_are_followed() {
    let (mut net, mut broadcast, viewer) = watched(1);
    // Video wraps after one second, audio after nearly two.
    broadcast.timestamp_offset = u32::MAX - 90_000;
    broadcast.run(&mut net, 4 * SECOND);
    assert_whole(&net, viewer, &broadcast);
}

/// Fails unless a viewer has all of both kinds again by now, at once.
fn assert_live(net: &Net, viewer: usize, broadcast: &Broadcast) {
    let (frames, audio) = (broadcast.frame * PARTS, broadcast.audio_packets());
    for (kind, next) in [(Kind::Video, frames), (Kind::Audio, audio)] {
        let line = net.packets(viewer, kind);
        assert!(line.windows(2).all(|pair| pair[1].index == pair[0].index + 1), "{kind:?}");
        let second = line.iter().rev().take_while(|shown| net.now - shown.at < SECOND).copied().collect::<Vec<_>>();
        assert!(numbers(&second).into_iter().rev().eq(next - second.len() as u32..next), "{kind:?}: {second:?}");
        assert!(second.len() >= 49);
    }
}

#[test]
fn a_jump_of_sequence_numbers_is_no_loss_and_ends_with_a_keyframe_at_once() {
    // Below 2^15 the rollover counter can be derived (RFC 3711 3.3.1).
    for by in [5_000, 30_000] {
        let (mut net, mut broadcast, viewer) = watched(1);
        broadcast.keyframe_responsive = true;
        for _ in 0..4 {
            broadcast.run(&mut net, 3 * SECOND);
            assert_live(&net, viewer, &broadcast);
            for kind in [Kind::Video, Kind::Audio] {
                leap(&mut net, broadcast.publisher, kind, by);
            }
        }
        broadcast.run(&mut net, 3 * SECOND);
        assert_live(&net, viewer, &broadcast);
        let audio = net.audio(viewer);
        assert_continuous(&audio, 0..broadcast.audio_packets());
        assert!(
            audio.iter().all(|shown| shown.at - broadcast.audio_sent_at(shown.number) < 5 * MILLISECOND),
            "nothing is held back"
        );
    }
}

#[test]
fn contributing_sources_and_padding_are_removed() {
    let (mut net, mut broadcast, viewer) = watched(1);
    for (csrcs, padding) in [(0, 0), (1, 0), (15, 0), (0, 1), (0, 255), (15, 200), (2, 4), (0, 0)] {
        let client = &mut net.clients[broadcast.publisher];
        (client.csrcs, client.padding) = ((1..=csrcs).collect(), padding);
        broadcast.run(&mut net, SECOND / 2);
    }
    assert_whole(&net, viewer, &broadcast);
    for packet in &net.clients[viewer].received {
        assert_eq!(packet.sealed[0] & 0x2f, 0, "neither padding nor contributing sources");
        assert!([4, 600].contains(&packet.payload.len()), "{}", packet.payload.len());
    }
}

#[test]
fn padding_only_packets_leave_no_gap() {
    let (mut net, mut broadcast, viewer) = watched(1);
    for round in 0..100 {
        broadcast.run(&mut net, 40 * MILLISECOND);
        let publisher = broadcast.publisher;
        net.clients[publisher].padding = [1, 100, 255][round % 3];
        for _ in 0..round % 7 {
            for kind in [Kind::Video, Kind::Audio] {
                let place = track(&net.clients[publisher], kind);
                // What probes for bandwidth repeats the timestamp of the frame before it.
                let timestamp = match kind {
                    Kind::Video => (broadcast.frame - 1) * 3_600,
                    Kind::Audio => (broadcast.audio_packets() - 1) * 960,
                };
                net.send(publisher, place, timestamp, false, &[]);
            }
        }
        net.clients[publisher].padding = 0;
    }
    net.run(20 * MILLISECOND);
    assert!(net.clients[viewer].received.iter().all(|packet| !packet.payload.is_empty()), "nothing empty is sent");
    assert_whole(&net, viewer, &broadcast);
}

#[test]
fn unnegotiated_and_two_byte_extensions_lose_no_packet() {
    let (mut net, mut broadcast, viewer) = watched(1);
    let blocks: [&[u8]; 8] = [
        // One-byte elements: an id that was not negotiated, 15 that ends all, padding alone, no element.
        &[0xbe, 0xde, 0, 1, 0xe0, 1, 0, 0],
        &[0xbe, 0xde, 0, 1, 0xf0, 1, 2, 3],
        &[0xbe, 0xde, 0, 1, 0, 0, 0, 0],
        &[0xbe, 0xde, 0, 0],
        // Two-byte elements: unknown, empty, longer than the block.
        &[0x10, 0x00, 0, 1, 200, 2, 1, 2],
        &[0x10, 0x0f, 0, 1, 200, 0, 201, 0],
        &[0x10, 0x00, 0, 1, 200, 250, 1, 2],
        // Neither: in RFC 3550 the meaning depends on the profile.
        &[0x12, 0x34, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8],
    ];
    for block in blocks {
        net.clients[broadcast.publisher].says = block.to_vec();
        broadcast.run(&mut net, SECOND / 2);
    }
    assert_whole(&net, viewer, &broadcast);
}

#[test]
fn audio_that_pauses_for_seconds_causes_no_takeover_and_stays_in_step() {
    for workers in [1, 2] {
        let (mut net, mut broadcast, viewer) = watched(workers);
        let standby = net.try_join(Role::Publisher, "cam", BOTH, GCM, |request| request.standby = true);
        let standby = standby.expect("a standby is taken beside the live publisher");
        net.connect();
        let mut second = begin(&net, standby);
        second.offset = SECOND_BEGINS;
        broadcast = begin(&net, broadcast.publisher);
        let mut spoken = 0..0;
        let mut expected = Vec::new();
        for (mute, seconds) in [(false, 1), (true, 8), (false, 1), (true, 15), (false, 2)] {
            broadcast.mute = mute;
            spoken.start = broadcast.audio_packets();
            run_all(&mut net, &mut [&mut broadcast, &mut second], seconds * SECOND);
            spoken.end = broadcast.audio_packets();
            if !mute {
                expected.extend(spoken.clone());
            }
        }
        assert_continuous(&net.video(viewer), 0..broadcast.frame * PARTS);
        let audio = net.audio(viewer);
        assert_eq!(numbers(&audio), expected);
        assert!(audio.windows(2).all(|pair| pair[1].index == pair[0].index + 1));
        assert_paced(&net, viewer, &broadcast);
        assert_eq!(net.metric("sluice_takeovers_total{by=\"standby\"}"), 0);
        assert!(!net.clients[broadcast.publisher].closed && !net.clients[standby].closed);
    }
}

/// A publisher and a viewer over links that lose two percent, with repairs on both.
struct Lossy {
    net: Net,
    broadcast: Broadcast,
    answers: Answers,
    receiver: Receiver,
}

impl Lossy {
    fn new(workers: usize) -> Self {
        let (mut net, mut broadcast, viewer) = watched(workers);
        broadcast.keyframe_responsive = true;
        let lossy = Impairment { loss: 0.02, delay: 10 * MILLISECOND, ..Impairment::default() };
        net.links.impair(broadcast.publisher, lossy, lossy, 7);
        net.links.impair(viewer, lossy, lossy, 8);
        let answers = Answers::new(&mut net, broadcast.publisher);
        Self { net, broadcast, answers, receiver: Receiver::new(viewer) }
    }

    fn run(&mut self, how_long: Duration) {
        let until = self.net.now + how_long;
        while self.net.now < until {
            self.broadcast.publish(&mut self.net);
            self.net.run(MILLISECOND);
            self.answers.poll(&mut self.net);
            self.receiver.poll(&mut self.net);
        }
    }

    /// A client's packets come from another port, and through another worker's socket where there is one; six seconds
    /// pass. For how long nothing new came to the viewer.
    fn rebind(&mut self, client: usize, worker: usize) -> Duration {
        let before = self.net.clients[client].address;
        let moved = self.net.now;
        self.net.rebind_client(client, SocketAddr::new(before.ip(), before.port() + 1_000), worker);
        self.run(6 * SECOND);
        let mut arrivals: Vec<Instant> = self.receiver.arrived.values().map(|(at, _)| *at).collect();
        arrivals.sort_unstable();
        let gaps = arrivals.windows(2).filter(|pair| pair[1] > moved).map(|pair| pair[1] - pair[0]);
        gaps.max().expect("it is back")
    }

    /// The numbers of the publisher's packets that the viewer has, and how many of the line's are missing.
    fn shown(&self) -> (BTreeSet<u32>, u64) {
        let arrived = &self.receiver.arrived;
        let (first, last) = (arrived.first_key_value().expect("it plays"), arrived.last_key_value().expect("it plays"));
        let missing = last.0 - first.0 + 1 - arrived.len() as u64;
        (arrived.values().map(|(_, number)| *number).collect(), missing)
    }
}

#[test]
fn a_publisher_whose_source_port_changes_is_back_with_its_next_check() {
    for workers in [1, 2] {
        let mut lossy = Lossy::new(workers);
        lossy.run(3 * SECOND);
        for change in 1..=3 {
            let outage = lossy.rebind(lossy.broadcast.publisher, change % workers);
            assert!(outage < MOVED, "{outage:?}");
        }
        lossy.run(SECOND);
        let (shown, missing) = lossy.shown();
        // Lost packets are repaired, and frames are held back for that by at most 400 ms.
        assert_eq!(missing, 0);
        assert!(shown.last().is_some_and(|newest| newest + 12 * PARTS >= lossy.broadcast.frame * PARTS));
        assert!(!lossy.net.clients[lossy.broadcast.publisher].closed);
    }
}

#[test]
fn a_viewer_whose_source_port_changes_is_back_with_its_next_check() {
    for workers in [1, 2] {
        let mut lossy = Lossy::new(workers);
        lossy.run(3 * SECOND);
        for change in 1..=3 {
            let outage = lossy.rebind(lossy.receiver.client, change % workers);
            assert!(outage < MOVED, "{outage:?}");
        }
        lossy.run(SECOND);
        let (shown, missing) = lossy.shown();
        assert_eq!(missing, 0);
        assert!(shown.last().is_some_and(|newest| newest + 12 * PARTS >= lossy.broadcast.frame * PARTS));
        assert!(!lossy.net.clients[lossy.receiver.client].closed);
    }
}

#[test]
fn clients_that_vanish_disturb_no_session_and_leave_nothing_behind() {
    let (mut net, mut broadcast, viewer) = watched(2);
    let others: Vec<usize> = (0..6).map(|_| net.watch("cam")).collect();
    let elsewhere = net.publish("other");
    net.connect();
    broadcast = begin(&net, broadcast.publisher);
    broadcast.run(&mut net, SECOND);
    for gone in others.into_iter().chain([elsewhere]) {
        net.clients[gone].away = true;
    }
    broadcast.run(&mut net, 35 * SECOND);
    assert_whole(&net, viewer, &broadcast);
    assert_eq!(net.handle().session_count(), 2);
    assert_eq!(net.handle().streams().len(), 1);
    assert!(!net.clients[viewer].closed && !net.clients[broadcast.publisher].closed);
}
