//! Rates computed from counts, and the counts of one published track.

use std::time::{Duration, Instant};

use super::sent::Volume;
use crate::session::Rates;

/// Within this time a meter returns the same rates again.
const SHORTEST: Duration = Duration::from_millis(500);

/// Turns counts into rates, over the time between two reads.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    looked: Option<Instant>,
    volume: Volume,
    frames: u64,
    rates: Rates,
}

/// Counts of one published track.
#[derive(Debug, Default)]
pub(crate) struct TrackMeter {
    pub(crate) volume: Volume,
    frames: u64,
    /// RTP timestamp of the newest frame.
    newest: Option<u32>,
    /// When the newest keyframe began to arrive.
    keyframe: Option<Instant>,
    /// The time between the last two keyframes.
    interval: Option<Duration>,
    meter: Meter,
}

impl Meter {
    /// The rates, from what has been counted until now.
    pub(crate) fn rates(&mut self, volume: Volume, frames: u64, now: Instant) -> Rates {
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

impl TrackMeter {
    /// Counts a packet; true if it is the first of a frame that is newer than those before.
    #[inline]
    pub(crate) fn on_packet(&mut self, bytes: usize, timestamp: u32) -> bool {
        self.volume.packets += 1;
        self.volume.bytes += bytes as u64;
        // A late packet belongs to a frame that has been counted.
        let is_frame = self.newest.is_none_or(|newest| timestamp.wrapping_sub(newest) as i32 > 0);
        if is_frame {
            self.newest = Some(timestamp);
            self.frames += 1;
        }
        is_frame
    }

    /// A keyframe begins to arrive.
    pub(crate) fn on_keyframe(&mut self, received: Instant) {
        self.interval = self.keyframe.map(|before| received.saturating_duration_since(before));
        self.keyframe = Some(received);
    }

    /// Frames that have begun to arrive.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// When the newest keyframe began to arrive.
    pub(crate) fn newest_keyframe(&self) -> Option<Instant> {
        self.keyframe
    }

    /// The encoder has restarted: its timestamps continue at any value.
    pub(crate) fn restart(&mut self) {
        self.newest = None;
    }

    /// The rates until now.
    pub(crate) fn rates(&mut self, now: Instant) -> Rates {
        self.meter.rates(self.volume, self.frames, now)
    }

    /// The last interval between keyframes, or the time since the newest keyframe if that is longer.
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
    fn rates_are_those_between_two_reads() {
        let (mut meter, now) = (Meter::default(), Instant::now());
        let volume = |packets| Volume { packets, bytes: packets * 100 };
        assert_eq!(meter.rates(volume(10), 5, now), Rates::default(), "one read gives no rate");
        let rates = meter.rates(volume(40), 65, now + SECOND * 2);
        assert_eq!(rates, Rates { bits: 12_000.0, packets: 15.0, frames: 30.0 });
        assert_eq!(meter.rates(volume(99), 99, now + SECOND * 2 + SHORTEST / 2), rates, "too soon for another rate");
        let rates = meter.rates(volume(40), 65, now + SECOND * 3);
        assert_eq!(rates, Rates::default(), "silence");
    }

    #[test]
    fn a_frame_counts_once_whatever_its_packets_and_their_order() {
        let (mut meter, now) = (TrackMeter::default(), Instant::now());
        meter.rates(now);
        let start = u32::MAX - 3_000;
        for (frame, packets) in [(0u32, 3), (2, 2), (1, 2), (3, 1)] {
            for _ in 0..packets {
                meter.on_packet(100, start.wrapping_add(frame * 3_000));
            }
        }
        let rates = meter.rates(now + SECOND);
        assert_eq!((rates.packets, rates.bits, rates.frames), (8.0, 6_400.0, 3.0));
    }

    #[test]
    fn the_keyframe_interval_is_the_last_one_or_the_time_since_where_that_is_longer() {
        let (mut meter, now) = (TrackMeter::default(), Instant::now());
        assert_eq!(meter.keyframe_interval(now), None);
        meter.on_keyframe(now);
        assert_eq!(meter.keyframe_interval(now + SECOND * 9), None, "one keyframe is no interval");
        meter.on_keyframe(now + SECOND * 2);
        assert_eq!(meter.keyframe_interval(now + SECOND * 3), Some(SECOND * 2));
        assert_eq!(meter.keyframe_interval(now + SECOND * 7), Some(SECOND * 5));
    }
}
