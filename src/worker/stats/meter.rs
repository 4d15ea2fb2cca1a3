//! Rates, from counts that are read now and then, and the counts of one published track.

use std::time::{Duration, Instant};

use super::sent::Volume;
use crate::session::Rates;

/// Looked at more often than this, a meter shows what it showed before.
const SHORTEST: Duration = Duration::from_millis(500);

/// Turns counts into rates: those between its last two looks.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    looked: Option<Instant>,
    volume: Volume,
    frames: u64,
    rates: Rates,
}

/// What one published track has brought, counted packet by packet.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    pub(crate) volume: Volume,
    frames: u64,
    /// RTP timestamp of the newest frame.
    newest: Option<u32>,
    /// When the newest keyframe began to arrive.
    keyframe: Option<Instant>,
    /// From the one before it.
    interval: Option<Duration>,
    meter: Meter,
}

impl Meter {
    /// The rates, from what has been counted until now.
    pub(crate) fn look(&mut self, volume: Volume, frames: u64, now: Instant) -> Rates {
        let Some(before) = self.looked else {
            (self.looked, self.volume, self.frames) = (Some(now), volume, frames);
            return self.rates;
        };
        let elapsed = now.saturating_duration_since(before);
        if elapsed < SHORTEST {
            return self.rates;
        }
        let rate = |count: u64, counted: u64| count.saturating_sub(counted) as f64 / elapsed.as_secs_f64();
        self.rates = Rates {
            bits: rate(volume.bytes, self.volume.bytes) * 8.0,
            packets: rate(volume.packets, self.volume.packets),
            frames: rate(frames, self.frames),
        };
        (self.looked, self.volume, self.frames) = (Some(now), volume, frames);
        self.rates
    }
}

impl Intake {
    /// Counts a packet.
    #[inline]
    pub(crate) fn on_packet(&mut self, bytes: usize, timestamp: u32) {
        self.volume.packets += 1;
        self.volume.bytes += bytes as u64;
        // A late packet belongs to a frame that has been counted.
        if self.newest.is_none_or(|newest| timestamp.wrapping_sub(newest) as i32 > 0) {
            self.newest = Some(timestamp);
            self.frames += 1;
        }
    }

    /// A keyframe begins to arrive.
    pub(crate) fn on_keyframe(&mut self, received: Instant) {
        self.interval = self.keyframe.map(|before| received.saturating_duration_since(before));
        self.keyframe = Some(received);
    }

    /// When the newest keyframe began to arrive.
    pub(crate) fn newest_keyframe(&self) -> Option<Instant> {
        self.keyframe
    }

    /// The encoder has started again: its timestamps go on anywhere.
    pub(crate) fn restart(&mut self) {
        self.newest = None;
    }

    /// The rates until now.
    pub(crate) fn look(&mut self, now: Instant) -> Rates {
        self.meter.look(self.volume, self.frames, now)
    }

    /// From one keyframe to the next: the last interval, or what has passed since where that is longer already.
    pub(crate) fn keyframe_interval(&self, now: Instant) -> Option<Duration> {
        let (interval, keyframe) = (self.interval?, self.keyframe?);
        Some(interval.max(now.saturating_duration_since(keyframe)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn rates_are_what_passed_between_two_looks() {
        let (mut meter, now) = (Meter::default(), Instant::now());
        let volume = |packets| Volume { packets, bytes: packets * 100 };
        assert_eq!(meter.look(volume(10), 5, now), Rates::default(), "one look tells no rate");
        let rates = meter.look(volume(40), 65, now + SECOND * 2);
        assert_eq!(rates, Rates { bits: 12_000.0, packets: 15.0, frames: 30.0 });
        assert_eq!(meter.look(volume(99), 99, now + SECOND * 2 + SHORTEST / 2), rates, "too soon to tell another");
        let rates = meter.look(volume(40), 65, now + SECOND * 3);
        assert_eq!(rates, Rates::default(), "silence");
    }

    #[test]
    fn a_picture_counts_once_whatever_its_packets_and_their_order() {
        let (mut intake, now) = (Intake::default(), Instant::now());
        intake.look(now);
        let start = u32::MAX - 3_000;
        for (picture, packets) in [(0u32, 3), (2, 2), (1, 2), (3, 1)] {
            for _ in 0..packets {
                intake.on_packet(100, start.wrapping_add(picture * 3_000));
            }
        }
        let rates = intake.look(now + SECOND);
        assert_eq!((rates.packets, rates.bits, rates.frames), (8.0, 6_400.0, 3.0));
    }

    #[test]
    fn the_keyframe_interval_is_the_last_one_or_the_time_since_where_that_is_longer() {
        let (mut intake, now) = (Intake::default(), Instant::now());
        assert_eq!(intake.keyframe_interval(now), None);
        intake.on_keyframe(now);
        assert_eq!(intake.keyframe_interval(now + SECOND * 9), None, "one keyframe is no interval");
        intake.on_keyframe(now + SECOND * 2);
        assert_eq!(intake.keyframe_interval(now + SECOND * 3), Some(SECOND * 2));
        assert_eq!(intake.keyframe_interval(now + SECOND * 7), Some(SECOND * 5));
    }
}
