//! Finds out whether the path carries a higher rate, by padding beside the media: old packets resent by RTX, which a
//! receiver takes for late repairs. Padding on the media's own SSRC would read as loss in Firefox.
//!
//! Two steps, the cheap one first. A *train* of 20 ms shows how fast the path is; it fills no queue. A *ramp* then
//! sends as much as the higher layer for half a second, which shows that no other sender needs it. With REMB alone
//! there is only a slow *climb*, because the receiver's estimate is capped near 1.5 times what it receives; with
//! neither a longer ramp, judged by loss. A viewer without RTX takes no padding: with REMB its climb ends without a
//! result; with neither, the goal itself is sent to try it.

use super::bitrate::Bitrate;
use super::estimator::{Estimator, Signal};
use super::overuse::is_growing;
use super::time::{MILLISECOND, SECOND};

/// From one release of padding to the next.
const TICK: i64 = 5 * MILLISECOND;

/// A train's rate over the goal, and the least share of the goal at which it must arrive.
const TRAIN_RATE: f64 = 1.45;
const TRAIN_ARRIVES: f64 = 0.92;

/// The length of a train and its number of packets. The first train is longer, so that jitter does not hide a path that
/// carries the goal; those that repeat it cost less.
const FIRST_TRAIN: (i64, f64) = (20 * MILLISECOND, 6.0);
const TRAIN: (i64, f64) = (15 * MILLISECOND, 5.0);

/// A viewer that reads late gets several packets at once, so that a train says little. After this many such trains in
/// a row a ramp decides, unless one has failed.
const UNCLEAR_TRAINS: u32 = 3;

/// Feedback about a train must come within this.
const TRAIN_DEADLINE: i64 = 800 * MILLISECOND;

/// A ramp's rate over the goal, the time that it rises, and that it stays.
const RAMP_RATE: f64 = 1.06;
const RISE: i64 = 200 * MILLISECOND;
const STAY: i64 = 380 * MILLISECOND;

/// The same where only loss tells: a queue has to fill before something is lost.
const STAY_FOR_LOSS: i64 = 1500 * MILLISECOND;

/// From the end of a ramp until feedback reports it, and the longest wait where feedback is lost. Until then padding
/// keeps the rate at the goal.
const REPORTING: i64 = 120 * MILLISECOND;
const LONGEST_REPORTING: i64 = 450 * MILLISECOND;

/// A ramp ends when the standing queue has grown by this (us), or the loss by this share.
const RAMP_QUEUE: i64 = 15 * MILLISECOND;
const RAMP_LOSS: f64 = 0.12;

/// For a goal far below the best layer, a probe may cause a longer queue (us) and send more padding (as a share of the
/// goal): a viewer that is sent much behind the same bottleneck sees that queue too and gives way.
const PATIENCE_OF_SMALL: f64 = 55e3;
const FORCE_OF_SMALL: f64 = 0.5;

/// The share of the goal that must arrive at the end of a ramp.
const RAMP_ARRIVES: f64 = 0.9;

/// The longest climb by REMB.
const CLIMB: i64 = 12 * SECOND;

/// The wait after the first failed train; after each further one it is longer by the same, up to the longest.
const TRAIN_WAIT: i64 = SECOND;
const LONGEST_TRAIN_WAIT: i64 = 1700 * MILLISECOND;

/// Added to the longest wait while no ramp may begin (us), if the goal is the best layer. For a lower layer it is
/// multiplied by the goal's share of the best layer's rate.
const MORE_WITHOUT_RAMP: f64 = 2.3e6;

/// A train that arrives at this multiple of the one before is repeated soon: the path has become faster.
const RISEN: f64 = 1.25;

/// The wait after the first failed ramp; it doubles up to the longest. Two trains in a row that arrive at this
/// multiple of the goal, or of what failed, end it.
const RAMP_WAIT: i64 = 3 * SECOND;
const LONGEST_RAMP_WAIT: i64 = 40 * SECOND;
const BETTER: f64 = 1.25;

/// The longest wait while another sender keeps the queue full: it takes what a ramp leaves, so a failure says little.
const RAMP_WAIT_AT_FOREIGN_QUEUE: i64 = 2 * SECOND;

/// From a decrease of the estimate, and from a passed probe, to the next probe.
const AFTER_DECREASE: i64 = 1500 * MILLISECOND;
const AFTER_SUCCESS: i64 = 300 * MILLISECOND;

/// How often it is tried to begin while the path is not calm; feedback is tried at once.
const RETRY: i64 = 100 * MILLISECOND;

/// A decrease within this after a passed probe means that the probe was wrong; a rate that is kept for so long was
/// right.
const PROOF: i64 = 10 * SECOND;
const LONG_PROOF: i64 = 20 * SECOND;

/// Sizes of padding packets.
const SMALLEST: f64 = 250.0;
const LARGEST: f64 = 1200.0;

/// Padding to send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding {
    /// Octets in all.
    pub octets: usize,
    /// Octets of each packet, about: a train needs several to be measured.
    pub packet: usize,
}

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The path carries the goal, and was shown to carry a little more.
    Passed {
        goal: Bitrate,
        shown: Bitrate,
    },
    TrainFailed,
    RampFailed,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Idle,
    Train { goal: Bitrate, until: i64 },
    Ramp { goal: Bitrate, began: i64, stay: i64, queue: i64, loss: f64 },
    Climb { goal: Bitrate, began: i64, loss: f64 },
}

#[derive(Debug)]
pub(crate) struct Prober {
    state: State,
    /// Octets of padding that may be sent, and until when they are counted.
    credit: f64,
    counted: i64,
    /// Not before.
    next: i64,
    /// When it was tried last to begin.
    checked: i64,
    failed_trains: u32,
    /// The last trains with too few distinct arrivals.
    unclear_trains: u32,
    /// No ramp before, unless a train is much better than the one before the failed ramp.
    next_ramp: i64,
    failed_ramps: u32,
    last_train: Bitrate,
    failed_rate: Bitrate,
    /// The last train was much better than the one before the failed ramp.
    was_better: bool,
    passed: Option<i64>,
    share: f64,
}

impl Prober {
    pub(crate) fn new(now: i64) -> Self {
        Self {
            state: State::Idle,
            credit: 0.0,
            counted: now,
            next: now + AFTER_SUCCESS,
            checked: now,
            failed_trains: 0,
            unclear_trains: 0,
            next_ramp: now,
            failed_ramps: 0,
            last_train: Bitrate::ZERO,
            failed_rate: Bitrate::ZERO,
            was_better: false,
            passed: None,
            share: 1.0,
        }
    }

    pub(crate) fn is_ramping(&self) -> bool {
        matches!(self.state, State::Ramp { .. })
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// What the path is taken to carry while a ramp fills it: what is sent for it explains no queue.
    pub(crate) fn assumed(&self) -> Option<Bitrate> {
        match self.state {
            State::Ramp { goal, .. } => Some(goal * self.ramp_rate()),
            _ => None,
        }
    }

    /// Begins a probe for `goal` if the path is calm and it is time; whether it did.
    pub(crate) fn begin(&mut self, goal: Bitrate, share: f64, estimator: &mut Estimator, now: i64) -> bool {
        if self.state != State::Idle || now < self.next || goal <= estimator.estimate() {
            return false;
        }
        self.checked = now;
        self.credit = 0.0;
        self.counted = now;
        self.share = share;
        let (signal, loss) = (estimator.signal(now), estimator.loss(now));
        let is_calm = estimator.is_calm(now);
        match signal {
            Signal::Transport => {
                let Some(path) = estimator.path_mut() else { return false };
                if !is_calm {
                    return false;
                }
                // A timer may be late.
                let (length, _) = self.train();
                path.begin_train(now + length + TICK);
                self.state = State::Train { goal, until: now + length };
            }
            Signal::Remb => self.state = State::Climb { goal, began: now, loss },
            Signal::Loss => {
                self.state = State::Ramp { goal, began: now, stay: STAY_FOR_LOSS, queue: i64::MAX / 2, loss };
            }
        }
        true
    }

    /// Ends the probe without a result: the goal is gone.
    pub(crate) fn cancel(&mut self) {
        self.state = State::Idle;
    }

    /// A queue turned out to be another sender's: waiting for it to go is of no use.
    pub(crate) fn hurry(&mut self, now: i64) {
        self.next = self.next.min(now);
    }

    /// Another path: what failed on the old one says nothing.
    pub(crate) fn on_path_change(&mut self, now: i64) {
        *self = Self { next: now + AFTER_DECREASE, ..Self::new(now) };
    }

    /// The estimate is lowered.
    pub(crate) fn on_lowered(&mut self, estimator: &Estimator, now: i64) {
        self.state = State::Idle;
        if self.passed.take_if(|passed| now - *passed < PROOF).is_some() {
            self.ramp_failed(estimator, now);
        }
        self.next = self.next.max(now + AFTER_DECREASE);
    }

    /// Feedback, a REMB or a NACK came.
    pub(crate) fn on_feedback(&mut self, estimator: &mut Estimator, now: i64) -> Option<Outcome> {
        if self.passed.is_some_and(|passed| now - passed > LONG_PROOF) {
            self.failed_ramps = 0;
        }
        match self.state {
            State::Idle => None,
            State::Train { goal, until } => {
                let path = estimator.path_mut()?;
                (now > until && path.train_is_reported()).then(|| self.end_train(goal, estimator, now)).flatten()
            }
            State::Ramp { queue, loss, .. } => {
                let is_lossy = match estimator.signal(now) {
                    Signal::Transport => estimator.arrivals()?.loss(12).exceeds(loss, RAMP_LOSS),
                    Signal::Remb | Signal::Loss => estimator.loss(now) > loss + RAMP_LOSS,
                };
                let most = RAMP_QUEUE + ((1.0 - self.share) * PATIENCE_OF_SMALL) as i64;
                let queues = estimator.arrivals().is_some_and(|arrivals| {
                    let standing = arrivals.standing(0).unwrap_or(0);
                    standing > queue + most && is_growing(arrivals, standing) && !estimator.is_foreign()
                });
                (is_lossy || queues).then(|| self.ramp_failed(estimator, now))
            }
            State::Climb { goal, loss, .. } => {
                if estimator.loss(now) > loss + RAMP_LOSS {
                    return Some(self.ramp_failed(estimator, now));
                }
                (estimator.estimate() >= goal).then(|| self.pass(goal, goal, now))
            }
        }
    }

    /// When [`Self::on_timer`] is to be called; while idle that is when a probe may begin.
    pub(crate) fn poll_timeout(&self) -> i64 {
        match self.state {
            State::Idle => self.next.max(self.checked + RETRY),
            State::Train { until, .. } if self.counted > until => until + TRAIN_DEADLINE,
            _ => self.counted + TICK,
        }
    }

    /// Counts padding, and ends a probe whose time is over.
    pub(crate) fn on_timer(&mut self, current: Bitrate, estimator: &mut Estimator, now: i64) -> Option<Outcome> {
        let mut elapsed = (now - self.counted).clamp(0, 4 * TICK);
        let rate = match self.state {
            State::Idle => return None,
            State::Train { goal, until } => {
                if now > until + TRAIN_DEADLINE {
                    return self.end_train(goal, estimator, now);
                }
                elapsed = elapsed.min(until - self.counted).max(0);
                train_rate(goal)
            }
            State::Ramp { goal, began, stay, loss, .. } => {
                let age = now - began;
                if age > RISE + stay + REPORTING && arrives(goal, loss, estimator, now) {
                    return Some(self.pass(goal, goal * RAMP_RATE, now));
                }
                if age > RISE + stay + LONGEST_REPORTING {
                    return Some(self.ramp_failed(estimator, now));
                }
                let risen = (age as f64 / RISE as f64).min(1.0);
                let over = if age <= RISE + stay { self.ramp_rate() } else { 1.0 };
                (goal * over - current) * risen
            }
            State::Climb { goal, began, .. } => {
                if now - began > CLIMB {
                    return Some(self.ramp_failed(estimator, now));
                }
                estimator.remb().unwrap_or(goal).min(goal * RAMP_RATE) - current
            }
        };
        self.credit += rate.octets_in(elapsed);
        self.counted = now;
        None
    }

    /// Padding that is due.
    pub(crate) fn padding(&self) -> Option<Padding> {
        let packet = match self.state {
            State::Idle => return None,
            State::Train { goal, .. } => {
                let (length, packets) = self.train();
                (train_rate(goal).octets_in(length) / packets).clamp(SMALLEST, LARGEST)
            }
            State::Ramp { .. } | State::Climb { .. } => 1000.0,
        };
        let packets = (self.credit / packet).floor();
        (packets >= 1.0).then_some(Padding { octets: (packets * packet) as usize, packet: packet as usize })
    }

    /// Padding was sent.
    pub(crate) fn on_padding(&mut self, octets: usize) {
        self.credit -= octets as f64;
    }

    /// The length of the next train and its number of packets.
    fn train(&self) -> (i64, f64) {
        if self.failed_trains == 0 { FIRST_TRAIN } else { TRAIN }
    }

    fn ramp_rate(&self) -> f64 {
        RAMP_RATE + (1.0 - self.share) * FORCE_OF_SMALL
    }

    fn end_train(&mut self, goal: Bitrate, estimator: &mut Estimator, now: i64) -> Option<Outcome> {
        let loss = estimator.loss(now);
        let path = estimator.path_mut()?;
        let (rate, is_clear) = path.end_train();
        let has_risen = rate > self.last_train * RISEN;
        self.last_train = rate;
        self.credit = 0.0;
        self.counted = now;
        let is_unclear = !is_clear && self.failed_ramps == 0;
        self.unclear_trains = if is_unclear { self.unclear_trains + 1 } else { 0 };
        let is_better = rate > self.failed_rate.min(goal) * BETTER;
        let may_ramp = now >= self.next_ramp || is_better && self.was_better;
        self.was_better = is_better;
        if (rate >= goal * TRAIN_ARRIVES || self.unclear_trains >= UNCLEAR_TRAINS) && may_ramp {
            self.failed_trains = 0;
            self.unclear_trains = 0;
            let queue = path.arrivals().standing(0).unwrap_or(0).max(0);
            self.state = State::Ramp { goal, began: now, stay: STAY, queue, loss };
            return None;
        }
        self.state = State::Idle;
        self.failed_trains += 1;
        let wait = if has_risen || is_unclear { AFTER_SUCCESS } else { TRAIN_WAIT * i64::from(self.failed_trains) };
        let more = if now < self.next_ramp { (self.share * MORE_WITHOUT_RAMP) as i64 } else { 0 };
        self.next = now + wait.min(LONGEST_TRAIN_WAIT + more);
        Some(Outcome::TrainFailed)
    }

    fn pass(&mut self, goal: Bitrate, shown: Bitrate, now: i64) -> Outcome {
        self.state = State::Idle;
        self.passed = Some(now);
        self.next = now + AFTER_SUCCESS;
        Outcome::Passed { goal, shown }
    }

    fn ramp_failed(&mut self, estimator: &Estimator, now: i64) -> Outcome {
        let longest = if estimator.is_foreign() { RAMP_WAIT_AT_FOREIGN_QUEUE } else { LONGEST_RAMP_WAIT };
        self.state = State::Idle;
        self.failed_rate = self.last_train;
        self.next_ramp = now + (RAMP_WAIT << self.failed_ramps.min(6)).min(longest);
        self.failed_ramps = self.failed_ramps.saturating_add(1);
        // Without trains nothing shows earlier that the path has become faster.
        let has_trains = estimator.signal(now) == Signal::Transport;
        self.next = if has_trains { now + LONGEST_TRAIN_WAIT } else { self.next_ramp };
        Outcome::RampFailed
    }
}

/// A low goal needs a faster train, because a packet cannot be smaller.
fn train_rate(goal: Bitrate) -> Bitrate {
    let (length, packets) = TRAIN;
    (goal * TRAIN_RATE).max(Bitrate::of(packets * SMALLEST, length))
}

/// Whether a ramp arrives.
fn arrives(goal: Bitrate, loss: f64, estimator: &Estimator, now: i64) -> bool {
    match (estimator.signal(now), estimator.arrivals()) {
        (Signal::Transport, Some(arrivals)) => {
            estimator.received(12) >= goal * RAMP_ARRIVES * (1.0 - arrivals.loss(20).share)
        }
        _ => estimator.loss(now) <= loss + RAMP_LOSS,
    }
}

#[cfg(test)]
mod tests;
