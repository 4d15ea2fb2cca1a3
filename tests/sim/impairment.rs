//! The core behind impaired links: every loss that can be repaired is repaired, and late, duplicate and reordered
//! packets do no harm. `SLUICE_SEEDS=10000` tries more links than the ordinary run, `SLUICE_SEED=77` one.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use sluice::forward::BURST_OCTETS;
use sluice::worker::Config;

use crate::broadcast::{Broadcast, MILLISECOND, PARTS, SECOND, broadcast_to};
use crate::net::Net;
use crate::net::lane::{Impairment, Random, Way};
use crate::receiver::{Answers, Receiver};

/// Viewers of one publisher, each behind its own link: so one handshake of a publisher serves many links.
const VIEWERS: usize = 8;

fn seeds(quick: u32) -> Range<u32> {
    let number = |name| std::env::var(name).ok().map(|value: String| value.parse::<u32>().expect("a number"));
    match number("SLUICE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SLUICE_SEEDS").map_or(quick, |seeds| seeds.div_ceil(VIEWERS as u32)),
    }
}

/// A publisher and viewers, connected over whole links.
struct Scene {
    net: Net,
    broadcast: Broadcast,
    answers: Answers,
    viewers: Vec<Receiver>,
    /// When the publisher heard of each keyframe request.
    requests: Vec<Instant>,
}

impl Scene {
    fn new(workers: usize) -> Self {
        let (mut net, broadcast, viewers) = broadcast_to(VIEWERS, workers, Config::default());
        let answers = Answers::new(&mut net, broadcast.publisher);
        let viewers = viewers.into_iter().map(Receiver::new).collect();
        Self { net, broadcast, answers, viewers, requests: Vec::new() }
    }

    fn run(&mut self, how_long: Duration) {
        let until = self.net.now + how_long;
        while self.net.now < until {
            self.broadcast.publish(&mut self.net);
            self.net.run(MILLISECOND);
            self.answers.poll(&mut self.net);
            self.viewers.iter_mut().for_each(|viewer| viewer.poll(&mut self.net));
            let heard = self.net.keyframe_requests(self.broadcast.publisher);
            self.requests.resize(heard, self.net.now);
        }
    }

    /// Impairs the publisher's link and each viewer's. Repair is only ever asked for within a connection.
    fn impair(&mut self, random: &mut Random, publisher: Impairment, viewer: impl Fn(&mut Random) -> Impairment) {
        let whole = |impairment: Impairment| Impairment { delay: impairment.delay, ..Impairment::default() };
        let seed = |random: &mut Random| random.between(0.0, 4e9) as u32;
        self.net.links.impair(self.broadcast.publisher, publisher, whole(publisher), seed(random));
        for receiver in &self.viewers {
            let down = viewer(random);
            self.net.links.impair(receiver.client, whole(down), down, seed(random));
        }
    }
}

/// A link that loses, delays, doubles and mixes up.
fn bad(random: &mut Random) -> Impairment {
    let share = random.between(0.0, 0.1);
    let burst = (random.draw() < 0.5).then(|| (share / 3.0, random.between(1.0, 4.0)));
    Impairment {
        loss: share,
        burst,
        delay: MILLISECOND * random.between(2.0, 60.0) as u32,
        jitter: MILLISECOND * random.between(0.0, 12.0) as u32,
        reorder: random.between(0.0, 0.02),
        duplicate: random.between(0.0, 0.02),
        capacity: None,
    }
}

#[test]
fn every_loss_that_can_be_repaired_is_repaired() {
    for seed in seeds(30) {
        let mut random = Random::new(seed);
        let mut scene = Scene::new(1 + seed as usize % 2);
        scene.run(200 * MILLISECOND);
        let publisher = bad(&mut random);
        scene.impair(&mut random, publisher, bad);
        scene.run(2 * SECOND);
        let published = scene.broadcast.frame * PARTS;
        // The loss of the last packets shows when the next frame arrives.
        let client = scene.broadcast.publisher;
        scene.net.links.lane(client, Way::Up).impairment.loss = 0.0;
        scene.net.links.lane(client, Way::Up).impairment.burst = None;
        scene.run(SECOND);

        let refused = scene.net.metric("sluice_resends_total{outcome=\"refused\"}");
        for viewer in &scene.viewers {
            let (first, (_, number)) = viewer.arrived.first_key_value().expect("frames came");
            assert_eq!(*number, 0, "seed {seed}");
            for expected in 0..published {
                let got = viewer.arrived.get(&(first + u64::from(expected)));
                let Some((at, number)) = got else {
                    // Three answers were lost too.
                    assert!(refused > 0, "seed {seed}: viewer {} misses {expected}", viewer.client);
                    continue;
                };
                if *number == 0 && expected > 0 && refused > 0 {
                    // Nor did anything help but the cached frames, from their keyframe on.
                    break;
                }
                assert_eq!(*number, expected, "seed {seed}: viewer {}", viewer.client);
                let late = at.saturating_duration_since(scene.broadcast.video_sent_at(*number));
                assert!(late < 1200 * MILLISECOND, "seed {seed}: {expected} came after {late:?}");
            }
            let [media, resends] = viewer.octets;
            assert!(resends <= BURST_OCTETS + media / 2, "seed {seed}: {resends} beside {media}");
        }
        // Their way to the publisher varies by the jitter.
        let too_soon = scene.requests.windows(2).any(|pair| pair[1] - pair[0] < SECOND - 20 * MILLISECOND);
        assert!(!too_soon, "seed {seed}: {:?}", scene.requests);
    }
}

#[test]
fn viewers_do_not_notice_loss_between_publisher_and_relay() {
    let (mut tried, mut noticed) = (0, Vec::new());
    for seed in seeds(20) {
        let mut random = Random::new(seed ^ 0x5555);
        let mut scene = Scene::new(1 + seed as usize % 2);
        scene.run(200 * MILLISECOND);
        let delay = MILLISECOND * random.between(2.0, 40.0) as u32;
        let loss = random.between(0.02, 0.06);
        let way = Impairment { loss, delay, ..Impairment::default() };
        scene.impair(&mut random, way, |_| Impairment::default());
        scene.run(6 * SECOND);
        for viewer in &scene.viewers {
            // Viewers notice the first losses: the relay learns from them how long repairs take.
            let settled = scene.broadcast.started() + 3 * SECOND;
            let mut frames = BTreeMap::new();
            for (at, number) in viewer.arrived.values() {
                let complete = frames.entry(number / PARTS).or_insert(*at);
                *complete = (*complete).max(*at);
            }
            let shown: Vec<Instant> = frames.into_values().collect();
            let gaps = shown
                .windows(2)
                .filter(|pair| pair[0] > settled)
                .map(|pair| pair[1].saturating_duration_since(pair[0]));
            let longest = gaps.max().expect("frames came");
            assert!(longest <= 400 * MILLISECOND, "seed {seed}: {longest:?} at {loss} and {delay:?}");
            let asked = viewer.asked.iter().filter(|at| **at > settled).count();
            tried += 1;
            if longest > 150 * MILLISECOND || asked > 0 {
                noticed.push((seed, longest, asked));
            }
        }
    }
    // A packet that is lost three times arrives later than viewers wait.
    assert!(noticed.len() <= VIEWERS + tried / 20, "{} of {tried}: {noticed:?}", noticed.len());
}

#[test]
fn a_stream_whose_first_packets_are_lost_is_complete_from_its_beginning() {
    let (mut lines, mut without) = (0, 0);
    for seed in seeds(20) {
        let mut random = Random::new(seed ^ 0x3333);
        let mut scene = Scene::new(1);
        let way = Impairment { loss: 0.3, delay: 20 * MILLISECOND, ..Impairment::default() };
        scene.impair(&mut random, way, |_| Impairment::default());
        scene.run(SECOND);
        for viewer in &scene.viewers {
            lines += 1;
            match viewer.arrived.first_key_value() {
                Some((_, (_, number))) => assert_eq!(*number, 0, "seed {seed}"),
                None => without += 1,
            }
        }
    }
    // Speculative NACKs are sent three times, and all the answers may be lost.
    assert!(without * 50 <= lines, "{without} of {lines} have no frame after a second");
}

#[test]
fn late_duplicate_and_reordered_packets_arrive_once_without_a_keyframe_request() {
    for seed in seeds(15) {
        let mut random = Random::new(seed ^ 0xaaaa);
        let mut scene = Scene::new(1);
        scene.run(200 * MILLISECOND);
        let before = scene.requests.len();
        let mixed = |random: &mut Random| Impairment {
            loss: 0.0,
            burst: None,
            reorder: random.between(0.0, 0.1),
            duplicate: random.between(0.0, 0.1),
            ..bad(random)
        };
        let publisher = mixed(&mut random);
        scene.impair(&mut random, publisher, mixed);
        scene.run(2 * SECOND);
        let published = scene.broadcast.frame * PARTS;
        scene.run(300 * MILLISECOND);
        for viewer in &scene.viewers {
            let numbers: Vec<u32> = viewer.arrived.values().map(|(_, number)| *number).collect();
            assert_eq!(numbers[..published as usize], (0..published).collect::<Vec<_>>(), "seed {seed}");
        }
        assert_eq!(scene.requests.len(), before, "seed {seed}");
        assert_eq!(scene.net.drops("too_old"), 0, "seed {seed}");
    }
}
