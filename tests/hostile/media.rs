//! Clients that send bad RTP of every codec and bad RTCP of every type under their own keys: seeded, in virtual time,
//! against the real core. Nothing panics, another stream's viewer gets every packet, and nothing is left once they are
//! gone. `SLUICE_SEEDS=500 cargo test --test hostile media::` tries more than the ordinary run, `SLUICE_SEED=77` one.

use std::alloc::System;
use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rtcp::raw_packet::RawPacket;
use sluice::forward::codec::{Codec, Kind};
use sluice::name::Role;
use sluice::peer::client::Track;
use sluice::srtp::SrtpProfile;
use stats_alloc::Region;

use crate::net::{NUMBER, Net, vp8};
use crate::{ALLOCATOR, alone, hostile};

const GCM: &[SrtpProfile] = &[SrtpProfile::Aes128Gcm];
/// The payload type of RED (RFC 2198) in an offer.
const RED: u8 = 63;
/// Seeds of an ordinary run.
const SEEDS: u32 = 2;
/// Bad packets of a seed, and those between two packets of the stream that is not attacked.
const PACKETS: u32 = 3_000;
const BURST: u32 = 20;
/// What may be kept of an attack while its sessions live: a fast-start cache and a history.
const KEPT: i64 = 24 << 20;
/// What may be left when they are gone: mostly what the test's own clients keep.
const LEFT: i64 = 4 << 20;
/// The relay has forgotten ended sessions by then.
const FORGETTING: Duration = Duration::from_secs(40);

/// A relay with a stream and its viewer, and attackers.
struct Scene {
    net: Net,
    random: StdRng,
    publisher: usize,
    viewer: usize,
    sent: u32,
    /// Of the attackers' sources.
    indices: HashMap<u32, u64>,
    /// Memory since the attackers joined.
    region: Region<'static, System>,
}

impl Scene {
    fn new(seed: u32) -> Self {
        let mut net = Net::new(2);
        let publisher = net.join(Role::Publisher, "victim", &[Codec::Vp8], GCM);
        let viewer = net.join(Role::Viewer, "victim", &[Codec::Vp8], GCM);
        net.connect();
        let random = StdRng::seed_from_u64(u64::from(seed));
        let mut scene =
            Self { net, random, publisher, viewer, sent: 0, indices: HashMap::new(), region: Region::new(ALLOCATOR) };
        scene.send_video();
        scene
    }

    /// A packet of the stream that is not attacked.
    fn send_video(&mut self) {
        self.net.send(self.publisher, 0, self.sent * 3_000, true, &vp8(self.sent == 0, self.sent)[..64]);
        self.sent += 1;
        self.net.run(Duration::from_millis(10));
    }

    /// Joins with these codecs, and with RED where there is Opus.
    fn join(&mut self, role: Role, stream: &str, codecs: &[Codec]) -> usize {
        let joined = self.net.try_join(role, stream, codecs, GCM, |request| {
            request.offer = offer_with_red(&request.offer);
        });
        let number = joined.expect("the offer is answered");
        self.net.connect();
        number
    }

    /// Whether the session lives; the relay may end one that misbehaves.
    fn lives(&self, number: usize) -> bool {
        !self.net.clients[number].closed && self.net.handle().lookup(&self.net.clients[number].session).is_some()
    }

    /// The same client, or its successor if the relay has ended its session.
    fn alive(&mut self, number: usize, role: Role, stream: &str, codecs: &[Codec]) -> usize {
        if self.lives(number) {
            return number;
        }
        self.net.forget(number);
        self.join(role, stream, codecs)
    }

    /// One bad RTP packet of a publisher, under its own payload types for the most part; one of `others` has another
    /// SSRC.
    fn send_rtp(&mut self, number: usize, others: u32) {
        let track = self.random.random_range(0..self.net.clients[number].tracks.len());
        let Track { accepted, ssrc, rtx_ssrc, kind, .. } = &self.net.clients[number].tracks[track];
        let own = (accepted[self.random.random_range(0..accepted.len())].0, ssrc.unwrap_or(1));
        let stray = self.random.random_range(0..others) == 0;
        let (payload_type, ssrc) = match self.random.random_range(0..30) {
            // A retransmission (RFC 4588), which has the next number, says of itself which packet it was.
            0..10 if stray => (accepted[0].0 + 1, rtx_ssrc.unwrap_or(own.1)),
            _ if stray => (own.0, self.random.random_range(0..30)),
            0 => (self.random.random_range(0..128), own.1),
            1..4 if *kind == Kind::Audio => (RED, own.1),
            _ => own,
        };
        let index = self.indices.entry(ssrc).or_insert(1_000);
        // Once in a while sequence numbers are left out, more than a history holds.
        *index += if self.random.random_range(0..200) == 0 { self.random.random_range(1..3_000) } else { 1 };
        let index = *index;
        let packet = hostile::rtp(&mut self.random, payload_type, ssrc, index);
        let length = packet.bytes.len();
        let mut bytes = packet.bytes;
        bytes.resize(length + 32, 0);
        let sealer = self.net.clients[number].sealer.as_mut().expect("it is connected");
        let sealed = sealer.seal(&mut bytes, packet.header, length, index).expect("there is room for the tag");
        bytes.truncate(sealed);
        self.net.deliver(number, bytes);
    }

    /// One bad RTCP packet of this kind.
    fn send_rtcp(&mut self, number: usize, kind: usize) {
        let tracks = [number, self.publisher, self.viewer].map(|client| &self.net.clients[client].tracks);
        let sources: Vec<u32> =
            tracks.into_iter().flatten().flat_map(|track| [track.ssrc, track.rtx_ssrc]).flatten().collect();
        let packet = hostile::rtcp(&mut self.random, kind, &sources);
        self.net.send_rtcp(number, RawPacket(Bytes::from(packet)));
    }

    /// The viewer of the other stream has every packet, and no session has panicked.
    #[track_caller]
    fn assert_unharmed(&mut self, what: &str) {
        self.send_video();
        self.net.run(Duration::from_millis(100));
        let number = |payload: &[u8]| payload[NUMBER..NUMBER + 4].try_into().map(u32::from_be_bytes);
        let received = &self.net.clients[self.viewer].received;
        let numbers: Vec<u32> = received.iter().flat_map(|packet| number(&packet.payload)).collect();
        assert_eq!(numbers, (0..self.sent).collect::<Vec<_>>(), "{what}");
        let panics = self.net.metric_sum("sluice_session_ends_total{reason=\"panicked\"");
        assert_eq!(panics, 0, "{what}");
    }

    /// All clients leave, and [`FORGETTING`] later the relay keeps nothing of them.
    fn assert_nothing_is_left(mut self, what: &str) {
        for client in &mut self.net.clients {
            client.peer.close();
        }
        self.net.run(Duration::from_millis(50));
        self.net.wait(FORGETTING);
        let counts = self.net.relay.counts();
        let left: Vec<_> = counts.iter().filter(|(_, count)| *count > 0).collect();
        assert!(counts.len() > 5 && left.is_empty(), "{what}: {left:?}");
        let all: Vec<_> = (0..self.net.clients.len()).collect();
        self.forget_received(&all);
        assert!(self.kept() < LEFT, "{what}: {} octets are left", self.kept());
    }

    fn kept(&self) -> i64 {
        let change = self.region.change();
        change.bytes_allocated as i64 - change.bytes_deallocated as i64
    }

    /// Why packets were dropped, for the message of a failure.
    fn drops(&self) -> String {
        let text = self.net.metrics.render();
        let drops = text.lines().filter_map(|line| line.strip_prefix("sluice_drops_total{reason="));
        drops.filter(|line| !line.ends_with(" 0")).collect::<Vec<_>>().join(", ")
    }

    /// Frees what the test itself keeps, which is not the relay's.
    fn forget_received(&mut self, numbers: &[usize]) {
        for number in numbers {
            let client = &mut self.net.clients[*number];
            (client.received, client.rtcp) = (Vec::new(), Vec::new());
        }
    }
}

/// Offers RED beside Opus, where that is offered.
fn offer_with_red(offer: &str) -> String {
    let lines = offer.lines().flat_map(|line| {
        let added = line.starts_with("a=rtpmap:111 ").then(|| format!("a=rtpmap:{RED} red/48000/2"));
        let line = match line.starts_with("m=audio ") && offer.contains("a=rtpmap:111 ") {
            true => line.replacen("111", &format!("111 {RED}"), 1),
            false => line.to_owned(),
        };
        [added, Some(line)].into_iter().flatten()
    });
    lines.map(|line| line + "\r\n").collect()
}

/// Runs one attack for each seed.
fn for_each_seed(run: impl Fn(u32)) {
    let _alone = alone();
    let number = |name| std::env::var(name).ok().map(|text: String| text.parse::<u32>().expect("a number"));
    match number("SLUICE_SEED") {
        Some(seed) => run(seed),
        None => (0..number("SLUICE_SEEDS").unwrap_or(SEEDS)).for_each(run),
    }
}

/// A publisher of these codecs, with a viewer, sends bad RTP, one packet of `others` under another SSRC than its
/// own. At least `least` of its packets are to be taken as media.
fn attack_by_rtp(seed: u32, codecs: &[Codec], others: u32, least: u64) {
    let what = format!("SLUICE_SEED={seed}, {codecs:?}");
    let mut scene = Scene::new(seed);
    let mut hostile = scene.join(Role::Publisher, "other", codecs);
    let watching = scene.join(Role::Viewer, "other", codecs);
    let before = scene.net.metric_sum("sluice_rtp_packets_total{direction=\"in\"");
    for packet in 0..PACKETS {
        hostile = scene.alive(hostile, Role::Publisher, "other", codecs);
        scene.send_rtp(hostile, others);
        if packet % BURST == 0 {
            scene.send_video();
            scene.forget_received(&[hostile, watching]);
        }
    }
    scene.assert_unharmed(&what);
    assert!(scene.kept() < KEPT, "{what}: {} octets are kept", scene.kept());
    let taken = scene.net.metric_sum("sluice_rtp_packets_total{direction=\"in\"") - before;
    assert!(taken - u64::from(PACKETS / BURST) > least, "{what}: {taken} packets were taken: {}", scene.drops());
    scene.assert_nothing_is_left(&what);
}

#[test]
fn bad_rtp_of_each_codec_harms_no_other_session_and_leaves_nothing() {
    for_each_seed(|seed| {
        for codec in hostile::CODECS {
            attack_by_rtp(seed, &[*codec], u32::MAX, u64::from(PACKETS / 2));
        }
    });
}

#[test]
fn bad_rtp_of_changing_codecs_harms_no_other_session_and_leaves_nothing() {
    for_each_seed(|seed| attack_by_rtp(seed, hostile::CODECS, u32::MAX, u64::from(PACKETS / 4)));
}

#[test]
fn bad_rtp_of_changing_ssrcs_harms_no_other_session_and_leaves_nothing() {
    for_each_seed(|seed| attack_by_rtp(seed, hostile::CODECS, 10, 20));
}

#[test]
fn bad_rtcp_of_every_type_harms_no_other_session_and_leaves_nothing() {
    for_each_seed(|seed| {
        let what = format!("SLUICE_SEED={seed}");
        let mut scene = Scene::new(seed);
        let mut viewer = scene.join(Role::Viewer, "victim", hostile::CODECS);
        let mut publisher = scene.join(Role::Publisher, "other", hostile::CODECS);
        for packet in 0..PACKETS {
            viewer = scene.alive(viewer, Role::Viewer, "victim", hostile::CODECS);
            publisher = scene.alive(publisher, Role::Publisher, "other", hostile::CODECS);
            for number in [viewer, publisher] {
                scene.send_rtcp(number, packet as usize % hostile::RTCP_KINDS);
            }
            if packet % BURST == 0 {
                scene.send_video();
                scene.forget_received(&[viewer, publisher, scene.publisher]);
            }
        }
        scene.assert_unharmed(&what);
        assert!(scene.kept() < KEPT, "{what}: {} octets are kept", scene.kept());
        scene.assert_nothing_is_left(&what);
    });
}
