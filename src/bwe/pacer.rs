//! Spreads what is sent to a viewer over time, in runs that one system call sends: a keyframe at once would overflow
//! the short queue of a slow link. A frame of ordinary size passes as one run. Audio passes by: it is small and must
//! not wait.

use super::bitrate::Bitrate;
use super::time::{MILLISECOND, SECOND};

/// Octets that pass at once: 8 packets, or what takes this long at the rate (us).
const FREE: f64 = 10_000.0;
const FREE_TIME: i64 = 70 * MILLISECOND;

/// From one release to the next.
const EVERY: i64 = 10 * MILLISECOND;

/// What a release lets pass, over the rate.
const FASTER: f64 = 1.5;

/// The same while a queue drains, and how long at most (us). A pause saves nothing then.
const DRAINING: f64 = 0.7;
const LONGEST_DRAINING: i64 = SECOND;

#[derive(Debug)]
pub(crate) struct Pacer {
    /// Octets that may pass; negative after a packet that passed with less than its size left.
    budget: f64,
    /// When it was filled last: a multiple of [`EVERY`] after the first.
    filled: i64,
    /// Something waits for the next release.
    is_waiting: bool,
    /// Until when no more passes than the path carries.
    drains: Option<i64>,
}

impl Pacer {
    pub(crate) fn new(now: i64) -> Self {
        Self { budget: FREE, filled: now, is_waiting: false, drains: None }
    }

    /// Whether a packet may be sent at `rate`; if not, the next release is announced by [`Self::poll_timeout`].
    pub(crate) fn may_send(&mut self, rate: Bitrate, now: i64) -> bool {
        let releases = (now - self.filled) / EVERY;
        if releases > 0 {
            self.filled += releases * EVERY;
            let (faster, free) = if self.drains(now) { (DRAINING, EVERY) } else { (FASTER, FREE_TIME) };
            let most = rate.octets_in(free).min(FREE);
            self.budget = (self.budget + (rate * faster).octets_in(releases * EVERY)).min(most);
        }
        self.passes()
    }

    /// Whether the next release is due. Until then [`Self::passes`] says what [`Self::may_send`] would.
    pub(crate) fn is_due(&self, now: i64) -> bool {
        now >= self.filled + EVERY
    }

    /// Whether a packet may be sent before the next release.
    pub(crate) fn passes(&mut self) -> bool {
        self.is_waiting = self.budget <= 0.0;
        !self.is_waiting
    }

    /// A queue stands that a short buffer may not hold any longer: until [`Self::on_drained`], nothing passes at once.
    pub(crate) fn drain(&mut self, now: i64) {
        self.budget = self.budget.min(0.0);
        self.drains = Some(now + LONGEST_DRAINING);
    }

    /// Whether a queue drains.
    pub(crate) fn drains(&self, now: i64) -> bool {
        self.drains.is_some_and(|until| now < until)
    }

    /// The queue has drained.
    pub(crate) fn on_drained(&mut self) {
        self.drains = None;
    }

    pub(crate) fn on_sent(&mut self, octets: usize) {
        self.budget -= octets as f64;
    }

    /// A release that is due is announced once: what waited for it may have been dropped meanwhile.
    pub(crate) fn on_timer(&mut self, now: i64) {
        self.is_waiting &= now < self.filled + EVERY;
    }

    /// The next release, while something waits for it.
    pub(crate) fn poll_timeout(&self) -> Option<i64> {
        self.is_waiting.then_some(self.filled + EVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bwe::time::SECOND;

    const RATE: Bitrate = Bitrate::from_bits(2.56e6);

    fn run(pacer: &mut Pacer, most: usize, now: i64) -> usize {
        let sent = (0..most).take_while(|_| {
            let may = pacer.may_send(RATE, now);
            if may {
                pacer.on_sent(1200);
            }
            may
        });
        sent.count()
    }

    #[test]
    fn a_frame_passes_at_once_and_a_keyframe_in_runs() {
        let mut pacer = Pacer::new(0);
        assert_eq!(run(&mut pacer, 7, 5), 7);
        assert_eq!(pacer.poll_timeout(), None, "nothing waits");
        let runs: Vec<usize> = (0..4).map(|release| run(&mut pacer, 40, SECOND + release * EVERY)).collect();
        assert_eq!(runs, [9, 4, 4, 4], "10 kB, then 4.8 kB every 10 ms");
        assert_eq!(pacer.poll_timeout(), Some(SECOND + 4 * EVERY));
        assert_eq!(run(&mut pacer, 40, SECOND + 3 * EVERY + 1), 0, "not before the release");
    }

    #[test]
    fn at_a_low_rate_less_passes_at_once() {
        let mut pacer = Pacer::new(0);
        let rate = RATE * 0.25;
        let sent = (0..40).take_while(|_| {
            let may = pacer.may_send(rate, SECOND);
            if may {
                pacer.on_sent(1200);
            }
            may
        });
        assert_eq!(sent.count(), 5, "5.6 kB take 70 ms");
    }

    #[test]
    fn a_release_is_announced_once() {
        let mut pacer = Pacer::new(0);
        run(&mut pacer, 40, 0);
        pacer.on_timer(EVERY - 1);
        assert_eq!(pacer.poll_timeout(), Some(EVERY));
        pacer.on_timer(EVERY);
        assert_eq!(pacer.poll_timeout(), None, "the layer was left, and nothing waits any more");
    }

    #[test]
    fn a_pause_saves_nothing() {
        let mut pacer = Pacer::new(0);
        run(&mut pacer, 40, 0);
        assert_eq!(run(&mut pacer, 40, 1000 * SECOND), 9);
    }

    #[test]
    fn while_a_queue_drains_no_more_passes_than_the_path_carries() {
        let mut pacer = Pacer::new(0);
        pacer.drain(0);
        let runs: Vec<usize> = (0..=5).map(|release| run(&mut pacer, 40, release * EVERY)).collect();
        assert_eq!(runs, [0, 2, 2, 2, 2, 2], "2,240 octets every 10 ms");
        assert_eq!(run(&mut pacer, 40, SECOND / 2), 3, "a pause saves nothing");
        pacer.on_drained();
        assert_eq!(run(&mut pacer, 40, 3 * SECOND / 2), 9);
        pacer.drain(2 * SECOND);
        assert_eq!(run(&mut pacer, 40, 3 * SECOND), 9, "it has taken too long");
    }
}
