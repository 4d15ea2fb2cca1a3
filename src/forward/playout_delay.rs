//! How long viewers are told to hold their pictures back, so that a packet that was lost and asked for again is there
//! before its picture is due (header extension playout-delay).
//!
//! A receiver learns by itself how much packets jitter. How long a repair takes it does not know: one that sends nothing
//! measures no round trip, and of a repair between publisher and relay it sees only that packets come late, now and
//! then. Without this each loss is a picture that stands for a tenth of a second. Where nothing is lost nothing is
//! held back.

use std::time::{Duration, Instant};

/// Losses within [`WINDOW`] that are more than an accident.
const FEW: u64 = 3;
const WINDOW: Duration = Duration::from_secs(2);

/// The same where a repair takes so long that each loss is seen; longer than is thought before one was measured.
const SLOW: Duration = Duration::from_millis(210);
const FEW_SLOW: u64 = 2;
const WINDOW_SLOW: Duration = Duration::from_secs(10);

/// From the loss of a picture's last packet to its notice, at the next picture.
const NOTICE: Duration = Duration::from_millis(40);

/// A viewer rather sees a gap than be later than this.
const MOST: Duration = Duration::from_millis(400);

/// For so long after the last loss: the next ones find the viewer prepared.
const STAYS: Duration = Duration::from_secs(20);

/// A viewer's delay grows by so much at once, which with a picture's own time is no gap that one sees; then, and when it
/// shrinks, by so much of the time that passes.
const STEP: Duration = Duration::from_millis(60);
const GROWTH: f64 = 0.4;
const SHRINKAGE: f64 = 0.1;

/// One leg's need, from what is lost on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlayoutDelay {
    losses: u64,
    since: Option<Instant>,
    /// The most that was needed in the running time of [`STAYS`], and in the one before: it does not sway with each
    /// measurement, because a viewer notices when its delay changes.
    needs: [Duration; 2],
    began: Option<Instant>,
    until: Option<Instant>,
}

impl PlayoutDelay {
    /// So many packets were missed, on a leg where a repair takes so long from the request on.
    pub fn on_losses(&mut self, losses: u64, repair: Duration, now: Instant) {
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

    /// How long pictures are to be held back now; zero where repairs are not needed.
    pub fn need(&self, now: Instant) -> Duration {
        let needed = self.until.is_some_and(|until| now < until);
        if needed { self.needs[0].max(self.needs[1]) } else { Duration::ZERO }
    }
}

/// Leads a viewer to another delay without a gap and without a leap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Glide {
    held: Duration,
    at: Option<Instant>,
}

impl Glide {
    /// What a viewer is to hold pictures back by now, who is to hold them back by `least` in the end.
    pub fn toward(&mut self, least: Duration, now: Instant) -> Duration {
        let before = self.at.replace(now).filter(|_| !self.held.is_zero());
        let passed = before.map_or(Duration::ZERO, |before| now.saturating_duration_since(before));
        let grown = (self.held + passed.mul_f64(GROWTH)).max(STEP);
        let shrunk = self.held.saturating_sub(passed.mul_f64(SHRINKAGE));
        self.held = if least > self.held { grown.min(least) } else { shrunk.max(least) };
        self.held
    }

    /// The same where nobody has seen a picture yet: there is nothing to leap from.
    pub fn begin(&mut self, least: Duration, now: Instant) -> Duration {
        (self.held, self.at) = (least, Some(now));
        least
    }

    /// What is held back now.
    pub fn held(&self) -> Duration {
        self.held
    }

    /// True when nothing is held back.
    #[inline]
    pub fn is_zero(&self) -> bool {
        self.held.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn an_accident_holds_nothing_back_and_losses_do_for_a_while() {
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
    fn a_viewer_that_watches_is_led_to_another_delay_in_small_steps() {
        let start = Instant::now();
        let (mut glide, mut before) = (Glide::default(), Duration::ZERO);
        for picture in 0..60 {
            let held = glide.toward(200 * MS, start + 33 * MS * picture);
            assert!(held >= before && held - before <= STEP, "{before:?} {held:?}");
            before = held;
            assert!(picture < 12 || held == 200 * MS, "{picture} {held:?}");
        }
        for picture in 60..160 {
            let held = glide.toward(Duration::ZERO, start + 33 * MS * picture);
            assert!(held <= before && before - held <= 4 * MS, "{before:?} {held:?}");
            before = held;
        }
        assert_eq!(before, Duration::ZERO);
        assert_eq!(Glide::default().begin(200 * MS, start), 200 * MS);
    }
}
