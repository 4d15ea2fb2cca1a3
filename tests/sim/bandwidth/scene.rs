//! Viewers, other traffic and the bottleneck that they share, in virtual time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Instant;

use sluice::bwe::{Bitrate, Feedback, Sent};

use super::bottleneck::{Bottleneck, Crossing, Offered, Profile, exponential};
use super::client::{Client, EVERY, Report};
use super::relay::{AUDIO, AUDIO_FRAME, LAYERS, PACKET, Relay, Seen, Stream};
use super::{MILLISECOND, SECOND};
use crate::net::lane::Random;

/// Traffic that is not the relay's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cross {
    Nothing,
    /// Bits per second from a time on.
    Constant(i64, f64),
    /// A long TCP flow (Reno) from a time on, with a round-trip time of 50 ms.
    Reno(i64),
}

#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Its first change happens up to 3 s later at random.
    pub(crate) profile: Profile,
    /// When each viewer joins, up to 3 s later at random.
    pub(crate) joins: Vec<i64>,
    pub(crate) cross: Cross,
    pub(crate) length: i64,
    pub(crate) stream: Stream,
    /// Bits per second.
    pub(crate) start: f64,
    /// When the receivers' reference times wrap.
    pub(crate) wraps: Option<i64>,
}

impl Setup {
    /// One viewer of three layers at a link of these rates.
    pub(crate) fn new(rates: &[(i64, f64)], length: i64) -> Self {
        Self {
            profile: Profile::new(rates),
            joins: vec![0],
            cross: Cross::Nothing,
            length,
            stream: Stream { keyframe_wait: 100 * MILLISECOND, layers: &LAYERS, temporal: false, frame: SECOND / 30 },
            start: 1e6,
            wraps: None,
        }
    }

    /// What each viewer saw.
    pub(crate) fn run(&self, seed: u32) -> Vec<Seen> {
        Scene::new(self, seed).run()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Join(usize),
    Frame(usize),
    Audio(usize),
    Timer(usize),
    Served,
    Arrival(usize, u64, u32),
    Report(usize),
    Heard(usize, u64),
    Cross,
    Acknowledged,
    Halve,
}

/// The flow of the other traffic.
const CROSS: usize = usize::MAX;

/// The number of a packet of audio, of which there is no feedback.
const UNNUMBERED: u64 = u64::MAX;

/// A TCP flow: its window and the threshold of slow start in packets, what is on its way, until when a loss is the
/// same.
struct Reno {
    window: f64,
    threshold: f64,
    flying: f64,
    halved: i64,
}

struct Scene<'a> {
    setup: &'a Setup,
    epoch: Instant,
    now: i64,
    events: BinaryHeap<Reverse<(i64, u64, Event)>>,
    order: u64,
    /// When the link changes for the first time, and how much later than the setup says.
    change: (i64, i64),
    link: Bottleneck,
    relays: Vec<Option<Relay>>,
    clients: Vec<Client>,
    timers: Vec<i64>,
    reports: HashMap<u64, Report>,
    feedback_every: i64,
    reno: Reno,
    random: Random,
}

impl<'a> Scene<'a> {
    fn new(setup: &'a Setup, seed: u32) -> Self {
        let viewers = setup.joins.len();
        // Probes have a period: a change of the link meets any part of it.
        let mut random = Random::new(seed.wrapping_mul(0x85eb_ca6b).wrapping_add(1));
        let (mut profile, later) = (setup.profile.clone(), (random.draw() * 3.0 * SECOND as f64) as i64);
        let change = profile.rates.get(1).map_or(0, |(at, _)| *at);
        if let Some((at, _)) = profile.rates.get_mut(1) {
            *at += later;
        }
        let mut scene = Self {
            setup,
            epoch: Instant::now(),
            now: 0,
            events: BinaryHeap::new(),
            order: 0,
            change: (change, if change > 0 { later } else { 0 }),
            link: Bottleneck::new(profile, seed.wrapping_mul(0x9e37_79b9)),
            relays: (0..viewers).map(|_| None).collect(),
            clients: (0..viewers).map(|_| Client::new(setup.wraps)).collect(),
            timers: vec![i64::MAX; viewers],
            reports: HashMap::new(),
            feedback_every: EVERY[seed as usize % 2],
            reno: Reno { window: 10.0, threshold: 1e9, flying: 0.0, halved: 0 },
            random,
        };
        for (viewer, join) in setup.joins.iter().enumerate() {
            let later = (scene.random.draw() * 3.0 * SECOND as f64) as i64;
            scene.at(*join + later, Event::Join(viewer));
        }
        if let Cross::Constant(from, _) | Cross::Reno(from) = setup.cross {
            scene.at(from, Event::Cross);
        }
        scene
    }

    fn run(mut self) -> Vec<Seen> {
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            if at > self.setup.length {
                break;
            }
            self.now = at;
            self.happen(event);
        }
        self.relays.into_iter().map(|relay| relay.expect("all have joined").seen).collect()
    }

    fn at(&mut self, at: i64, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    fn after(&mut self, most: i64, event: Event) {
        let at = self.now + (self.random.draw() * most as f64) as i64;
        self.at(at, event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Join(viewer) => {
                let seed = (self.random.draw() * 4e9) as u32;
                let start = Bitrate::from_bits(self.setup.start);
                let mut relay = Relay::new(self.setup.stream, start, seed, self.epoch, self.now);
                relay.seen.change = self.change;
                self.relays[viewer] = Some(relay);
                self.after(self.setup.stream.frame, Event::Frame(viewer));
                self.after(AUDIO_FRAME, Event::Audio(viewer));
                self.after(self.feedback_every, Event::Report(viewer));
                self.rearm(viewer);
            }
            Event::Frame(viewer) => {
                self.at(self.now + self.setup.stream.frame, event);
                let now = self.now;
                self.relay(viewer).on_frame(now);
                self.serve(viewer);
            }
            Event::Audio(viewer) => {
                self.at(self.now + AUDIO_FRAME, event);
                self.send(viewer, Sent::Audio, (AUDIO / 400.0) as u32);
            }
            Event::Timer(viewer) if self.timers[viewer] == self.now => {
                self.timers[viewer] = i64::MAX;
                self.on_timer(viewer);
            }
            Event::Timer(_) => {}
            Event::Served => self.on_served(),
            Event::Arrival(viewer, number, octets) => {
                let second = (self.now / SECOND) as usize;
                let received = &mut self.relay(viewer).seen.received;
                received.resize(received.len().max(second + 1), 0);
                received[second] += u64::from(octets);
                if number != UNNUMBERED {
                    self.clients[viewer].on_packet(number, self.now);
                }
            }
            Event::Report(viewer) => self.report(viewer),
            Event::Heard(viewer, report) => self.on_report(viewer, report),
            Event::Cross | Event::Acknowledged | Event::Halve => self.cross(event),
        }
    }

    fn relay(&mut self, viewer: usize) -> &mut Relay {
        self.relays[viewer].as_mut().expect("it has joined")
    }

    /// Sends what the pacer lets pass, and sees to the viewer's timer.
    fn serve(&mut self, viewer: usize) {
        let now = self.now;
        let mut run = 0;
        while let Some((sent, octets)) = self.relay(viewer).pull(now) {
            self.send(viewer, sent, octets);
            run += 1;
        }
        if run > 0 {
            let runs = &mut self.relay(viewer).seen.runs;
            *runs = (runs.0 + run, runs.1 + 1);
        }
        self.rearm(viewer);
    }

    fn rearm(&mut self, viewer: usize) {
        let (epoch, now) = (self.epoch, self.now);
        let Some(due) = self.relay(viewer).viewer.poll_timeout() else { return };
        let due = (due.saturating_duration_since(epoch).as_micros() as i64).max(now + 1);
        if due < self.timers[viewer] || self.timers[viewer] <= now {
            self.timers[viewer] = due;
            self.at(due, Event::Timer(viewer));
        }
    }

    fn on_timer(&mut self, viewer: usize) {
        let now = self.now;
        let relay = self.relay(viewer);
        let instant = relay.instant(now);
        relay.viewer.handle_timeout(instant);
        relay.follow(now);
        if let Some(padding) = relay.viewer.poll_padding() {
            for _ in 0..padding.octets / padding.packet {
                self.send(viewer, Sent::Padding, padding.packet as u32);
            }
        }
        self.serve(viewer);
    }

    fn send(&mut self, viewer: usize, sent: Sent, octets: u32) {
        let (now, delay) = (self.now, self.link.delay(self.now));
        let number = self.relay(viewer).on_sent(sent, octets, now).unwrap_or(UNNUMBERED);
        let offered = self.link.offer(Crossing { flow: viewer, id: number, octets }, now);
        let seen = &mut self.relay(viewer).seen;
        match offered {
            Offered::Dropped => seen.drops.push(now),
            Offered::Queued => seen.delays.push((now, delay)),
            Offered::Served(until) => {
                seen.delays.push((now, 0));
                self.at(until, Event::Served);
            }
        }
    }

    fn on_served(&mut self) {
        let (packet, arrival, next) = self.link.served(self.now);
        if let Some(next) = next {
            self.at(next, Event::Served);
        }
        if packet.flow == CROSS {
            if let Cross::Reno(_) = self.setup.cross {
                self.at(self.now + 50 * MILLISECOND, Event::Acknowledged);
            }
        } else if let Some(arrival) = arrival {
            self.at(arrival, Event::Arrival(packet.flow, packet.id, packet.octets));
        }
    }

    fn report(&mut self, viewer: usize) {
        self.at(self.now + self.feedback_every, Event::Report(viewer));
        let is_lost = self.random.draw() < self.setup.profile.loss;
        if let Some(report) = self.clients[viewer].report()
            && !is_lost
        {
            self.order += 1;
            let name = self.order;
            self.reports.insert(name, report);
            let jitter = (self.random.draw() * self.setup.profile.jitter) as i64;
            self.at(self.now + self.setup.profile.propagation + jitter, Event::Heard(viewer, name));
        }
    }

    fn on_report(&mut self, viewer: usize, name: u64) {
        let now = self.now;
        let report = self.reports.remove(&name).expect("it was kept");
        let relay = self.relay(viewer);
        let instant = relay.instant(now);
        let feedback = Feedback::parse(&report.packet).expect("it is well formed");
        relay.viewer.on_transport_feedback(&feedback, instant);
        relay.follow(now);
        relay.on_missing(&report.missing, report.told);
        self.serve(viewer);
    }

    fn cross(&mut self, event: Event) {
        match (event, self.setup.cross) {
            (Event::Cross, Cross::Constant(_, rate)) => {
                self.offer_cross();
                let wait = exponential(&mut self.random, PACKET * 8e6 / rate);
                self.at(self.now + wait, Event::Cross);
                return;
            }
            (Event::Acknowledged, _) => {
                self.reno.flying = (self.reno.flying - 1.0).max(0.0);
                let slow_start = self.reno.window < self.reno.threshold;
                self.reno.window += if slow_start { 1.0 } else { 1.0 / self.reno.window };
            }
            (Event::Halve, _) => {
                self.reno.flying = (self.reno.flying - 1.0).max(0.0);
                if self.now > self.reno.halved {
                    self.reno.window = (self.reno.window / 2.0).max(2.0);
                    self.reno.threshold = self.reno.window;
                    self.reno.halved = self.now + self.round_trip();
                }
                if self.reno.flying > 0.0 {
                    return;
                }
            }
            _ => {}
        }
        while self.reno.flying < self.reno.window {
            self.reno.flying += 1.0;
            self.offer_cross();
        }
    }

    fn offer_cross(&mut self) {
        let round_trip = self.round_trip();
        match self.link.offer(Crossing { flow: CROSS, id: 0, octets: PACKET as u32 }, self.now) {
            Offered::Dropped if matches!(self.setup.cross, Cross::Reno(_)) => {
                self.at(self.now + round_trip, Event::Halve)
            }
            Offered::Dropped | Offered::Queued => {}
            Offered::Served(until) => self.at(until, Event::Served),
        }
    }

    fn round_trip(&self) -> i64 {
        60 * MILLISECOND + self.link.delay(self.now)
    }
}
