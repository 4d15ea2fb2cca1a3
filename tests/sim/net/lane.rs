//! Impaired links in virtual time: which datagrams arrive, and when. Pure and seeded. `tests/browser/support/lane.js`
//! has the same model for real clients, except for the capacity.
//!
//! Only media is lost, doubled or overtaken; STUN, DTLS and RTCP are delayed with it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Random numbers of [0, 1) from a seed (mulberry32).
#[derive(Clone, Debug)]
pub(crate) struct Random(u32);

impl Random {
    pub(crate) fn new(seed: u32) -> Self {
        Self(seed)
    }

    pub(crate) fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x6d2b_79f5);
        let mut mixed = (self.0 ^ (self.0 >> 15)).wrapping_mul(self.0 | 1);
        mixed ^= mixed.wrapping_add((mixed ^ (mixed >> 7)).wrapping_mul(mixed | 61));
        f64::from(mixed ^ (mixed >> 14)) / 4_294_967_296.0
    }

    /// A number between two.
    pub(crate) fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.draw()
    }
}

/// What a lane does to what passes; shares are of 1.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Impairment {
    /// Share of packets lost, each by itself.
    pub(crate) loss: f64,
    /// Gilbert-Elliott: the share lost in runs of this mean length.
    pub(crate) burst: Option<(f64, f64)>,
    pub(crate) delay: Duration,
    /// Up to so much more delay, in order.
    pub(crate) jitter: Duration,
    /// Share of packets that are overtaken, by [`OVERTAKEN`].
    pub(crate) reorder: f64,
    /// Share of packets that come twice.
    pub(crate) duplicate: f64,
    /// Bits per second that pass, and the longest queue before media is dropped.
    pub(crate) capacity: Option<(f64, Duration)>,
}

/// How much later an overtaken packet is.
pub(crate) const OVERTAKEN: Duration = Duration::from_millis(15);

/// One direction of a link.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) impairment: Impairment,
    random: Random,
    in_burst: bool,
    latest: Option<Instant>,
    /// Until when what has been sent takes the capacity.
    busy: Option<Instant>,
    pub(crate) lost: usize,
}

impl Lane {
    pub(crate) fn new(impairment: Impairment, seed: u32) -> Self {
        Self { impairment, random: Random::new(seed), in_burst: false, latest: None, busy: None, lost: 0 }
    }

    /// When the copies of this datagram arrive.
    pub(crate) fn pass(&mut self, datagram: &[u8], now: Instant) -> Vec<Instant> {
        let Impairment { delay, jitter, reorder, duplicate, .. } = self.impairment;
        let media = is_rtp(datagram);
        // The same draws for each packet, whatever becomes of it.
        let [loss_draw, jitter_draw, reorder_draw, duplicate_draw] = std::array::from_fn(|_| self.random.draw());
        let sent = self.queue(datagram, media, now);
        let is_lost = media && self.loses(loss_draw);
        let Some(sent) = sent.filter(|_| !is_lost) else {
            self.lost += 1;
            return Vec::new();
        };
        let arrival = sent + delay + jitter.mul_f64(jitter_draw);
        let in_order = self.latest.map_or(arrival, |latest| latest.max(arrival));
        self.latest = Some(in_order);
        let arrival = if media && reorder_draw < reorder { in_order + OVERTAKEN } else { in_order };
        let copies = if media && duplicate_draw < duplicate { 2 } else { 1 };
        (0..copies).map(|copy| arrival + Duration::from_millis(copy)).collect()
    }

    /// When the last bit of this datagram has been sent; `None` if the queue has no room for it.
    fn queue(&mut self, datagram: &[u8], media: bool, now: Instant) -> Option<Instant> {
        let Some((bits, longest)) = self.impairment.capacity else { return Some(now) };
        let begins = self.busy.map_or(now, |busy| busy.max(now));
        if media && begins - now > longest {
            return None;
        }
        self.busy = Some(begins + Duration::from_secs_f64(datagram.len() as f64 * 8.0 / bits));
        self.busy
    }

    fn loses(&mut self, draw: f64) -> bool {
        let Some((share, length)) = self.impairment.burst else { return draw < self.impairment.loss };
        let leave = 1.0 / length;
        let enter = leave * share / (1.0 - share);
        self.in_burst = if self.in_burst { draw >= leave } else { draw < enter };
        self.in_burst
    }
}

/// True for media, by its first two octets (RFC 7983, RFC 5761).
pub(crate) fn is_rtp(datagram: &[u8]) -> bool {
    (128..=191).contains(&datagram[0]) && !(192..=223).contains(&datagram[1])
}

/// Which way a datagram goes on a client's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the relay.
    Up,
    /// To the client.
    Down,
}

/// The links of those clients that have one, and what is on its way.
#[derive(Debug, Default)]
pub(crate) struct Links {
    lanes: BTreeMap<usize, [Lane; 2]>,
    /// By arrival, then by the order of sending.
    on_the_way: BTreeMap<(Instant, u64), (usize, Way, Vec<u8>)>,
    sent: u64,
}

impl Links {
    /// Puts a client behind a link.
    pub(crate) fn impair(&mut self, client: usize, up: Impairment, down: Impairment, seed: u32) {
        self.lanes.insert(client, [Lane::new(up, seed), Lane::new(down, seed ^ 0x5555_5555)]);
    }

    pub(crate) fn lane(&mut self, client: usize, way: Way) -> &mut Lane {
        &mut self.lanes.get_mut(&client).expect("the client has a link")[way as usize]
    }

    /// Sends a datagram; gives it back where there is no link.
    pub(crate) fn send(&mut self, client: usize, way: Way, datagram: Vec<u8>, now: Instant) -> Option<Vec<u8>> {
        let Some(lanes) = self.lanes.get_mut(&client) else { return Some(datagram) };
        for arrival in lanes[way as usize].pass(&datagram, now) {
            self.on_the_way.insert((arrival, self.sent), (client, way, datagram.clone()));
            self.sent += 1;
        }
        None
    }

    /// The next datagram that has arrived.
    pub(crate) fn arrived(&mut self, now: Instant) -> Option<(usize, Way, Vec<u8>)> {
        let entry = self.on_the_way.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}
