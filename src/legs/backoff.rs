//! The pause before a leg is tried again.

use std::ops::RangeInclusive;
use std::time::Duration;

use rand::{Rng, RngExt as _};

/// The longest pause that a server may ask for.
const MOST_ASKED: Duration = Duration::from_secs(300);

/// Pauses that double with each failure, each shortened by up to a half at random, so that many legs to one server that
/// has failed do not come back at once.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    bounds: RangeInclusive<Duration>,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(bounds: RangeInclusive<Duration>) -> Self {
        let next = *bounds.start();
        Self { bounds, next }
    }

    /// Begins with the shortest pause again.
    pub(super) fn reset(&mut self) {
        self.next = *self.bounds.start();
    }

    /// The next pause; not shorter than what the server has asked for.
    pub(super) fn pause(&mut self, asked: Option<Duration>, random: &mut impl Rng) -> Duration {
        let longest = self.next;
        self.next = (longest * 2).min(*self.bounds.end());
        let pause = longest.mul_f64(random.random_range(0.5..=1.0));
        // Behind what was asked for, the legs of many relays are spread too.
        asked.map_or(pause, |asked| asked.min(MOST_ASKED) + pause)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    const BOUNDS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(2);

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_a_success() {
        let (mut backoff, mut random) = (Backoff::new(BOUNDS), StdRng::seed_from_u64(7));
        for longest in [100, 200, 400, 800, 1_600, 2_000, 2_000] {
            let pause = backoff.pause(None, &mut random).as_millis();
            assert!((longest / 2..=longest).contains(&pause), "{pause} of {longest}");
        }
        backoff.reset();
        assert!(backoff.pause(None, &mut random) <= Duration::from_millis(100));
    }

    #[test]
    fn a_server_is_not_asked_again_before_the_time_that_it_named_but_may_not_name_any() {
        let (mut backoff, mut random) = (Backoff::new(BOUNDS), StdRng::seed_from_u64(7));
        let asked = Duration::from_secs(7);
        assert!(backoff.pause(Some(asked), &mut random) > asked);
        assert!(backoff.pause(Some(Duration::MAX), &mut random) <= MOST_ASKED + Duration::from_secs(2));
    }
}
