//! The clock of a replay: how fast it runs, and when it shows a timestamp.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::forward::history::CachedFrames;
use crate::forward::layer_clocks::ticks;

/// Maximum speed of a replay as a multiple of real time: 10 s are caught up with in two thirds of a second.
const MAX_SPEED: u32 = 16;

/// Minimum speed; more slowly the viewer would not reach live.
const MIN_SPEED: u32 = 4;

/// Minimum speed where the viewer's path decides.
const LEAST_SPEED: u32 = 2;

/// Maximum octets per second of a replay, unless [`MIN_SPEED`] needs more: 80 Mbit/s.
const MAX_RATE: u64 = 10_000_000;

/// In a replay of few frames, none is shown for longer than this: a screen that stood still for minutes is shown as it
/// is now.
pub(super) const LONGEST_STILL: Duration = Duration::from_millis(40);

/// A replay in progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replay {
    pub(super) speed: NonZeroU32,
    /// What the viewer's path carries, in octets per second, if that decides the speed.
    pub(super) rate: Option<u64>,
    pub(super) clock_rate: u32,
    /// Few frames: no frame is waited for longer than [`LONGEST_STILL`].
    pub(super) hurries: bool,
    /// Position of the keyframe at which it began.
    pub(super) keyframe: u64,
    /// No packet is due before this moment.
    pub(super) from: Instant,
    pub(super) now: Instant,
    /// A moment and the timestamp that the viewer's clock shows then; `None` before the keyframe is written.
    pub(super) began: Option<(Instant, u32)>,
    /// When the next packet is due, if one waits.
    pub(super) due: Option<Instant>,
}

impl Replay {
    /// The time that was set last.
    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// The speed as a multiple of real time.
    pub(super) fn speed(&self) -> NonZeroU32 {
        self.speed
    }

    /// The keyframe was written with this timestamp.
    pub(super) fn begin(&mut self, timestamp: u32) {
        self.began = Some((self.now, timestamp));
    }

    /// When the viewer's clock shows a timestamp.
    #[cold]
    pub(super) fn moment_of(&self, timestamp: u32) -> Instant {
        let Some((began, start)) = self.began else { return self.now };
        let ticks = timestamp.wrapping_sub(start) as i32;
        let distance =
            Duration::from_nanos(u64::from(ticks.unsigned_abs()) * 1_000_000_000 / u64::from(self.clock_rate));
        if ticks < 0 { began.checked_sub(distance).unwrap_or(began) } else { began + distance }
    }

    /// The timestamp that the viewer's clock shows at a moment.
    pub(super) fn timestamp_at(&self, moment: Instant) -> u32 {
        let Some((began, start)) = self.began else { return 0 };
        start.wrapping_add(ticks(moment, began, self.clock_rate))
    }
}

/// How long a viewer that begins with these frames takes to reach live.
pub(crate) fn catch_up_time(frames: &CachedFrames) -> Duration {
    let squeezed = frames.span / (speed_of(frames).get() - 1);
    frames.still_frames.map_or(squeezed, |count| squeezed.min(LONGEST_STILL * count))
}

/// The highest speed that the rate allows.
pub(super) fn speed_of(frames: &CachedFrames) -> NonZeroU32 {
    let rate = frames.octets as u128 * 1_000_000 / frames.span.as_micros().max(1);
    let speed = u128::from(MAX_RATE) / rate.max(1);
    let speed = u32::try_from(speed).unwrap_or(MAX_SPEED).clamp(MIN_SPEED, MAX_SPEED);
    NonZeroU32::new(speed).unwrap_or(NonZeroU32::MIN)
}

/// The highest speed within a rate, but no less than twice real time: more slowly the viewer would hardly reach live.
pub(super) fn speed_within(frames: &CachedFrames, octets_per_second: u64) -> NonZeroU32 {
    let own = frames.octets as u128 * 1_000_000 / frames.span.as_micros().max(1);
    let speed = u128::from(octets_per_second) / own.max(1);
    let speed = u32::try_from(speed).unwrap_or(MAX_SPEED).clamp(LEAST_SPEED, MAX_SPEED);
    NonZeroU32::new(speed).unwrap_or(NonZeroU32::MIN).min(speed_of(frames))
}
