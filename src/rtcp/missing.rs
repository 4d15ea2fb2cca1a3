//! The packets that are missing from one RTP stream, and when to request them (RFC 4585 6.2.1).
//!
//! A packet that is not repaired here is missing for every viewer. A packet that is requested again is named twice in
//! one request: most senders answer twice, and the loss of both answers is rare enough to give viewers an upper limit
//! for the duration of a repair ([`Missing::repair_time`]). Two requests would take longer: FFmpeg reads one datagram
//! for each frame that it sends.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use ::rtcp::transport_feedbacks::transport_layer_nack::NackPair;

/// How many packets, or how much time ([`REORDERING`]), the network may reorder by before a packet counts as missing.
const REORDERED_BEHIND: u64 = 2;
const REORDERING: Duration = Duration::from_millis(10);

/// How often, and for how long, a packet is requested; then it is given up.
const MAX_TRIES: u8 = 10;
const MAX_AGE: Duration = Duration::from_secs(1);

/// Packets before the first one that arrived may have been lost too, and a keyframe is useless without its first
/// packets: how many of them are requested speculatively, and how many times. A publisher that never sent them ignores
/// the requests.
const BEFORE_FIRST: u64 = 8;
const GUESSES: u8 = 3;

/// Packets requested at once; all fit one NACK, even if each needs an entry of its own. Above that a new keyframe is
/// needed anyway, and the oldest are given up.
const MAX_MISSING: usize = 250;

/// The bounds of the time between two requests for one packet, which is the measured time of an answer plus its
/// variation.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(100);
const LEAST_VARIATION: Duration = Duration::from_millis(2);
const ROUND_TRIPS: Range<Duration> = Duration::from_millis(20)..Duration::from_millis(250);

/// A longer gap is a jump of the sender's numbers, or an outage that cannot be repaired: nothing of it is requested.
const LONGEST_HOLE: u64 = 1024;

/// The missing packets of one SSRC, by index.
pub(crate) struct Missing {
    packets: VecDeque<Request>,
    /// The smoothed time from a request to the arrival; `None` before the first arrival.
    round_trip: Option<Duration>,
    /// Its smoothed variation.
    variation: Duration,
    /// Packets requested for the first time since the last call that takes the count.
    lost: u64,
    /// Packets that were given up.
    given_up: u64,
    /// Packets that arrived after a request.
    repaired: u64,
}

struct Request {
    index: u64,
    since: Instant,
    /// It is requested speculatively.
    is_guess: bool,
    tries: u8,
    /// The last request for it and the one before.
    asked: Instant,
    before: Instant,
    /// When to request it next.
    due: Instant,
}

impl Missing {
    pub(crate) fn new() -> Self {
        Self {
            packets: VecDeque::new(),
            round_trip: None,
            variation: LEAST_VARIATION,
            lost: 0,
            given_up: 0,
            repaired: 0,
        }
    }

    /// Takes the first packet, `index`.
    pub(crate) fn on_first(&mut self, index: u64, now: Instant) {
        let guess = |index| Request { index, since: now, is_guess: true, tries: 0, asked: now, before: now, due: now };
        self.packets.extend((index.saturating_sub(BEFORE_FIRST)..index).map(guess));
    }

    /// `index` arrived and is the highest; the packets between `before` and it are missing for now.
    pub(crate) fn on_highest(&mut self, before: u64, index: u64, now: Instant) {
        // Packets that could have been reordered may now be too far behind for that.
        let doubtful = |request: &&mut Request| request.index + REORDERED_BEHIND > before;
        for request in self.packets.iter_mut().rev().take_while(doubtful) {
            if request.tries == 0 && request.index + REORDERED_BEHIND <= index {
                request.due = request.due.min(now);
            }
        }
        if index - before > LONGEST_HOLE {
            self.given_up += index - before - 1;
            return;
        }
        let first = (before + 1).max(index.saturating_sub(MAX_MISSING as u64));
        self.given_up += first - (before + 1);
        for missing in first..index {
            if self.packets.len() == MAX_MISSING {
                self.packets.pop_front();
                self.given_up += 1;
            }
            let due = if missing + REORDERED_BEHIND <= index { now } else { now + REORDERING };
            self.packets.push_back(Request {
                index: missing,
                since: now,
                is_guess: false,
                tries: 0,
                asked: now,
                before: now,
                due,
            });
        }
    }

    /// A packet below the highest arrived; true if it was missing.
    pub(crate) fn on_late(&mut self, index: u64, now: Instant) -> bool {
        let Ok(position) = self.packets.binary_search_by_key(&index, |request| request.index) else {
            return false;
        };
        let request = self.packets.remove(position).expect("the search found it there");
        self.repaired += u64::from(request.tries > 0);
        let since = now.saturating_duration_since(request.asked);
        let sample = match request.tries {
            0 => None,
            1 => Some(since),
            // It arrived sooner than an answer can: it answers the request before, and answers take longer than
            // expected.
            _ if since < self.round_trip() / 2 => Some(now.saturating_duration_since(request.before)),
            // After several requests it is not known which one it answers.
            _ => None,
        };
        if let Some(sample) = sample {
            let round_trip = self.round_trip.unwrap_or(sample);
            self.variation = ((self.variation * 3 + round_trip.abs_diff(sample)) / 4).max(LEAST_VARIATION);
            self.round_trip = Some((round_trip * 7 + sample) / 8);
        }
        true
    }

    /// Stops requesting a packet, because a copy has replaced it.
    pub(crate) fn forget(&mut self, index: u64) {
        self.packets.retain(|request| request.index != index);
    }

    /// The packets to request now, as the entries of one NACK. Packets that were requested before are named twice if
    /// there is room. Empty if there is nothing to request.
    pub(crate) fn poll(&mut self, now: Instant) -> Vec<NackPair> {
        self.packets.retain(|request| {
            let most = if request.is_guess { GUESSES } else { MAX_TRIES };
            let hopeless = request.due <= now && request.tries == most;
            let kept = !hopeless && now.saturating_duration_since(request.since) < MAX_AGE;
            self.given_up += u64::from(!kept && !request.is_guess);
            kept
        });
        let (mut pairs, mut again): (Vec<NackPair>, Vec<NackPair>) = Default::default();
        let retry = self.retry();
        for request in self.packets.iter_mut().filter(|request| request.due <= now) {
            self.lost += u64::from(request.tries == 0 && !request.is_guess);
            request.tries += 1;
            request.before = std::mem::replace(&mut request.asked, now);
            request.due = now + retry;
            ask(&mut pairs, request.index as u16);
            if request.tries > 1 {
                ask(&mut again, request.index as u16);
            }
        }
        again.truncate(MAX_MISSING - pairs.len());
        pairs.append(&mut again);
        pairs
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.packets.iter().map(|request| request.due.min(request.since + MAX_AGE)).min()
    }

    pub(crate) fn repaired(&self) -> u64 {
        self.repaired
    }

    /// How many packets are missing.
    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(crate) fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Packets requested for the first time since the last call.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// The time from the first request to the arrival if a second request is needed.
    pub(crate) fn repair_time(&self) -> Duration {
        self.retry() + self.round_trip()
    }

    fn round_trip(&self) -> Duration {
        self.round_trip.unwrap_or(FIRST_ROUND_TRIP)
    }

    fn retry(&self) -> Duration {
        // Not again before an answer can have arrived.
        (self.round_trip() + 2 * self.variation).clamp(ROUND_TRIPS.start, ROUND_TRIPS.end)
    }
}

/// Adds a sequence number that is higher than those before it, with wrap-around.
fn ask(pairs: &mut Vec<NackPair>, sequence: u16) {
    if let Some(pair) = pairs.last_mut() {
        let behind = sequence.wrapping_sub(pair.packet_id);
        if (1..=16).contains(&behind) {
            pair.lost_packets |= 1 << (behind - 1);
            return;
        }
    }
    pairs.push(NackPair::new(sequence));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn asked(pairs: Vec<NackPair>) -> Vec<u16> {
        pairs.iter().flat_map(NackPair::packet_list).collect()
    }

    #[test]
    fn two_later_packets_or_ten_milliseconds_make_a_gap_a_loss() {
        let start = Instant::now();
        let mut missing = Missing::new();
        missing.on_highest(10, 12, start);
        assert_eq!(missing.poll_timeout(), Some(start + 10 * MS));
        assert!(missing.poll(start).is_empty());
        missing.on_highest(12, 13, start + MS);
        assert_eq!(asked(missing.poll(start + MS)), [11]);
        missing.on_highest(13, 15, start + 2 * MS);
        assert!(missing.poll(start + 11 * MS).is_empty());
        assert_eq!(asked(missing.poll(start + 12 * MS)), [14]);
    }

    #[test]
    fn packets_possibly_lost_before_the_first_get_speculative_nacks() {
        let start = Instant::now();
        let mut missing = Missing::new();
        missing.on_first(20, start);
        assert_eq!(asked(missing.poll(start)), (12..20).collect::<Vec<_>>());
        assert!(missing.on_late(19, start + 40 * MS));
        let mut tries = 1;
        while let Some(due) = missing.poll_timeout() {
            tries += usize::from(!missing.poll(due).is_empty());
        }
        assert_eq!((tries, missing.given_up(), missing.take_lost()), (3, 0, 0), "nothing is known to be lost");
        missing.on_first(2, start);
        assert_eq!(asked(missing.poll(start)), [0, 1]);
    }

    #[test]
    fn late_packets_are_not_requested() {
        let start = Instant::now();
        let mut missing = Missing::new();
        missing.on_highest(10, 12, start);
        assert!(missing.on_late(11, start + MS));
        assert!(!missing.on_late(11, start + MS), "once");
        assert_eq!((missing.repaired(), missing.len()), (0, 0));
        assert_eq!(missing.poll_timeout(), None);
    }

    #[test]
    fn requests_ten_times_within_a_second_and_gives_up() {
        let start = Instant::now();
        let mut missing = Missing::new();
        missing.on_highest(10, 15, start);
        let mut tries = 0;
        while let Some(due) = missing.poll_timeout() {
            assert!(due <= start + MAX_AGE);
            tries += usize::from(asked(missing.poll(due)).contains(&11));
        }
        assert!((8..=10).contains(&tries), "{tries}");
        assert_eq!(missing.given_up(), 4);
    }

    #[test]
    fn packets_of_an_unanswered_request_are_named_twice_in_the_next() {
        let start = Instant::now();
        let mut missing = Missing::new();
        missing.on_highest(10, 13, start);
        assert_eq!(asked(missing.poll(start + REORDERING)), [11, 12]);
        assert!(missing.on_late(12, start + 40 * MS));
        let again = missing.poll_timeout().unwrap();
        missing.on_highest(13, 17, again);
        assert_eq!(asked(missing.poll(again)), [11, 14, 15, 11]);

        // Each needs an entry of its own.
        let mut missing = Missing::new();
        for index in 1..=200 {
            missing.on_highest(20 * index, 20 * (index + 1), start);
            for there in 1..19 {
                missing.on_late(20 * index + there, start);
            }
        }
        assert_eq!(missing.poll(start + REORDERING).len(), 200);
        let again = missing.poll_timeout().unwrap();
        assert_eq!(missing.poll(again).len(), MAX_MISSING);
    }

    #[test]
    fn the_interval_follows_the_round_trip_time() {
        let start = Instant::now();
        let mut missing = Missing::new();
        for round in 0..60u32 {
            let (now, index) = (start + round * 100 * MS, 10 + u64::from(round) * 10);
            missing.on_highest(index, index + 4, now);
            missing.poll(now);
            for late in index + 1..index + 4 {
                missing.on_late(late, now + 30 * MS);
            }
            missing.on_highest(index + 4, index + 10, now + 40 * MS);
            for late in index + 5..index + 10 {
                missing.on_late(late, now + 41 * MS);
            }
        }
        assert_eq!((missing.retry(), missing.repair_time()), (34 * MS, 64 * MS));
    }

    #[test]
    fn a_long_outage_is_requested_within_bounds() {
        let start = Instant::now();
        let mut missing = Missing::new();
        missing.on_highest(10, 1_000, start);
        assert_eq!(asked(missing.poll(start + 10 * MS)).len(), MAX_MISSING);
        missing.on_highest(1_000, 1_201, start);
        assert_eq!(missing.packets.len(), MAX_MISSING);
        assert_eq!(missing.given_up(), 1_000 - 11 - 250 + 200);
    }

    #[test]
    fn a_jump_of_the_numbers_is_not_a_loss() {
        let start = Instant::now();
        let mut missing = Missing::new();
        missing.on_highest(10, 5_010, start);
        assert!(missing.poll(start + 10 * MS).is_empty());
        assert_eq!((missing.take_lost(), missing.given_up()), (0, 4_999));
    }

    proptest! {
        #[test]
        fn a_nack_names_exactly_what_is_missing(
            start in prop_oneof![Just(65_500u64), 0..1u64 << 40], arrived in prop::collection::vec(any::<bool>(), 1..200)
        ) {
            let now = Instant::now();
            let mut missing = Missing::new();
            let (mut highest, mut expected) = (start, Vec::new());
            for (index, arrived) in (start + 1..).zip(arrived.into_iter().chain([true])) {
                if arrived {
                    missing.on_highest(highest, index, now);
                    highest = index;
                } else {
                    expected.push(index as u16);
                }
            }
            let pairs = missing.poll(now + REORDERING);
            prop_assert!(pairs.len() <= expected.len());
            prop_assert_eq!(asked(pairs), expected);
        }
    }
}
