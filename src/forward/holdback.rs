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

/// From the loss to its notice, at the next picture; and what senders take to answer, FFmpeg up to 20 ms. The rest lets a
/// second request come not much too late.
const NOTICE: Duration = Duration::from_millis(80);

/// A viewer rather sees a gap than be later than this.
const MOST: Duration = Duration::from_millis(400);

/// For so long after the last loss: the next ones find the viewer prepared.
const STAYS: Duration = Duration::from_secs(20);

/// One leg's need, from what is lost on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holdback {
    losses: u64,
    since: Option<Instant>,
    need: Duration,
    until: Option<Instant>,
}

impl Holdback {
    /// So many packets were missed, on a leg with this round trip.
    pub fn on_losses(&mut self, losses: u64, round_trip: Duration, now: Instant) {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) > WINDOW) {
            self.since = Some(now);
            self.losses = 0;
        }
        self.losses += losses;
        if self.losses >= FEW {
            // It does not sway with each measurement: a viewer notices when its delay changes.
            self.need = self.need(now).max((round_trip + NOTICE).min(MOST));
            self.until = Some(now + STAYS);
        }
    }

    /// How long pictures are to be held back now; zero where repairs are not needed.
    pub fn need(&self, now: Instant) -> Duration {
        if self.until.is_some_and(|until| now < until) { self.need } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn an_accident_holds_nothing_back_and_losses_do_for_a_while() {
        let start = Instant::now();
        let mut holdback = Holdback::default();
        holdback.on_losses(2, 40 * MS, start);
        holdback.on_losses(2, 40 * MS, start + WINDOW + MS);
        assert_eq!(holdback.need(start + WINDOW + MS), Duration::ZERO);
        let lost = start + WINDOW + 2 * MS;
        holdback.on_losses(1, 40 * MS, lost);
        assert_eq!(holdback.need(lost), 120 * MS);
        assert_eq!(holdback.need(lost + STAYS - MS), 120 * MS);
        assert_eq!(holdback.need(lost + STAYS), Duration::ZERO);
    }

    #[test]
    fn it_follows_the_longest_round_trip_up_to_a_bound_and_forgets_it() {
        let start = Instant::now();
        let mut holdback = Holdback::default();
        for (round_trip, need) in [(40, 120), (20, 120), (60, 140), (2000, 400)] {
            holdback.on_losses(FEW, round_trip * MS, start);
            assert_eq!(holdback.need(start), need * MS);
        }
        let later = start + STAYS;
        holdback.on_losses(FEW, 20 * MS, later);
        assert_eq!(holdback.need(later), 100 * MS);
    }
}
