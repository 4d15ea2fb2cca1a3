//! A bottleneck that several flows share: one rate that changes at given times and a queue that drops what it cannot
//! hold; then propagation, jitter, stalls of a radio link, random loss and packets that are overtaken.

use std::collections::VecDeque;

use super::{MILLISECOND, SECOND};
use crate::net::lane::Random;

/// Packets that the queue holds, whatever their size.
const QUEUE_PACKETS: usize = 100;

/// How much later an overtaken packet is.
const OVERTAKEN: i64 = 12 * MILLISECOND;

/// What a link does; times in microseconds, shares of 1.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// Bits per second from each time on.
    pub(crate) rates: Vec<(i64, f64)>,
    /// How long a packet may wait in the queue.
    pub(crate) queue: i64,
    pub(crate) propagation: i64,
    /// Up to that much more or less, in order.
    pub(crate) jitter: f64,
    pub(crate) loss: f64,
    /// Mean time between two stalls, and the longest.
    pub(crate) stalls: Option<(f64, f64)>,
    pub(crate) reorder: f64,
    /// The longest time from an arrival until the receiver reads it, with all else that has arrived by then.
    pub(crate) wakes_within: f64,
}

impl Profile {
    /// A link of these rates, with a round-trip time of 50 ms and a queue of 200 ms.
    pub(crate) fn new(rates: &[(i64, f64)]) -> Self {
        Self {
            rates: rates.to_vec(),
            queue: 200 * MILLISECOND,
            propagation: 25 * MILLISECOND,
            jitter: 5e3,
            loss: 0.0,
            stalls: None,
            reorder: 0.0,
            wakes_within: 0.0,
        }
    }

    pub(crate) fn rate(&self, now: i64) -> f64 {
        let (_, rate) = self.rates.iter().rev().find(|(from, _)| *from <= now).expect("it has a rate from the start");
        *rate
    }
}

/// A packet in the queue: whose it is, its number there, and its size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crossing {
    pub(crate) flow: usize,
    pub(crate) id: u64,
    pub(crate) octets: u32,
}

pub(crate) struct Bottleneck {
    profile: Profile,
    queue: VecDeque<Crossing>,
    octets: u64,
    latest: i64,
    stall: (i64, i64),
    /// When the receiver reads, and the packets that have arrived by then.
    reads: i64,
    random: Random,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Offered {
    Dropped,
    Queued,
    /// The link was idle; it is served until then.
    Served(i64),
}

impl Bottleneck {
    pub(crate) fn new(profile: Profile, seed: u32) -> Self {
        Self {
            profile,
            queue: VecDeque::new(),
            octets: 0,
            latest: 0,
            stall: (0, 0),
            reads: 0,
            random: Random::new(seed),
        }
    }

    /// How long a packet that comes now waits (us).
    pub(crate) fn delay(&self, now: i64) -> i64 {
        (self.octets as f64 * 8e6 / self.profile.rate(now)) as i64
    }

    pub(crate) fn offer(&mut self, packet: Crossing, now: i64) -> Offered {
        if self.queue.len() >= QUEUE_PACKETS || self.delay(now) > self.profile.queue {
            return Offered::Dropped;
        }
        self.queue.push_back(packet);
        self.octets += u64::from(packet.octets);
        if self.queue.len() > 1 { Offered::Queued } else { Offered::Served(now + self.service(packet, now)) }
    }

    fn service(&self, packet: Crossing, now: i64) -> i64 {
        (f64::from(packet.octets) * 8e6 / self.profile.rate(now)) as i64
    }

    /// The first packet has been served: when it arrives, unless it is lost, and until when the next one is served.
    pub(crate) fn served(&mut self, now: i64) -> (Crossing, Option<i64>, Option<i64>) {
        let packet = self.queue.pop_front().expect("one was served");
        self.octets -= u64::from(packet.octets);
        let next = self.queue.front().map(|next| now + self.service(*next, now));
        let [lost, jitter, overtaken] = std::array::from_fn(|_| self.random.draw());
        if lost < self.profile.loss {
            return (packet, None, next);
        }
        let mut arrival = now + self.profile.propagation + ((jitter * 2.0 - 1.0) * self.profile.jitter) as i64;
        if let Some((mean, longest)) = self.profile.stalls {
            while self.stall.1 < now {
                let begins = self.stall.1 + exponential(&mut self.random, mean);
                self.stall = (begins, begins + MILLISECOND + (self.random.draw() * longest) as i64);
            }
            if now >= self.stall.0 {
                arrival = arrival.max(self.stall.1 + self.profile.propagation + 150);
            }
        }
        if overtaken < self.profile.reorder {
            return (packet, Some(arrival + OVERTAKEN), next);
        }
        (packet, Some(self.read(arrival)), next)
    }

    /// When a packet that arrives then is read.
    fn read(&mut self, arrival: i64) -> i64 {
        if self.profile.wakes_within > 0.0 && arrival > self.reads {
            self.reads = arrival + (self.random.draw() * self.profile.wakes_within) as i64;
        }
        self.latest = arrival.max(self.reads).max(self.latest + 50);
        self.latest
    }
}

/// A time with this mean, as between independent events.
pub(crate) fn exponential(random: &mut Random, mean: f64) -> i64 {
    (-mean * (1.0 - random.draw()).ln()).min(1e4 * SECOND as f64) as i64
}
