//! What arrived lately, in bins of 25 ms of the receiver's clock: octets, packets, losses and the least delay.
//!
//! The least delay of several bins is the queue that stands: a stall of a radio link, or a viewer's process that reads
//! late, delays some packets of a window, a queue delays all of them.

use std::ops::Range;

use super::bitrate::Bitrate;
use super::time::MILLISECOND;

/// Microseconds of one bin.
pub(crate) const BIN: i64 = 25 * MILLISECOND;

/// Bins kept: 1.6 s.
const BINS: usize = 64;

/// Bins of the window whose least delay is the standing queue. It is longer where less than this many bins have
/// arrivals: frames that come one by one may each be read late, while a queue of their own keeps them coming.
pub(crate) const WINDOW: i64 = 4;
const BUSY: usize = 4;
const LONGEST_WINDOW: i64 = 12;

/// More empty bins are a silence: frames come more often.
const SILENCE: i64 = 2;

/// A bin has the place of its time, in units of [`BIN`], modulo [`BINS`]. One array for each value of a bin, because
/// each feedback adds up the values of many bins.
#[derive(Debug)]
pub(crate) struct Arrivals {
    octets: [u32; BINS],
    arrived: [u16; BINS],
    lost: [u16; BINS],
    /// Least delay that is not explained (us), where something arrived.
    delay: [i64; BINS],
    newest: Option<i64>,
}

/// How much of a window was lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Loss {
    /// From 0 to 1.
    pub(crate) share: f64,
    /// Packets that feedback reported, as arrived or as lost.
    pub(crate) packets: u32,
}

impl Loss {
    /// Whether it is above `before` by `margin`, and beyond what so few packets lose by chance: four standard
    /// deviations.
    pub(crate) fn exceeds(self, before: f64, margin: f64) -> bool {
        let chance = 4.0 * (before / f64::from(self.packets.max(1))).sqrt();
        self.share > before + margin.max(chance)
    }
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self { octets: [0; BINS], arrived: [0; BINS], lost: [0; BINS], delay: [0; BINS], newest: None }
    }

    /// A packet arrived at `arrival` on the receiver's clock, `delay` microseconds later than is explained.
    pub(crate) fn push(&mut self, arrival: i64, delay: i64, octets: u16) {
        let at = arrival.div_euclid(BIN);
        match self.newest {
            Some(newest) if at + BINS as i64 <= newest => return,
            Some(newest) if at <= newest => {}
            _ => self.begin(at),
        }
        let bin = place(at);
        self.delay[bin] = if self.arrived[bin] == 0 { delay } else { self.delay[bin].min(delay) };
        self.octets[bin] += u32::from(octets);
        self.arrived[bin] = self.arrived[bin].saturating_add(1);
    }

    /// The bin `at` is the newest from now on; those since the last newest one are empty.
    fn begin(&mut self, at: i64) {
        let oldest = at - BINS as i64 + 1;
        let first = self.newest.map_or(oldest, |newest| oldest.max(newest + 1));
        for bin in (first..=at).map(place) {
            (self.octets[bin], self.arrived[bin], self.lost[bin]) = (0, 0, 0);
        }
        self.newest = Some(at);
    }

    /// A packet is missing. Nobody knows when it would have arrived; it counts in the newest bin.
    pub(crate) fn push_lost(&mut self) {
        let Some(newest) = self.newest else { return };
        let lost = &mut self.lost[place(newest)];
        *lost = lost.saturating_add(1);
    }

    /// A packet that was counted as lost has arrived.
    pub(crate) fn take_loss_back(&mut self) {
        let Some(newest) = self.newest else { return };
        let last = (0..BINS as i64).map(|back| place(newest - back)).find(|bin| self.lost[*bin] > 0);
        if let Some(bin) = last {
            self.lost[bin] -= 1;
        }
    }

    /// The standing queue (us) in the newest window, or in the one that is `back` windows before it: the least
    /// unexplained delay there. `None` where nothing arrived.
    pub(crate) fn standing(&self, back: usize) -> Option<i64> {
        let mut from = 0;
        for _ in 0..back {
            from += self.window(from).0;
        }
        self.window(from).1
    }

    /// The window that ends `back` bins before the newest: its bins, and the least unexplained delay in it.
    fn window(&self, back: i64) -> (i64, Option<i64>) {
        let Some(newest) = self.newest else { return (LONGEST_WINDOW, None) };
        let (mut busy, mut least) = (0, None);
        for bins in 0..LONGEST_WINDOW {
            if bins >= WINDOW && busy >= BUSY {
                return (bins, least);
            }
            let bin = place(newest - back - bins);
            if self.arrived[bin] > 0 {
                busy += 1;
                least = Some(least.map_or(self.delay[bin], |least: i64| least.min(self.delay[bin])));
            }
        }
        (LONGEST_WINDOW, least)
    }

    /// The rate received in the `bins` bins before the newest one, which is not complete. A silence at their beginning
    /// is left out: nothing was sent then.
    pub(crate) fn received(&self, bins: i64) -> Bitrate {
        let span = self.span(1, bins);
        let is_empty = |bin: &usize| self.arrived[*bin] == 0 && self.lost[*bin] == 0;
        let silent = span.clone().into_iter().flatten().take_while(is_empty).count() as i64;
        Bitrate::of(self.sum(span), if silent > SILENCE { bins - silent } else { bins } * BIN)
    }

    /// Whether something arrived in this many bins of the window at least.
    pub(crate) fn is_busy(&self, bins: i64, least: usize) -> bool {
        self.span(0, bins).into_iter().flatten().filter(|bin| self.arrived[*bin] > 0).take(least).count() == least
    }

    /// The largest rate of any `bins` consecutive bins.
    pub(crate) fn busiest(&self, bins: i64) -> Bitrate {
        let rate = |back| Bitrate::of(self.sum(self.span(back, bins)), bins * BIN);
        (0..=BINS as i64 - bins).map(rate).fold(Bitrate::ZERO, Bitrate::max)
    }

    /// Losses of the newest `bins` bins.
    pub(crate) fn loss(&self, bins: i64) -> Loss {
        let count = |counts: &[u16; BINS]| -> u32 {
            self.span(0, bins).into_iter().flat_map(|bins| &counts[bins]).map(|count| u32::from(*count)).sum()
        };
        let (lost, arrived) = (count(&self.lost), count(&self.arrived));
        let packets = lost + arrived;
        Loss { share: f64::from(lost) / f64::from(packets.max(1)), packets }
    }

    /// The octets of these bins.
    fn sum(&self, bins: [Range<usize>; 2]) -> f64 {
        let octets = bins.into_iter().flat_map(|bins| &self.octets[bins]);
        octets.map(|octets| u64::from(*octets)).sum::<u64>() as f64
    }

    /// The places of the `bins` bins that end `back` bins before the newest, the oldest first, as far as they are kept.
    fn span(&self, back: i64, bins: i64) -> [Range<usize>; 2] {
        let bins = bins.min(BINS as i64 - back);
        let Some(newest) = self.newest.filter(|_| bins > 0) else { return [0..0, 0..0] };
        let (end, bins) = (place(newest - back) + 1, bins as usize);
        match end.checked_sub(bins) {
            Some(begin) => [begin..end, 0..0],
            None => [BINS + end - bins..BINS, 0..end],
        }
    }
}

/// Where the bin of this time is.
fn place(at: i64) -> usize {
    at.rem_euclid(BINS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_of_some_packets_is_no_standing_queue_and_a_queue_of_all_is() {
        let mut arrivals = Arrivals::new();
        assert_eq!(arrivals.standing(0), None);
        for (bin, delay) in [2, 60, 50, 40].into_iter().enumerate() {
            arrivals.push(bin as i64 * BIN, delay * MILLISECOND, 1000);
        }
        assert_eq!(arrivals.standing(0), Some(2 * MILLISECOND));
        arrivals.push(4 * BIN, 45 * MILLISECOND, 1000);
        assert_eq!(arrivals.standing(0), Some(40 * MILLISECOND));
        assert_eq!(arrivals.standing(1), Some(2 * MILLISECOND));
    }

    #[test]
    fn frames_that_are_far_apart_have_a_longer_window() {
        let mut arrivals = Arrivals::new();
        for (bin, delay) in [(0, 3), (3, 50), (6, 60), (9, 70)] {
            arrivals.push(bin * BIN, delay * MILLISECOND, 1000);
        }
        assert_eq!(arrivals.standing(0), Some(3 * MILLISECOND), "four bins with arrivals within ten");
        assert_eq!(arrivals.standing(1), None);
        arrivals.push(12 * BIN, 80 * MILLISECOND, 1000);
        assert_eq!((arrivals.standing(0), arrivals.standing(1)), (Some(50 * MILLISECOND), Some(3 * MILLISECOND)));
        arrivals.push(24 * BIN, 90 * MILLISECOND, 1000);
        assert_eq!(arrivals.standing(0), Some(90 * MILLISECOND), "but not longer than 300 ms");
    }

    #[test]
    fn the_rate_is_that_of_whole_bins_and_bins_without_arrivals_count_as_empty() {
        let mut arrivals = Arrivals::new();
        for bin in [0, 1, 3, 4] {
            arrivals.push(bin * BIN, 0, 3125);
        }
        assert_eq!(arrivals.received(4), Bitrate::from_bits(750e3), "three of the four before the newest");
        assert_eq!(arrivals.busiest(2), Bitrate::from_bits(1e6));
        assert_eq!(arrivals.received(20), Bitrate::from_bits(750e3), "nothing was sent before");
    }

    #[test]
    fn losses_are_counted_and_taken_back() {
        let mut arrivals = Arrivals::new();
        arrivals.push_lost();
        assert_eq!(arrivals.loss(40).packets, 0, "without an arrival the time of a loss is unknown");
        arrivals.push(0, 0, 100);
        arrivals.push_lost();
        arrivals.push(BIN, 0, 100);
        arrivals.push_lost();
        assert_eq!(arrivals.loss(40), Loss { share: 0.5, packets: 4 });
        arrivals.take_loss_back();
        arrivals.take_loss_back();
        arrivals.take_loss_back();
        assert_eq!(arrivals.loss(40), Loss { share: 0.0, packets: 2 });
    }

    #[test]
    fn arrivals_out_of_the_window_are_ignored_and_times_before_zero_work() {
        let mut arrivals = Arrivals::new();
        arrivals.push(-5 * BIN, 7, 100);
        assert_eq!(arrivals.standing(0), Some(7));
        arrivals.push(100 * BIN, 9, 100);
        arrivals.push(0, 1, 100);
        assert_eq!(arrivals.standing(0), Some(9));
    }
}
