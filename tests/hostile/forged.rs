//! Datagrams that a stranger without keys forges with a client's own address and port, in each phase of a session:
//! seeded, in virtual time, 20,000 of each kind against the real core. A live session is not affected, one that is not
//! yet connected may fail, with a reason; no other session loses a packet; every datagram is counted, and no memory is
//! kept.

#![expect(clippy::unwrap_used, reason = "the functions that tests share may end a test, as tests may")]

use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use sluice::forward::codec::{Codec, Kind};
use sluice::name::Role;
use sluice::srtp::SrtpProfile;
use stats_alloc::Region;

use crate::forgeries::{FORGERIES, Forgery, Seen, stun_like};
use crate::net::{NUMBER, Net, vp8};
use crate::{ALLOCATOR, alone};

const COUNT: u64 = 20_000;

/// Between two turns of the relay.
const AT_ONCE: u64 = 200;

/// The memory that a flood may leave behind: a flood that was kept would take more than a megabyte, and the test's own
/// record of sent packets grows meanwhile.
const KEPT: isize = 512 * 1_024;

const BOTH: &[Codec] = &[Codec::Vp8, Codec::Opus];
const PROFILES: [SrtpProfile; 2] = [SrtpProfile::Aes128Gcm, SrtpProfile::Aes128CmSha1_80];

/// A relay with a live publisher and viewer that are not attacked, and the victim.
struct Scene {
    net: Net,
    publisher: usize,
    viewer: usize,
    victim: usize,
    publishes: bool,
    /// The victim sends nothing yet.
    silent: bool,
    seen: Seen,
    frame: u32,
}

impl Scene {
    /// `role` and `profile` are the victim's, which has only sent its offer. A publisher has its own stream.
    fn offered(role: Role, profile: SrtpProfile) -> Self {
        let mut net = Net::new(2);
        net.application = true;
        let publisher = net.join(Role::Publisher, "cam", BOTH, &PROFILES);
        let viewer = net.join(Role::Viewer, "cam", BOTH, &PROFILES);
        net.connect();
        let stream = if role == Role::Publisher { "other" } else { "cam" };
        let victim = net.join(role, stream, BOTH, &[profile]);
        let track = &net.clients[victim].tracks[0];
        let seen = Seen {
            ssrc: track.ssrc.unwrap_or(1),
            payload_type: track.payload_type,
            check: stun_like(),
            ..Seen::default()
        };
        Self { net, publisher, viewer, victim, publishes: role == Role::Publisher, silent: false, seen, frame: 0 }
    }

    /// A millisecond in which the publisher sends a frame; `passes` decides what reaches the victim.
    fn step(&mut self, mut passes: impl FnMut(&[u8]) -> bool) {
        let client = &self.net.clients[self.publisher];
        let video = client.tracks.iter().position(|track| track.kind == Kind::Video).unwrap();
        // Small, for the relay keeps some.
        let payload = &vp8(self.frame.is_multiple_of(100), self.frame)[..32];
        self.net.send(self.publisher, video, self.frame * 90, true, payload);
        self.frame += 1;
        let victim = self.victim;
        self.net.clients[victim].away = self.silent;
        self.net.step(|number, datagram| number != victim || passes(datagram));
        self.net.clients[victim].away = false;
        self.net.now += Duration::from_millis(1);
    }

    /// Lets the victim connect, if it can.
    fn connects(&mut self) -> bool {
        for _ in 0..12_000 {
            self.step(|_| true);
            let client = &self.net.clients[self.victim];
            if client.is_connected() {
                (0..100).for_each(|_| self.step(|_| true));
                return self.is_there();
            }
            if !self.is_there() {
                return false;
            }
        }
        false
    }

    fn is_there(&self) -> bool {
        self.net.handle().lookup(&self.net.clients[self.victim].session).is_some()
    }

    /// What the client sends next of its own, not yet delivered.
    fn genuine(&mut self) -> Option<Vec<u8>> {
        Some(self.net.clients[self.victim].peer.poll_transmit()?.1.to_vec())
    }

    /// The victim sends RTCP, and RTP if it is a publisher, and the forger sees it.
    fn listen(&mut self) {
        let now = self.net.now;
        let pli = || Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc: 2 });
        self.net.clients[self.victim].peer.send_rtcp(vec![pli()], now);
        while let Some(datagram) = self.genuine() {
            if datagram[0] >= 128 {
                self.seen.rtcp.clone_from(&datagram);
            }
            self.net.deliver(self.victim, datagram);
        }
        if self.publishes {
            let datagram = self.net.clients[self.victim].seal(0, 0, false, &[1; 100]);
            self.seen.rtp.clone_from(&datagram);
            self.net.deliver(self.victim, datagram);
        }
        self.step(|_| true);
    }

    /// 20,000 of a kind, from the victim's own address.
    fn flood(&mut self, forgery: &Forgery, mut passes: impl FnMut(&[u8]) -> bool) {
        let mut random = StdRng::seed_from_u64(forgery.name.len() as u64 * 31 + u64::from(forgery.name.as_bytes()[6]));
        for number in 1..=COUNT {
            let datagram = (forgery.forge)(&mut random, &self.seen);
            self.net.deliver(self.victim, datagram);
            if number % AT_ONCE == 0 {
                self.step(&mut passes);
            }
        }
    }

    fn drops(&self) -> u64 {
        self.net.metric_sum("sluice_drops_total")
    }

    /// Fails unless the viewer that is not attacked has every frame, and forgets them.
    fn assert_others_have_all(&mut self, from: u32, what: &str) {
        let client = &mut self.net.clients[self.viewer];
        let ssrc = client.tracks.iter().find(|track| track.kind == Kind::Video).unwrap().ssrc;
        let frames = client.received.drain(..).filter(|packet| Some(packet.ssrc) == ssrc);
        let number = |payload: Vec<u8>| u32::from_be_bytes(payload[NUMBER..NUMBER + 4].try_into().unwrap());
        let frames: Vec<u32> = frames.map(|packet| number(packet.payload)).collect();
        assert_eq!(frames, (from..self.frame).collect::<Vec<_>>(), "{what}");
    }

    fn forget(&mut self) {
        for client in &mut self.net.clients {
            client.received = Vec::new();
            client.rtcp = Vec::new();
        }
    }

    /// Fails unless the victim is live: the relay takes its packets, and it gets those of the relay.
    fn assert_unmoved(&mut self, what: &str) {
        assert!(self.is_there() && !self.net.clients[self.victim].closed, "{what}");
        let packets = self.net.metric_sum("sluice_rtp_packets_total{direction=\"in\"");
        self.net.clients[self.victim].received.clear();
        self.listen();
        let heard = self.net.metric_sum("sluice_rtp_packets_total{direction=\"in\"") - packets;
        match self.publishes {
            true => assert_eq!(heard, 2, "{what}: a frame of the other, a packet of its own"),
            false => assert!(!self.net.clients[self.victim].received.is_empty(), "{what}: nothing is sent to it"),
        }
    }
}

/// Everything, with the memory that is in use before and after each kind.
fn attack(scene: &mut Scene, forgery: &Forgery, passes: impl FnMut(&[u8]) -> bool) {
    let what = forgery.name;
    scene.forget();
    let (drops, from) = (scene.drops(), scene.frame);
    let region = Region::new(ALLOCATOR);
    scene.flood(forgery, passes);
    // Datagrams that only a spent budget refuses pass before: at most 200 records of a handshake.
    let counted = scene.drops() - drops;
    assert!(counted + 200 >= COUNT, "{what}: {counted} counted");
    scene.assert_others_have_all(from, what);
    scene.forget();
    let change = region.change();
    let kept = change.bytes_allocated as isize - change.bytes_deallocated as isize;
    assert!(kept < KEPT, "{what}: {kept} bytes are kept");
}

/// A session that is not connected yet: whatever the forger did, it connects, or it fails for a reason and alone.
fn assert_connects_or_fails_alone(scene: &mut Scene, forgery: &Forgery) {
    let (what, from) = (forgery.name, scene.frame);
    let ends = scene.net.metric_sum("sluice_session_ends_total");
    let connects = scene.connects();
    assert!(connects || forgery.harms, "{what}: the session fails");
    if !connects {
        assert!(!scene.is_there() && scene.net.metric_sum("sluice_session_ends_total") <= ends + 1, "{what}");
        let failed: u64 = ["flooded", "failed", "handshake_timeout"]
            .map(|reason| scene.net.metric_sum(&format!("sluice_session_ends_total{{reason=\"{reason}\"")))
            .iter()
            .sum();
        assert_eq!((failed, scene.net.metric_sum("sluice_session_ends_total")), (1, 1), "{what}");
    }
    scene.assert_others_have_all(from, what);
}

fn before_ice(role: Role) {
    for forgery in &FORGERIES {
        let mut scene = Scene::offered(role, SrtpProfile::Aes128Gcm);
        scene.silent = true;
        attack(&mut scene, forgery, |_| false);
        scene.silent = false;
        assert!(scene.connects(), "{}: the client can no longer connect", forgery.name);
    }
}

fn between_ice_and_dtls(role: Role) {
    for forgery in &FORGERIES {
        let mut scene = Scene::offered(role, SrtpProfile::Aes128Gcm);
        // Its check arrives; what the relay answers does not.
        scene.seen.check = scene.genuine().expect("a check");
        let check = scene.seen.check.clone();
        scene.net.deliver(scene.victim, check);
        scene.step(|_| false);
        attack(&mut scene, forgery, |_| false);
        assert_connects_or_fails_alone(&mut scene, forgery);
    }
}

fn during_the_handshake(role: Role) {
    for forgery in &FORGERIES {
        let mut scene = Scene::offered(role, SrtpProfile::Aes128Gcm);
        scene.seen.check = scene.genuine().expect("a check");
        let check = scene.seen.check.clone();
        scene.net.deliver(scene.victim, check);
        // The relay has its ClientHello, twice; of its own flights it gets only what is shorter than a certificate.
        let is_short = |datagram: &[u8]| datagram[0] < 20 || datagram.len() < 200;
        (0..60).for_each(|_| scene.step(is_short));
        attack(&mut scene, forgery, is_short);
        assert_connects_or_fails_alone(&mut scene, forgery);
    }
}

fn live(role: Role, profile: SrtpProfile) {
    let mut scene = Scene::offered(role, profile);
    scene.seen.check = scene.genuine().expect("a check");
    let check = scene.seen.check.clone();
    scene.net.deliver(scene.victim, check);
    assert!(scene.connects());
    // The relay's history is full and does not grow from here on.
    (0..2_500).for_each(|_| scene.step(|_| true));
    scene.listen();
    for forgery in &FORGERIES {
        attack(&mut scene, forgery, |_| true);
        scene.assert_unmoved(forgery.name);
    }
    assert_eq!(scene.net.metric_sum("sluice_session_ends_total"), 0);
}

/// One test, because the measured memory is that of the process.
#[test]
fn forged_datagrams_of_every_kind_in_every_phase() {
    let _alone = alone();
    for role in [Role::Viewer, Role::Publisher] {
        before_ice(role);
        between_ice_and_dtls(role);
        during_the_handshake(role);
        for profile in PROFILES {
            live(role, profile);
        }
    }
}
