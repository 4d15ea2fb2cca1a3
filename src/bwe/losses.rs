//! What was sent to a viewer in the last second, and how much of it the viewer says is lost: the only signal of clients
//! that answer neither by transport-wide feedback nor by REMB.

use super::bitrate::Bitrate;
use super::time::{MILLISECOND, SECOND};

/// Microseconds of one bin.
const BIN: i64 = 125 * MILLISECOND;
const BINS: i64 = SECOND / BIN;

/// With fewer packets in a second their loss says little.
const FEWEST: u32 = 30;

/// NACKs for the same packet again that count as loss: single ones are lost resends of a path that loses at random.
const REPEATS: u32 = 4;

#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    at: i64,
    octets: u32,
    packets: u32,
    nacked: u32,
    again: u32,
}

/// Packets that a NACK names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nacked {
    /// Those named for the first time.
    pub first: u32,
    /// Those named before.
    pub again: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Losses {
    bins: [Bin; BINS as usize],
    /// The share of the last report, from 0 to 1, and when it came.
    report: Option<(f64, i64)>,
}

impl Losses {
    pub(crate) fn on_sent(&mut self, octets: usize, now: i64) {
        let bin = self.bin(now);
        bin.octets = bin.octets.saturating_add(octets as u32);
        bin.packets += 1;
    }

    pub(crate) fn on_nack(&mut self, nacked: Nacked, now: i64) {
        let bin = self.bin(now);
        bin.nacked = bin.nacked.saturating_add(nacked.first);
        bin.again = bin.again.saturating_add(nacked.again);
    }

    /// `fraction_lost` of a report block (RFC 3550 6.4.1), in 1/256.
    pub(crate) fn on_report(&mut self, fraction_lost: u8, now: i64) {
        self.report = Some((f64::from(fraction_lost) / 256.0, now));
    }

    /// The rate sent in the last second.
    pub(crate) fn sent(&self, now: i64) -> Bitrate {
        let newest = now.div_euclid(BIN);
        let octets = |bin: &Bin| if newest - bin.at < BINS && bin.at <= newest { u64::from(bin.octets) } else { 0 };
        Bitrate::of(self.bins.iter().map(octets).sum::<u64>() as f64, SECOND)
    }

    /// The share that is lost, from 0 to 1; `None` while too little is sent to tell.
    pub(crate) fn share(&self, now: i64) -> Option<f64> {
        let sum = self.last_second(now);
        let nacked = f64::from(sum.nacked) / f64::from(sum.packets.max(1));
        let reported = self.report.filter(|(_, came)| now - came < 2 * SECOND).map_or(0.0, |(share, _)| share);
        (sum.packets >= FEWEST).then_some(nacked.max(reported).min(1.0))
    }

    /// Whether packets are asked for again and again.
    pub(crate) fn repeats(&self, now: i64) -> bool {
        let sum = self.last_second(now);
        sum.again >= REPEATS && sum.again * 25 > sum.packets
    }

    fn last_second(&self, now: i64) -> Bin {
        let newest = now.div_euclid(BIN);
        let recent = self.bins.iter().filter(|bin| bin.at > newest - BINS && bin.at <= newest);
        recent.fold(Bin::default(), |sum, bin| Bin {
            at: newest,
            octets: sum.octets.saturating_add(bin.octets),
            packets: sum.packets + bin.packets,
            nacked: sum.nacked.saturating_add(bin.nacked),
            again: sum.again.saturating_add(bin.again),
        })
    }

    fn bin(&mut self, now: i64) -> &mut Bin {
        let at = now.div_euclid(BIN);
        let bin = &mut self.bins[at.rem_euclid(BINS) as usize];
        if bin.at != at {
            *bin = Bin { at, ..Bin::default() };
        }
        bin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_second_counts() {
        let mut losses = Losses::default();
        for packet in 0..200 {
            losses.on_sent(1250, packet * 10 * MILLISECOND);
        }
        let now = 1995 * MILLISECOND;
        losses.on_nack(Nacked { first: 25, again: 0 }, now);
        let share = losses.share(now).expect("much is sent");
        assert!((0.24..0.27).contains(&share), "{share}");
        assert!((losses.sent(now).bits() - 1e6).abs() < 0.05e6, "{:?}", losses.sent(now));
        assert_eq!((losses.share(now + 2 * SECOND), losses.sent(now + 2 * SECOND)), (None, Bitrate::ZERO));
    }

    #[test]
    fn a_report_counts_for_two_seconds_and_the_larger_loss_is_taken() {
        let mut losses = Losses::default();
        losses.on_report(128, 0);
        (0..50).for_each(|_| losses.on_sent(1250, SECOND));
        losses.on_nack(Nacked { first: 5, again: 0 }, SECOND);
        assert_eq!(losses.share(SECOND), Some(0.5));
        (0..50).for_each(|_| losses.on_sent(1250, 2 * SECOND));
        assert_eq!(losses.share(2 * SECOND), Some(0.0), "neither the report nor the NACK");
    }

    #[test]
    fn single_repeated_requests_are_no_loss_and_many_are() {
        let mut losses = Losses::default();
        (0..50).for_each(|_| losses.on_sent(1000, 0));
        losses.on_nack(Nacked { first: 0, again: 3 }, 0);
        assert!(!losses.repeats(0));
        losses.on_nack(Nacked { first: 0, again: 1 }, 0);
        assert!(losses.repeats(0));
        assert!(!losses.repeats(SECOND));
    }
}
