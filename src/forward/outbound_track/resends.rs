//! Limits the resends of one viewer: NACKs are cheap to send and costly to answer; without limits 1.4 KB of RTCP would
//! cause 7 MB of resends.
//!
//! Three rules: a packet is resent at most [`RESENDS_PER_PACKET`] times; not again within one round-trip time, because
//! the previous resend may still arrive; and all resends together stay within half of what is forwarded, plus a burst.
//!
//! A resend is sent twice, because it can be lost like the packet. A viewer that measures no round-trip time (Chromium
//! that only receives) asks again after 100 ms or more, which delays a frame; and at 10 % loss three single resends
//! still miss one packet in 10,000, which breaks a frame twice a minute. Copies count against the budget like any
//! resend. Where the loss is so high that the path must be congested, or where it is known to be, a resend is sent once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Resends of one packet.
const RESENDS_PER_PACKET: u8 = 3;

/// Octets that can be resent at once after a quiet time; half a second of 4 Mbit/s.
pub const BURST_OCTETS: u64 = 256 * 1024;

/// Each forwarded octet earns one half of an octet of resends.
const EARNED_SHARE: u64 = 2;

/// The round-trip time assumed until the viewer reports one.
const UNKNOWN_RTT: Duration = Duration::from_millis(50);

/// A packet that has not arrived from the publisher this long after the viewer first asked is lost.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// A path counts as congested when it loses more than one packet in five for some time.
const TOO_MANY: u64 = 5;
const FULL: u64 = 200;
const FULLEST: u64 = 1000;

/// Packets that are forwarded until a path that was known to be full may have room for copies, and the round-trip time
/// that is assumed until then: a resend waits in the queue behind what filled it.
const FULL_FOR: u64 = 200;
const FULL_RTT: Duration = Duration::from_millis(400);

/// Resent packets remembered. When full, the packet with the lowest number is forgotten, and neither it nor any packet
/// before it is resent again: the limits hold, and the oldest are refused.
const REMEMBERED: usize = 512;

/// The resends that one viewer may get on one track.
#[derive(Clone, Debug)]
pub(crate) struct Resends {
    rtt: Duration,
    budget: u64,
    /// Ordered by their numbers.
    resent: VecDeque<Resent>,
    /// Packets with lower numbers are not resent.
    floor: u64,
    /// Grows by [`TOO_MANY`] with each lost packet and shrinks by one with each forwarded packet; above [`FULL`] the
    /// path counts as congested.
    overload: u64,
    /// Packets that had been forwarded at the last look.
    forwarded: u64,
    /// The path is known to be full until this many have been.
    full_until: u64,
}

/// The answer to a request for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResendVerdict {
    /// Send this number of copies.
    Copies(u8),
    /// Send nothing now: too soon, or given up.
    Refused,
    /// Send nothing now: the budget is spent.
    OverBudget,
    /// Send nothing any more: the packet was resent as often as allowed. The viewer needs a keyframe.
    Spent,
}

#[derive(Clone, Copy, Debug)]
struct Resent {
    index: u64,
    times: u8,
    /// When it was resent; before the first resend, when it was first asked for.
    last: Instant,
}

impl Resends {
    pub(crate) fn new() -> Self {
        Self {
            rtt: UNKNOWN_RTT,
            budget: BURST_OCTETS,
            resent: VecDeque::new(),
            floor: 0,
            overload: 0,
            forwarded: 0,
            full_until: 0,
        }
    }

    pub(crate) fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt;
    }

    /// The path is full, after `forwarded` packets: what was lost there is resent once.
    pub(crate) fn on_full_path(&mut self, forwarded: u64) {
        self.full_until = forwarded + FULL_FOR;
    }

    /// A packet of this many octets was forwarded.
    pub(crate) fn earn(&mut self, octets: usize) {
        self.budget = (self.budget + octets as u64 / EARNED_SHARE).min(BURST_OCTETS);
    }

    /// Decides what to send to a viewer that asks for the packet with this number and size, after `forwarded` packets;
    /// what is allowed counts as resent.
    pub(crate) fn allow(&mut self, index: u64, octets: usize, forwarded: u64, now: Instant) -> ResendVerdict {
        let octets = octets as u64;
        let arrived = forwarded - std::mem::replace(&mut self.forwarded, forwarded);
        self.overload = self.overload.saturating_sub(arrived);
        let is_known_full = forwarded < self.full_until;
        let rtt = if is_known_full { self.rtt.max(FULL_RTT) } else { self.rtt };
        if index < self.floor {
            return ResendVerdict::Refused;
        }
        if self.budget < octets {
            return ResendVerdict::OverBudget;
        }
        let first_time = match self.resent.binary_search_by_key(&index, |resent| resent.index) {
            Ok(at) => {
                let resent = &mut self.resent[at];
                let waited = now.saturating_duration_since(resent.last);
                match resent.times {
                    0 => {}
                    _ if waited < rtt => return ResendVerdict::Refused,
                    RESENDS_PER_PACKET.. => return ResendVerdict::Spent,
                    _ => {}
                }
                let first_time = resent.times == 0;
                *resent = Resent { index, times: resent.times + 1, last: now };
                first_time
            }
            Err(at) => {
                self.remember(at, Resent { index, times: 1, last: now });
                true
            }
        };
        if first_time {
            self.overload = (self.overload + TOO_MANY).min(FULLEST);
        }
        self.budget -= octets;
        let is_full = is_known_full || self.overload > FULL;
        let Some(rest) = self.budget.checked_sub(octets).filter(|_| !is_full) else { return ResendVerdict::Copies(1) };
        self.budget = rest;
        ResendVerdict::Copies(2)
    }

    /// Refuses all resends below this number from now on.
    pub(crate) fn give_up(&mut self, below: u64) {
        self.floor = self.floor.max(below);
    }

    /// A viewer asks for a packet that is not in the history. True when it has waited so long that the packet counts as
    /// lost.
    pub(crate) fn is_lost(&mut self, index: u64, now: Instant) -> bool {
        if index < self.floor {
            return true;
        }
        match self.resent.binary_search_by_key(&index, |resent| resent.index) {
            Ok(at) => now.saturating_duration_since(self.resent[at].last) >= LONGEST_WAIT,
            Err(at) => {
                self.remember(at, Resent { index, times: 0, last: now });
                false
            }
        }
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
        assert_eq!(resends.allow(7, 1200, 0, start), ResendVerdict::Copies(2));
        assert_eq!(resends.allow(7, 1200, 0, start + RTT - Duration::from_millis(1)), ResendVerdict::Refused);
        assert_eq!(resends.allow(7, 1200, 0, start + RTT), ResendVerdict::Copies(2));
        assert_eq!(resends.allow(7, 1200, 0, start + 2 * RTT), ResendVerdict::Copies(2));
        assert_eq!(resends.allow(7, 1200, 0, start + 3 * RTT - Duration::from_millis(1)), ResendVerdict::Refused);
        assert_eq!(resends.allow(7, 1200, 0, start + 20 * RTT), ResendVerdict::Spent);
        assert_eq!(resends.allow(8, 1200, 0, start), ResendVerdict::Copies(2));
    }

    #[test]
    fn on_a_path_that_is_full_a_resend_is_one_copy_until_it_has_room() {
        let (mut resends, now) = (resends(), Instant::now());
        let (mut index, mut sent) = (0, 0);
        let mut one_in = |forwarded: u64, times: u32| {
            let verdicts = (0..times).map(|_| {
                (0..forwarded).for_each(|_| resends.earn(1200));
                (index, sent) = (index + 1, sent + forwarded);
                resends.allow(index, 1200, sent, now)
            });
            verdicts.last()
        };
        assert_eq!(one_in(7, 300), Some(ResendVerdict::Copies(2)), "random loss of a bad network");
        assert_eq!(one_in(3, 300), Some(ResendVerdict::Copies(1)));
        assert_eq!(one_in(7, 600), Some(ResendVerdict::Copies(2)));
    }

    #[test]
    fn on_a_path_that_is_known_to_be_full_a_resend_is_one_copy_for_some_time() {
        let (mut resends, now) = (resends(), Instant::now());
        resends.on_full_path(5000);
        assert_eq!(resends.allow(1, 1200, 5100, now), ResendVerdict::Copies(1));
        assert_eq!(resends.allow(1, 1200, 5100, now + FULL_RTT / 2), ResendVerdict::Refused, "it waits in the queue");
        assert_eq!(resends.allow(2, 1200, 5200, now), ResendVerdict::Copies(2));
    }

    #[test]
    fn the_budget_is_a_burst_and_half_of_what_is_forwarded_copies_too() {
        let (mut resends, now) = (resends(), Instant::now());
        let verdicts = (0..)
            .map(|index| resends.allow(index, 1024, 0, now))
            .take_while(|verdict| *verdict != ResendVerdict::OverBudget);
        let copies = verdicts.map(|verdict| if verdict == ResendVerdict::Copies(2) { 2 } else { 1 });
        assert_eq!(copies.sum::<u32>(), 256);
        resends.earn(1024);
        assert_eq!(resends.allow(10_000, 1024, 0, now), ResendVerdict::OverBudget);
        resends.earn(1024);
        assert_eq!(resends.allow(10_000, 1024, 0, now), ResendVerdict::Copies(1));
        assert_eq!(resends.allow(10_001, 1024, 0, now), ResendVerdict::OverBudget);
    }

    #[test]
    fn forgetting_never_loosens_a_cap() {
        let (mut resends, start) = (resends(), Instant::now());
        assert!((0..600).all(|index| resends.allow(index, 100, 0, start) != ResendVerdict::Refused));
        let later = start + Duration::from_secs(1);
        assert_eq!([0, 87].map(|index| resends.allow(index, 100, 0, later)), [ResendVerdict::Refused; 2]);
        assert!(matches!(resends.allow(88, 100, 0, later), ResendVerdict::Copies(_)));
        assert_eq!(resends.resent.len(), REMEMBERED);
    }

    #[test]
    fn a_packet_that_is_not_here_is_waited_for_and_then_given_up() {
        let (mut resends, start) = (resends(), Instant::now());
        assert!(!resends.is_lost(7, start));
        assert!(!resends.is_lost(7, start + LONGEST_WAIT - Duration::from_millis(1)));
        assert!(resends.is_lost(7, start + LONGEST_WAIT));
        assert!(!resends.is_lost(8, start));
        assert_eq!(resends.allow(8, 1200, 0, start), ResendVerdict::Copies(2), "it has come, and is asked for again");
        assert_eq!(resends.allow(8, 1200, 0, start), ResendVerdict::Refused);
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
            for index in highest.saturating_sub(300)..highest {
                if let ResendVerdict::Copies(copies) = resends.allow(index, 1200, 0, now) {
                    resent += u64::from(copies) * 1200;
                }
            }
        }
        assert!(resent <= BURST_OCTETS + forwarded / 2, "{resent} of {forwarded}");
        assert!(resent > forwarded / 4);
    }
}
