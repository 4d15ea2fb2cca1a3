//! What arrived lately, in bins of 25 ms of the receiver's clock: octets, packets, losses and the least delay.
//!
//! The least delay of several bins is the queue that stands: a stall of a radio link, or a viewer's process that reads
//! late, delays some packets of a window, a queue delays all of them.

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

#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    /// Its time in units of [`BIN`].
    at: i64,
    /// Least delay in it that is not explained (us).
    delay: i64,
    octets: u32,
    arrived: u16,
    lost: u16,
}

#[derive(Debug)]
pub(crate) struct Arrivals {
    bins: [Bin; BINS],
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
        Self { bins: [Bin::default(); BINS], newest: None }
    }

    /// A packet arrived at `arrival` on the receiver's clock, `delay` microseconds later than is explained.
    pub(crate) fn push(&mut self, arrival: i64, delay: i64, octets: u16) {
        let at = arrival.div_euclid(BIN);
        if self.newest.is_some_and(|newest| at + BINS as i64 <= newest) {
            return;
        }
        self.newest = Some(self.newest.map_or(at, |newest| newest.max(at)));
        let bin = &mut self.bins[at.rem_euclid(BINS as i64) as usize];
        if bin.at != at || bin.arrived == 0 && bin.lost == 0 {
            *bin = Bin { at, delay: i64::MAX, ..Bin::default() };
        }
        bin.delay = bin.delay.min(delay);
        bin.octets += u32::from(octets);
        bin.arrived = bin.arrived.saturating_add(1);
    }

    /// A packet is missing. Nobody knows when it would have arrived; it counts in the newest bin.
    pub(crate) fn push_lost(&mut self) {
        let Some(newest) = self.newest else { return };
        let bin = &mut self.bins[newest.rem_euclid(BINS as i64) as usize];
        bin.lost = bin.lost.saturating_add(1);
    }

    /// A packet that was counted as lost has arrived.
    pub(crate) fn take_loss_back(&mut self) {
        let Some(newest) = self.newest else { return };
        for at in (0..BINS as i64).map(|back| newest - back) {
            let bin = &mut self.bins[at.rem_euclid(BINS as i64) as usize];
            if bin.at == at && bin.lost > 0 {
                bin.lost -= 1;
                return;
            }
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
        let (mut busy, mut least) = (0, None);
        for bins in 0..LONGEST_WINDOW {
            if bins >= WINDOW && busy >= BUSY {
                return (bins, least);
            }
            if let Some(bin) = self.span(back + bins, 1).next().filter(|bin| bin.arrived > 0) {
                busy += 1;
                least = Some(least.map_or(bin.delay, |least: i64| least.min(bin.delay)));
            }
        }
        (LONGEST_WINDOW, least)
    }

    /// The rate received in the `bins` bins before the newest one, which is not complete. A silence at their beginning
    /// is left out: nothing was sent then.
    pub(crate) fn received(&self, bins: i64) -> Bitrate {
        let Some(newest) = self.newest else { return Bitrate::ZERO };
        let (mut octets, mut oldest) = (0.0, newest);
        for bin in self.span(1, bins) {
            octets += f64::from(bin.octets);
            oldest = oldest.min(bin.at);
        }
        let silent = bins - (newest - oldest);
        Bitrate::of(octets, if silent > SILENCE { bins - silent } else { bins } * BIN)
    }

    /// Whether something arrived in this many bins of the window at least.
    pub(crate) fn is_busy(&self, bins: i64, least: usize) -> bool {
        self.span(0, bins).filter(|bin| bin.arrived > 0).take(least).count() == least
    }

    /// The largest rate of any `bins` consecutive bins.
    pub(crate) fn busiest(&self, bins: i64) -> Bitrate {
        let rate = |back| Bitrate::of(self.span(back, bins).map(|bin| f64::from(bin.octets)).sum(), bins * BIN);
        (0..=BINS as i64 - bins).map(rate).fold(Bitrate::ZERO, Bitrate::max)
    }

    /// Losses of the newest `bins` bins.
    pub(crate) fn loss(&self, bins: i64) -> Loss {
        let count =
            |(lost, all), bin: &Bin| (lost + u32::from(bin.lost), all + u32::from(bin.lost) + u32::from(bin.arrived));
        let (lost, packets) = self.span(0, bins).fold((0, 0), count);
        Loss { share: f64::from(lost) / f64::from(packets.max(1)), packets }
    }

    fn span(&self, back: i64, bins: i64) -> impl Iterator<Item = &Bin> {
        let from = self.newest.map_or(i64::MIN, |newest| newest - back);
        (0..bins).filter_map(move |back| {
            let at = from.checked_sub(back)?;
            let bin = &self.bins[at.rem_euclid(BINS as i64) as usize];
            (bin.at == at && (bin.arrived > 0 || bin.lost > 0)).then_some(bin)
        })
    }
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
