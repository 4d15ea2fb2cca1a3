//! A viewer's end of the link: transport-wide feedback as libwebrtc writes it. A late packet moves the beginning of the
//! next feedback back, so that it repeats what was reported.

use std::collections::BTreeMap;

use super::transport_feedback::transport_feedback;
use super::{MILLISECOND, SECOND};

/// How long an arrival is remembered, to be repeated.
const REMEMBERED: i64 = 500 * MILLISECOND;

/// Its clock against the relay's: 40 ppm faster, and ahead by this (us).
const DRIFT: f64 = 1.0 + 40e-6;
const AHEAD: i64 = 77_777_777;

/// Packets of one feedback.
const MOST: u64 = 400;

pub(crate) struct Client {
    /// Arrivals on its clock by number.
    arrivals: BTreeMap<u64, i64>,
    /// Where the next feedback begins.
    window: Option<u64>,
    ahead: i64,
}

/// What it reports, to the relay and to the test.
pub(crate) struct Report {
    pub(crate) packet: Vec<u8>,
    pub(crate) missing: Vec<u64>,
    pub(crate) told: u64,
}

impl Client {
    /// `wraps`: when the reference times in its feedback overflow 24 bits.
    pub(crate) fn new(wraps: Option<i64>) -> Self {
        let ahead = wraps.map_or(AHEAD, |wraps| (1 << 24) * 64 * MILLISECOND - wraps);
        Self { arrivals: BTreeMap::new(), window: None, ahead }
    }

    pub(crate) fn on_packet(&mut self, number: u64, now: i64) {
        let clock = (now as f64 * DRIFT) as i64 + self.ahead;
        self.arrivals.entry(number).or_insert(clock);
        let window = self.window.map_or(number, |window| window.min(number));
        self.window = Some(window);
        let is_old = |first: u64, at: i64| at + REMEMBERED < clock && first < window;
        while self.arrivals.first_key_value().is_some_and(|(first, at)| is_old(*first, *at)) {
            self.arrivals.pop_first();
        }
    }

    pub(crate) fn report(&mut self) -> Option<Report> {
        let first = self.window?;
        let last = *self.arrivals.last_key_value()?.0;
        if last < first {
            return None;
        }
        let last = last.min(first + MOST);
        let statuses: Vec<Option<i64>> = (first..=last).map(|number| self.arrivals.get(&number).copied()).collect();
        self.window = Some(last + 1);
        let missing = (first..=last).filter(|number| !self.arrivals.contains_key(number)).collect();
        Some(Report { packet: transport_feedback(first as u16, &statuses), missing, told: last + 1 - first })
    }
}

/// Feedback comes every 50 to 250 ms.
pub(crate) const EVERY: [i64; 2] = [50 * MILLISECOND, SECOND / 10];
