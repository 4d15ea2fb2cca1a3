//! What arrives of a packet train: some packets sent at once faster than the path may carry. How far apart they arrive
//! says how fast the path is, within the 20 ms that the train lasts.

use super::bitrate::Bitrate;
use super::time::MILLISECOND;

/// With fewer arrivals their distances say little.
const FEWEST: u32 = 4;

/// Packets that arrive within this (us) were read at once. With fewer reads than the second value, the time between
/// the first and the last says when the receiver read rather than how fast the path is.
const AT_ONCE: i64 = MILLISECOND;
const FEWEST_READS: u32 = 4;

#[derive(Debug)]
pub(crate) struct Train {
    /// Padding sent until then belongs to it.
    until: i64,
    /// Number of the first and the last padding; the video between them counts too.
    numbers: Option<(u16, u16)>,
    /// First and last arrival on the receiver's clock.
    arrivals: Option<(i64, i64)>,
    /// Octets that arrived after the first packet.
    octets: f64,
    packets: u32,
    /// Arrivals that were apart.
    reads: u32,
}

impl Train {
    pub(crate) fn new(until: i64) -> Self {
        Self { until, numbers: None, arrivals: None, octets: 0.0, packets: 0, reads: 0 }
    }

    /// Padding is sent.
    pub(crate) fn on_padding(&mut self, number: u16, now: i64) {
        if now <= self.until {
            let first = self.numbers.map_or(number, |(first, _)| first);
            self.numbers = Some((first, number));
        }
    }

    pub(crate) fn on_arrived(&mut self, number: u16, arrival: i64, octets: u16) {
        let Some((first, last)) = self.numbers else { return };
        if number.wrapping_sub(first) > last.wrapping_sub(first) {
            return;
        }
        self.packets += 1;
        match &mut self.arrivals {
            None => {
                self.arrivals = Some((arrival, arrival));
                self.reads = 1;
            }
            Some((_, newest)) => {
                self.reads += u32::from(arrival > *newest + AT_ONCE);
                *newest = arrival.max(*newest);
                self.octets += f64::from(octets);
            }
        }
    }

    /// The number of the first packet behind it: once feedback tells of that, nothing more is known of the train.
    pub(crate) fn behind(&self) -> Option<u16> {
        self.numbers.map(|(_, last)| last.wrapping_add(1))
    }

    /// Whether its arrivals show the path: a receiver that is busy reads several packets at once.
    pub(crate) fn is_clear(&self) -> bool {
        self.packets < FEWEST || self.reads >= FEWEST_READS
    }

    /// The rate at which it arrived; 0 if too little did.
    pub(crate) fn rate(&self) -> Bitrate {
        match self.arrivals {
            Some((first, newest)) if self.packets >= FEWEST => Bitrate::of(self.octets, newest - first),
            _ => Bitrate::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train() -> Train {
        let mut train = Train::new(20_000);
        for number in 0..6 {
            train.on_padding(65_533u16.wrapping_add(number), i64::from(number) * 4_000);
        }
        train.on_padding(3, 24_000);
        train
    }

    #[test]
    fn the_rate_is_that_of_the_distances_between_arrivals() {
        let mut train = train();
        for number in 0..6u16 {
            train.on_arrived(65_533u16.wrapping_add(number), 70_000 + i64::from(number) * 8_000, 1000);
        }
        train.on_arrived(3, 900_000, 1000);
        train.on_arrived(65_532, 0, 1000);
        assert_eq!((train.rate(), train.behind()), (Bitrate::from_bits(1e6), Some(3)), "others do not count");
    }

    #[test]
    fn a_train_that_was_read_at_once_shows_nothing_clearly() {
        let (mut apart, mut at_once) = (train(), train());
        for number in 0..6u16 {
            apart.on_arrived(65_533u16.wrapping_add(number), 70_000 + i64::from(number) * 2_000, 1000);
            at_once.on_arrived(65_533u16.wrapping_add(number), 70_000 + i64::from(number / 3) * 30_000, 1000);
        }
        assert!(apart.is_clear() && !at_once.is_clear());
    }

    #[test]
    fn a_train_of_which_too_little_arrived_or_all_at_once_has_no_rate() {
        let mut train = train();
        for number in 0..3u16 {
            train.on_arrived(number, i64::from(number) * 8_000, 1000);
        }
        assert_eq!(train.rate(), Bitrate::ZERO);
        let mut train = Train::new(0);
        assert_eq!((train.rate(), train.behind()), (Bitrate::ZERO, None));
        (0..6).for_each(|number| train.on_padding(number, 0));
        (0..6).for_each(|number| train.on_arrived(number, 0, 1000));
        assert_eq!(train.rate(), Bitrate::ZERO);
    }
}
