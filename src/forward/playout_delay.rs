//! The playout delay that viewers are asked to apply (header extension playout-delay), so that a lost packet can be
//! resent before its frame is due.
//!
//! A receiver measures jitter by itself, but not how long a repair takes: a receiver that sends nothing measures no
//! round-trip time, and a repair between publisher and relay looks like occasional late packets. Without a playout
//! delay each loss freezes a frame for a tenth of a second. Without losses the delay is zero.

use std::time::{Duration, Instant};

/// This many losses within [`WINDOW`] are not an accident.
const FEW: u64 = 3;
const WINDOW: Duration = Duration::from_secs(2);

/// The same where a repair takes so long that each loss is visible; this is longer than a repair is assumed to take
/// before one was measured.
const SLOW: Duration = Duration::from_millis(210);
const FEW_SLOW: u64 = 2;
const WINDOW_SLOW: Duration = Duration::from_secs(10);

/// From the loss of a frame's last packet until the next frame reveals it.
const NOTICE: Duration = Duration::from_millis(40);

/// The longest delay: beyond it, a viewer prefers a gap.
const MOST: Duration = Duration::from_millis(400);

/// How long the delay stays after the last loss, so that the next losses find the viewer prepared.
const STAYS: Duration = Duration::from_secs(20);

/// A viewer's delay grows by one step at once, which together with a frame's own duration is no visible gap; after
/// that, and when it shrinks, by a share of the time that passes.
const STEP: Duration = Duration::from_millis(60);
const GROWTH: f64 = 0.4;
const SHRINKAGE: f64 = 0.1;

/// The playout delay that one path needs, from the losses on it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PlayoutDelay {
    losses: u64,
    since: Option<Instant>,
    /// The highest need in the current period of [`STAYS`] and in the one before. The delay does not follow each
    /// measurement, because a viewer notices when it changes.
    needs: [Duration; 2],
    began: Option<Instant>,
    until: Option<Instant>,
}

impl PlayoutDelay {
    /// Notes that this many packets were missed on a path where a repair takes this long after the request.
    pub(crate) fn on_losses(&mut self, losses: u64, repair: Duration, now: Instant) {
        let passed = |since: Option<Instant>| since.map_or(Duration::MAX, |since| now.saturating_duration_since(since));
        let (few, window) = if repair >= SLOW { (FEW_SLOW, WINDOW_SLOW) } else { (FEW, WINDOW) };
        if passed(self.since) > window {
            self.since = Some(now);
            self.losses = 0;
        }
        self.losses += losses;
        if self.losses < few {
            return;
        }
        if passed(self.began) >= STAYS {
            let before = if passed(self.until) < STAYS { self.needs[0] } else { Duration::ZERO };
            self.needs = [Duration::ZERO, before];
            self.began = Some(now);
        }
        self.needs[0] = self.needs[0].max((repair + NOTICE).min(MOST));
        self.until = Some(now + STAYS);
    }

    /// The playout delay needed now; zero where no repairs are needed.
    pub(crate) fn need(&self, now: Instant) -> Duration {
        let needed = self.until.is_some_and(|until| now < until);
        if needed { self.needs[0].max(self.needs[1]) } else { Duration::ZERO }
    }
}

/// Changes a viewer's playout delay gradually, without a gap or a jump.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DelayRamp {
    held: Duration,
    at: Option<Instant>,
}

impl DelayRamp {
    /// The playout delay to announce now, on the way to `least`.
    pub(crate) fn toward(&mut self, least: Duration, now: Instant) -> Duration {
        let before = self.at.replace(now).filter(|_| !self.held.is_zero());
        let passed = before.map_or(Duration::ZERO, |before| now.saturating_duration_since(before));
        let grown = (self.held + passed.mul_f64(GROWTH)).max(STEP);
        let shrunk = self.held.saturating_sub(passed.mul_f64(SHRINKAGE));
        self.held = if least > self.held { grown.min(least) } else { shrunk.max(least) };
        self.held
    }

    /// The same before the first frame was shown: the delay can change at once.
    pub(crate) fn begin(&mut self, least: Duration, now: Instant) -> Duration {
        (self.held, self.at) = (least, Some(now));
        least
    }

    /// The current playout delay.
    pub(crate) fn held(&self) -> Duration {
        self.held
    }

    /// True when the playout delay is zero.
    #[inline]
    pub(crate) fn is_zero(&self) -> bool {
        self.held.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_single_loss_causes_no_delay_and_repeated_losses_do_for_a_while() {
        let start = Instant::now();
        let mut playout_delay = PlayoutDelay::default();
        playout_delay.on_losses(2, 80 * MS, start);
        playout_delay.on_losses(2, 80 * MS, start + WINDOW + MS);
        assert_eq!(playout_delay.need(start + WINDOW + MS), Duration::ZERO);
        let lost = start + WINDOW + 2 * MS;
        playout_delay.on_losses(1, 80 * MS, lost);
        assert_eq!(playout_delay.need(lost), 120 * MS);
        assert_eq!(playout_delay.need(lost + STAYS - MS), 120 * MS);
        assert_eq!(playout_delay.need(lost + STAYS), Duration::ZERO);
    }

    #[test]
    fn where_a_repair_takes_long_two_losses_in_ten_seconds_are_no_accident() {
        let start = Instant::now();
        let mut playout_delay = PlayoutDelay::default();
        playout_delay.on_losses(1, 220 * MS, start);
        assert_eq!(playout_delay.need(start), Duration::ZERO);
        let second = start + Duration::from_secs(9);
        playout_delay.on_losses(1, 220 * MS, second);
        assert_eq!(playout_delay.need(second), 260 * MS);
    }

    #[test]
    fn it_follows_the_longest_repair_up_to_a_bound_and_forgets_it_although_losses_go_on() {
        let start = Instant::now();
        let mut playout_delay = PlayoutDelay::default();
        for (repair, need) in [(80, 120), (60, 120), (100, 140), (2000, 400)] {
            playout_delay.on_losses(FEW, repair * MS, start);
            assert_eq!(playout_delay.need(start), need * MS);
        }
        for second in 1..60 {
            let now = start + Duration::from_secs(second);
            playout_delay.on_losses(FEW, 60 * MS, now);
            assert_eq!(playout_delay.need(now), if second < 40 { 400 * MS } else { 100 * MS }, "{second}");
        }
        let later = start + Duration::from_secs(120);
        playout_delay.on_losses(FEW, 20 * MS, later);
        assert_eq!(playout_delay.need(later), 60 * MS);
    }

    #[test]
    fn a_watching_viewer_changes_its_delay_in_small_steps() {
        let start = Instant::now();
        let (mut glide, mut before) = (DelayRamp::default(), Duration::ZERO);
        for frame in 0..60 {
            let held = glide.toward(200 * MS, start + 33 * MS * frame);
            assert!(held >= before && held - before <= STEP, "{before:?} {held:?}");
            before = held;
            assert!(frame < 12 || held == 200 * MS, "{frame} {held:?}");
        }
        for frame in 60..160 {
            let held = glide.toward(Duration::ZERO, start + 33 * MS * frame);
            assert!(held <= before && before - held <= 4 * MS, "{before:?} {held:?}");
            before = held;
        }
        assert_eq!(before, Duration::ZERO);
        assert_eq!(DelayRamp::default().begin(200 * MS, start), 200 * MS);
    }
}
