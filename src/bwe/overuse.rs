//! Judges from the arrivals whether more is sent than the path carries.
//!
//! Overuse is a queue that stands: the least unexplained delay of 100 ms is high and grows. A queue that stays although
//! much less is sent is another sender's; then only loss counts, until the queue is gone. Loss alone is overuse where
//! it exceeds the path's own: radio links lose packets at any rate.

use super::arrivals::{Arrivals, WINDOW};
use super::bitrate::Bitrate;
use super::time::{MILLISECOND, SECOND};

/// Below this the path is calm (us).
pub(crate) const CALM: i64 = 15 * MILLISECOND;

/// A queue stands from here on (us), and how much it must have grown since the window before.
const STANDING: i64 = 25 * MILLISECOND;
const GROWTH: i64 = 25 * MILLISECOND;

/// Growth over two windows counts too, if it is this much (us) and less than the second value's share of what is sent
/// arrives.
const GROWTH_OF_TWO: i64 = 30 * MILLISECOND;
const LITTLE: f64 = 0.8;

/// Above this it need not have grown so much.
const HIGH: i64 = STANDING * 5 / 2;

/// Viewers behind one bottleneck see the same queue. A viewer that is sent little compared with its best layer waits
/// for a longer queue (us), so that those that are sent much give way first. Each waits for a random part of the second
/// value in addition, so that they do not all give way at once.
const PATIENCE_OF_SMALL: f64 = 10e3;
const RANDOM_PATIENCE: f64 = 75e3;

/// While all that is sent arrives, the queue may come from a burst of other traffic that ends soon. So a longer queue
/// is waited for when more than this share arrives: up to the second value (us) longer when all arrives.
const MUCH: f64 = 0.75;
const PATIENCE_WHERE_ALL_ARRIVES: f64 = 45e3;

/// It does not fall: timestamps of 250 us and jitter move it this much.
const FALL: i64 = 5 * MILLISECOND;

/// What is added to [`STANDING`] while the queue is another sender's.
const FOREIGN: i64 = 300 * MILLISECOND;

/// The share of the received rate that is kept: the rest drains the queue.
const KEPT: f64 = 0.97;
const KEPT_AT_LOSS: f64 = 0.85;

/// From a decrease until its effect shows, without the queue that stands.
const SETTLING: i64 = 450 * MILLISECOND;

/// Loss above the path's own that counts as overuse; lower where a foreign queue hides the delay.
const LOSS: f64 = 0.20;
const LOSS_AT_FOREIGN_QUEUE: f64 = 0.08;

/// Bins of the window in which loss counts, and its fewest packets.
const LOSS_WINDOW: i64 = 40;
const LOSS_PACKETS: u32 = 20;

/// From a decrease until loss counts again, and until what arrives counts as carried.
const PATIENCE: i64 = 3 * SECOND / 2;

/// In so many bins something must have arrived in so many: just after a silence no rate is known.
const KNOWN: (i64, usize) = (20, 3);

/// Why an estimate is lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A queue stands.
    Queue,
    /// Packets are lost.
    Loss,
    /// Feedback has stopped.
    Silence,
    /// The viewer says so (REMB).
    Remb,
    /// The path changed, or the viewer was away.
    Path,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    Lower(Cause, Bitrate),
    /// At least this much passes.
    Carried(Bitrate),
    Unknown,
}

/// A queue that stands without a break.
#[derive(Debug)]
struct Episode {
    since: i64,
    /// Received rate and queue (us) when it began.
    rate: Bitrate,
    queue: i64,
}

#[derive(Debug)]
pub(crate) struct Overuse {
    is_foreign: bool,
    /// When the path was not calm for the last time.
    unquiet: i64,
    episode: Option<Episode>,
    lowered: i64,
    /// The standing queue when the estimate was lowered (us).
    queue_then: i64,
    /// The path's own loss, from 0 to 1.
    own_loss: f64,
    /// Drawn anew at each decrease.
    random: u32,
}

impl Overuse {
    pub(crate) fn new(random: u32, now: i64) -> Self {
        Self { is_foreign: false, unquiet: now, episode: None, lowered: now, queue_then: 0, own_loss: 0.0, random }
    }

    /// What is known of queues is void.
    pub(crate) fn reset(&mut self, now: i64) {
        *self = Self::new(self.random, now);
    }

    /// Whether another sender keeps the queue full.
    pub(crate) fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// When the estimate was lowered last.
    pub(crate) fn lowered(&self) -> i64 {
        self.lowered
    }

    /// The estimate is lowered now.
    pub(crate) fn on_lowered(&mut self, arrivals: Option<&Arrivals>, now: i64) {
        self.lowered = now;
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.queue_then = arrivals.and_then(|arrivals| arrivals.standing(0)).unwrap_or(0);
    }

    /// `sent` is the rate of the last second, and `share` how much of the viewer's best step it is.
    pub(crate) fn judge(&mut self, arrivals: &Arrivals, sent: Bitrate, share: f64, now: i64) -> Verdict {
        let Some(standing) = arrivals.standing(0) else { return Verdict::Unknown };
        self.notice_calm(standing, now);
        if !arrivals.is_busy(KNOWN.0, KNOWN.1) {
            return Verdict::Unknown;
        }
        let since = now - self.lowered;
        let arriving = arrivals.received(6).bits() / sent.bits().max(1.0);
        if self.stands(arrivals, standing, arriving, share) {
            let rate = arrivals.received(20);
            let episode = self.episode.get_or_insert(Episode { since: now, rate, queue: standing });
            let is_long = now - episode.since > 2 * SECOND;
            // All that is sent arrives, so it is not what keeps the queue full.
            let arrives = rate > sent * 0.9;
            if is_long && arrives && rate < episode.rate * 0.6 && standing > episode.queue / 2 {
                self.is_foreign = true;
                return Verdict::Unknown;
            }
            // What was sent before the last decrease is still on its way.
            let is_settled = since > SETTLING + standing && standing > self.queue_then * 3 / 5;
            if since > 3 * SECOND || is_settled {
                return Verdict::Lower(Cause::Queue, arrivals.received(10) * KEPT);
            }
            return Verdict::Unknown;
        }
        if since <= PATIENCE {
            return Verdict::Unknown;
        }
        let loss = arrivals.loss(LOSS_WINDOW);
        let margin = if self.is_foreign { LOSS_AT_FOREIGN_QUEUE } else { LOSS };
        if loss.packets > LOSS_PACKETS && loss.exceeds(self.own_loss, margin) {
            return Verdict::Lower(Cause::Loss, arrivals.received(20) * KEPT_AT_LOSS);
        }
        if standing < CALM || self.is_foreign {
            self.own_loss += (loss.share - self.own_loss) * 0.01;
            return Verdict::Carried(arrivals.received(20));
        }
        Verdict::Unknown
    }

    fn notice_calm(&mut self, standing: i64, now: i64) {
        if standing > CALM {
            self.unquiet = now;
        }
        let calm = now - self.unquiet;
        if calm > SECOND / 2 {
            self.episode = None;
        }
        self.is_foreign &= calm < 2 * SECOND;
    }

    /// `arriving` is the share of what is sent that arrives.
    fn stands(&self, arrivals: &Arrivals, standing: i64, arriving: f64, share: f64) -> bool {
        let least = if self.is_foreign { STANDING + FOREIGN } else { STANDING };
        let draw = f64::from(self.random >> 8) / f64::from(1 << 24);
        let of_small = (1.0 - share) * (PATIENCE_OF_SMALL + RANDOM_PATIENCE * draw);
        let where_all_arrives = ((arriving - MUCH) / (1.0 - MUCH)).clamp(0.0, 1.0) * PATIENCE_WHERE_ALL_ARRIVES;
        let more = (of_small + where_all_arrives) as i64;
        if standing <= least + more || !is_growing(arrivals, standing) {
            return false;
        }
        let before = arrivals.standing(1).unwrap_or(standing);
        let older = arrivals.standing(2).unwrap_or(before);
        let grows_on = before > older + FALL && standing > before + FALL && standing - older > GROWTH_OF_TWO + more;
        let grows = standing - before > GROWTH + more || grows_on && arriving < LITTLE;
        // What a stall held back arrives at once: that is one bin.
        grows && arrivals.is_busy(WINDOW, 2) || standing > HIGH + more
    }
}

/// Whether the queue `standing` has not fallen since the window before.
pub(crate) fn is_growing(arrivals: &Arrivals, standing: i64) -> bool {
    standing > arrivals.standing(1).unwrap_or(standing) - FALL
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From one packet of 1,000 octets to the next at 1.6 Mbit/s.
    const PACKET: i64 = 5 * MILLISECOND;

    struct Bench {
        overuse: Overuse,
        arrivals: Arrivals,
        now: i64,
    }

    impl Bench {
        /// A path that has been calm for 5 s.
        fn new() -> Self {
            let mut bench = Self { overuse: Overuse::new(1, 0), arrivals: Arrivals::new(), now: 0 };
            assert_eq!(bench.run(5 * SECOND, 1, |_| 0), []);
            bench
        }

        /// Lets one of `every` packets arrive, with the delay (ms) that `delay` gives for its time, and judges every
        /// 100 ms. Returns when the estimate is lowered (ms), and why.
        fn run(&mut self, how_long: i64, every: i64, delay: impl Fn(i64) -> i64) -> Vec<(i64, Cause)> {
            let (began, mut lowered) = (self.now, Vec::new());
            for packet in 1..=how_long / PACKET {
                self.now = began + packet * PACKET;
                if packet % every == 0 {
                    self.arrivals.push(self.now, delay(self.now - began) * MILLISECOND, 1000);
                }
                if packet % 20 == 0
                    && let Some(cause) = self.judge(every)
                {
                    lowered.push(((self.now - began) / MILLISECOND, cause));
                }
            }
            lowered
        }

        fn judge(&mut self, every: i64) -> Option<Cause> {
            let sent = Bitrate::from_bits(1.6e6 / every as f64);
            match self.overuse.judge(&self.arrivals, sent, 1.0, self.now) {
                Verdict::Lower(cause, rate) => {
                    assert!(rate <= sent, "{rate:?}");
                    self.overuse.on_lowered(Some(&self.arrivals), self.now);
                    Some(cause)
                }
                Verdict::Carried(_) | Verdict::Unknown => None,
            }
        }
    }

    #[test]
    fn a_queue_that_grows_is_overuse_and_one_that_drains_is_not_again() {
        let mut bench = Bench::new();
        // 0.3 ms longer each millisecond, then empty again within 400 ms.
        let lowered = bench.run(SECOND, 1, |at| if at < 600 * MILLISECOND { at / 3333 } else { 0 });
        assert!(matches!(lowered[..], [(200..=600, Cause::Queue)]), "{lowered:?}");
    }

    #[test]
    fn a_queue_that_stays_although_less_is_sent_is_another_senders_until_it_is_gone() {
        let mut bench = Bench::new();
        assert_eq!(bench.run(SECOND, 1, |_| 150)[0].1, Cause::Queue);
        bench.run(3 * SECOND, 3, |_| 150);
        assert!(bench.overuse.is_foreign());
        assert_eq!(bench.run(3 * SECOND, 3, |_| 150), [], "the same queue lowers nothing any more");
        bench.run(3 * SECOND, 3, |_| 0);
        assert!(!bench.overuse.is_foreign());
    }

    #[test]
    fn loss_is_overuse_only_far_above_the_paths_own() {
        let mut bench = Bench::new();
        let mut lowered = Vec::new();
        for (seconds, of) in [(20, 10), (5, 2)] {
            for packet in 0..seconds * 200i64 {
                bench.now += PACKET;
                if packet % of == 0 {
                    bench.arrivals.push_lost();
                } else {
                    bench.arrivals.push(bench.now, 0, 1000);
                }
                if packet % 20 == 0
                    && let Some(cause) = bench.judge(1)
                {
                    lowered.push((of, cause));
                }
            }
        }
        assert!(!lowered.is_empty() && lowered.iter().all(|lowered| *lowered == (2, Cause::Loss)), "{lowered:?}");
    }
}
