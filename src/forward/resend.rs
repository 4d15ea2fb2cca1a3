//! How much of what a viewer asks for again it gets: NACKs are cheap to send and costly to answer, so that without caps
//! 1.4 KB of RTCP would draw 7 MB.
//!
//! Three rules: a packet is resent at most [`RESENDS_PER_PACKET`] times; not again within one round trip, in which the
//! resend before may still arrive; and resends together stay within half of what is forwarded, plus a burst.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Resends of one packet.
pub const RESENDS_PER_PACKET: u8 = 3;

/// Octets that a viewer can have resent at once after a quiet time; half a second of 4 Mbit/s.
pub const BURST_OCTETS: u64 = 256 * 1024;

/// What is forwarded pays for half as much in resends.
const EARNED_SHARE: u64 = 2;

/// The round trip assumed until the viewer's reports give one.
const UNKNOWN_RTT: Duration = Duration::from_millis(50);

/// Resent packets remembered. When full, the packet with the lowest number is forgotten, and neither it nor any before
/// it is resent again: the caps hold, and what is refused is the oldest.
const REMEMBERED: usize = 512;

/// One viewer's allowance on one track.
#[derive(Clone, Debug)]
pub(super) struct Resends {
    rtt: Duration,
    budget: u64,
    /// In the order of their numbers.
    resent: VecDeque<Resent>,
    /// Numbers below it are not resent.
    floor: u64,
}

#[derive(Clone, Copy, Debug)]
struct Resent {
    index: u64,
    times: u8,
    last: Instant,
}

impl Resends {
    pub(super) fn new() -> Self {
        Self { rtt: UNKNOWN_RTT, budget: BURST_OCTETS, resent: VecDeque::new(), floor: 0 }
    }

    pub(super) fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt;
    }

    /// A packet of this many octets was forwarded.
    pub(super) fn earn(&mut self, octets: usize) {
        self.budget = (self.budget + octets as u64 / EARNED_SHARE).min(BURST_OCTETS);
    }

    /// True when the packet with this number, as many octets long, may be resent now; it then counts as resent.
    pub(super) fn allow(&mut self, index: u64, octets: usize, now: Instant) -> bool {
        let Some(budget) = self.budget.checked_sub(octets as u64) else { return false };
        if index < self.floor {
            return false;
        }
        match self.resent.binary_search_by_key(&index, |resent| resent.index) {
            Ok(at) => {
                let resent = &mut self.resent[at];
                let again = resent.times < RESENDS_PER_PACKET && now.saturating_duration_since(resent.last) >= self.rtt;
                if !again {
                    return false;
                }
                *resent = Resent { index, times: resent.times + 1, last: now };
            }
            Err(at) => self.remember(at, Resent { index, times: 1, last: now }),
        }
        self.budget = budget;
        true
    }

    fn remember(&mut self, at: usize, resent: Resent) {
        self.resent.insert(at, resent);
        if self.resent.len() > REMEMBERED
            && let Some(oldest) = self.resent.pop_front()
        {
            self.floor = oldest.index + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(40);

    fn resends() -> Resends {
        let mut resends = Resends::new();
        resends.set_rtt(RTT);
        resends
    }

    #[test]
    fn a_packet_is_resent_three_times_and_not_within_a_round_trip() {
        let (mut resends, start) = (resends(), Instant::now());
        assert!(resends.allow(7, 1200, start));
        assert!(!resends.allow(7, 1200, start + RTT - Duration::from_millis(1)));
        assert!(resends.allow(7, 1200, start + RTT));
        assert!(resends.allow(7, 1200, start + 2 * RTT));
        assert!(!resends.allow(7, 1200, start + 20 * RTT));
        assert!(resends.allow(8, 1200, start));
    }

    #[test]
    fn the_budget_is_a_burst_and_half_of_what_is_forwarded() {
        let (mut resends, now) = (resends(), Instant::now());
        let burst = (0..).take_while(|&index| resends.allow(index, 1024, now)).count();
        assert_eq!(burst, 256);
        resends.earn(1024);
        assert!(!resends.allow(10_000, 1024, now));
        resends.earn(1024);
        assert!(resends.allow(10_000, 1024, now) && !resends.allow(10_001, 1024, now));
    }

    #[test]
    fn forgetting_never_loosens_a_cap() {
        let (mut resends, start) = (resends(), Instant::now());
        assert!((0..600).all(|index| resends.allow(index, 100, start)));
        let later = start + Duration::from_secs(1);
        assert!(!resends.allow(0, 100, later) && !resends.allow(87, 100, later));
        assert!(resends.allow(88, 100, later));
        assert_eq!(resends.resent.len(), REMEMBERED);
    }

    #[test]
    fn the_worst_nack_a_hundred_times_a_second_stays_within_the_budget() {
        let (mut resends, start) = (resends(), Instant::now());
        let (mut forwarded, mut resent) = (0, 0);
        for tick in 0..1_000u64 {
            let now = start + Duration::from_millis(10 * tick);
            for _ in 0..3 {
                resends.earn(1200);
                forwarded += 1200;
            }
            let highest = tick * 3 + 3;
            let asked = highest.saturating_sub(300)..highest;
            resent += asked.filter(|&index| resends.allow(index, 1200, now)).count() as u64 * 1200;
        }
        assert!(resent <= BURST_OCTETS + forwarded / 2, "{resent} of {forwarded}");
        assert!(resent > forwarded / 4);
    }
}
