//! The estimate of what a viewer's path carries. It is what the path has been *shown* to carry: it rises by the rate
//! that arrives or by a probe that passed, never by time, and falls at overuse.
//!
//! Three signals, each used while the ones before are missing: transport-wide feedback (within 100 ms), REMB (within a
//! second), NACKs and receiver reports.

use super::arrivals::Arrivals;
use super::bitrate::Bitrate;
use super::feedback::Feedback;
use super::losses::{Losses, Nacked};
use super::overuse::{CALM, Cause, Overuse, Verdict};
use super::path::Path;
use super::time::{MILLISECOND, SECOND};
use super::virtual_queue::VirtualQueue;

/// The estimate is halved after this long without feedback.
const SILENCE: i64 = 700 * MILLISECOND;

/// Packets stop carrying numbers after this long without any feedback: the client does not answer them.
const UNANSWERED: i64 = 2 * SECOND;

/// Feedback must be as fresh as this for a probe.
const ANSWERED: i64 = 300 * MILLISECOND;

/// A signal that is older does not count.
const FRESH: i64 = 3 * SECOND;

/// A REMB is capped near 1.5 times what is received. Above this multiple of what is sent it does not limit.
const REMB_LIMITS: f64 = 1.2;

/// Loss that counts as overuse where nothing else is known.
const LOSS: f64 = 0.12;

/// From one decrease by loss to the next.
const PATIENCE: i64 = 3 * SECOND / 2;

/// The estimate does not fall below this: an audio stream, and probes that find out.
const LEAST: Bitrate = Bitrate::from_bits(30e3);

/// The estimate is lowered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lowered {
    pub(crate) cause: Cause,
    pub(crate) estimate: Bitrate,
}

/// What speaks for the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Transport,
    Remb,
    Loss,
}

#[derive(Debug)]
pub(crate) struct Estimator {
    estimate: Bitrate,
    /// While packets are numbered.
    path: Option<Box<Path>>,
    /// When numbering began and packets since.
    numbered: (i64, u32),
    /// When the last numbered packet was sent, and the first one since the last feedback.
    sent: i64,
    unanswered: Option<i64>,
    overuse: Overuse,
    queue: VirtualQueue,
    remb: Option<(Bitrate, i64)>,
    losses: Losses,
    /// The rate that is sent without numbers: the audio, which no feedback reports.
    unnumbered: Bitrate,
    /// Slow mean of the loss where nothing else is known.
    own_loss: f64,
}

impl Estimator {
    pub(crate) fn new(start: Bitrate, random: u32, now: i64) -> Self {
        Self {
            estimate: start,
            path: None,
            numbered: (now, 0),
            sent: now,
            unanswered: None,
            overuse: Overuse::new(random, now),
            queue: VirtualQueue::default(),
            remb: None,
            losses: Losses::default(),
            unnumbered: Bitrate::ZERO,
            own_loss: 0.0,
        }
    }

    /// From now on video packets are numbered, again too: feedback on those of before is not waited for.
    pub(crate) fn number_packets(&mut self, now: i64) {
        self.unanswered = None;
        if self.path.is_none() {
            self.path = Some(Box::new(Path::new(now)));
            self.numbered = (now, 0);
        }
    }

    /// The number for the next video packet.
    pub(crate) fn next_number(&self) -> Option<u16> {
        self.path.as_ref().map(|path| path.next_number())
    }

    /// A packet is sent; the path is taken to carry `rate`.
    pub(crate) fn on_sent(&mut self, octets: usize, is_padding: bool, rate: Bitrate, now: i64) {
        self.losses.on_sent(octets, now);
        let expected = self.queue.push(octets as f64, rate, now);
        if let Some(path) = &mut self.path {
            path.on_sent(octets, is_padding, expected, now);
            self.sent = now;
            self.unanswered.get_or_insert(now);
            self.numbered.1 = self.numbered.1.saturating_add(1);
        }
    }

    /// Takes the arrivals in; [`Self::judge`] or a probe judges them.
    pub(crate) fn on_feedback(&mut self, feedback: &Feedback<'_>, now: i64) {
        if let Some(path) = &mut self.path {
            self.queue.shorten(path.on_feedback(feedback, self.overuse.is_foreign(), now));
            self.unanswered = None;
        }
    }

    /// Judges the arrivals, while no probe fills the path; `current` is sent, which is `share` of the viewer's best
    /// step.
    pub(crate) fn judge(&mut self, current: Bitrate, share: f64, now: i64) -> Option<Lowered> {
        let sent = self.losses.sent(now);
        match self.overuse.judge(self.path.as_ref()?.arrivals(), sent, share, now) {
            // The window holds a keyframe that arrived before the queue grew: the next feedback says how much arrives.
            Verdict::Lower(Cause::Queue, rate) if rate + self.unnumbered >= current => None,
            Verdict::Lower(cause, rate) => Some(self.lower(cause, rate + self.unnumbered, now)),
            Verdict::Carried(rate) => {
                self.raise(rate + self.unnumbered);
                None
            }
            Verdict::Unknown => None,
        }
    }

    pub(crate) fn on_remb(&mut self, rate: Bitrate, now: i64) -> Option<Lowered> {
        self.remb = Some((rate, now));
        if self.signal(now) != Signal::Remb {
            return None;
        }
        if rate < self.estimate {
            let limits = rate < self.losses.sent(now) * REMB_LIMITS;
            return limits.then(|| self.lower(Cause::Remb, rate, now));
        }
        self.raise(rate);
        None
    }

    pub(crate) fn on_nack(&mut self, nacked: Nacked, now: i64) -> Option<Lowered> {
        self.losses.on_nack(nacked, now);
        self.judge_losses(now)
    }

    pub(crate) fn on_report(&mut self, fraction_lost: u8, now: i64) -> Option<Lowered> {
        self.losses.on_report(fraction_lost, now);
        let lowered = self.judge_losses(now);
        if lowered.is_none() {
            let share = self.losses.share(now).unwrap_or(self.own_loss);
            self.own_loss += (share - self.own_loss) * 0.05;
        }
        lowered
    }

    fn judge_losses(&mut self, now: i64) -> Option<Lowered> {
        if self.signal(now) != Signal::Loss || now - self.overuse.lowered() < PATIENCE {
            return None;
        }
        let share = self.losses.share(now)?;
        let is_lost = share > self.own_loss + LOSS || self.losses.repeats(now);
        is_lost.then(|| self.lower(Cause::Loss, self.losses.sent(now) * (1.0 - share) * 0.9, now))
    }

    /// When [`Self::on_timer`] is to be called.
    pub(crate) fn poll_timeout(&self) -> Option<i64> {
        match self.path.as_ref()?.heard() {
            Some(_) => Some(self.unanswered?.max(self.overuse.lowered()) + SILENCE),
            None => Some(self.numbered.0 + UNANSWERED),
        }
    }

    pub(crate) fn on_timer(&mut self, now: i64) -> Option<Lowered> {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return None;
        }
        if self.path.as_ref()?.heard().is_some() {
            return Some(self.lower(Cause::Silence, self.estimate * 0.5, now));
        }
        if self.numbered.1 < 10 {
            // What is not sent is not answered.
            self.numbered.0 = now;
        } else {
            self.path = None;
        }
        None
    }

    /// The path is another one, or the viewer was away: what is known of delays is void, and half the rate is safe.
    pub(crate) fn on_path_change(&mut self, now: i64) -> Lowered {
        if let Some(path) = &mut self.path {
            path.forget_delays(now);
        }
        self.remb = None;
        let lowered = self.lower(Cause::Path, self.estimate * 0.5, now);
        self.overuse.reset(now);
        lowered
    }

    /// A replay is over. The first one shows more than the start estimate says; before a later one, what arrived may
    /// have been of a faster path. Either shows less where a queue stands behind it.
    pub(crate) fn on_replayed(&mut self, is_first: bool, now: i64) {
        let Some(arrivals) = self.arrivals() else { return };
        let delivered = arrivals.busiest(10) + self.unnumbered;
        let standing = arrivals.standing(0).unwrap_or(0);
        if standing > CALM {
            self.estimate = delivered.min(self.estimate).max(LEAST);
        } else if is_first {
            self.raise(delivered);
        }
        self.overuse.reset(now);
    }

    /// At least this much passes.
    pub(crate) fn raise(&mut self, rate: Bitrate) {
        self.estimate = self.estimate.max(rate);
    }

    fn lower(&mut self, cause: Cause, rate: Bitrate, now: i64) -> Lowered {
        self.estimate = self.estimate.min(rate.max(LEAST));
        self.overuse.on_lowered(self.path.as_ref().map(|path| path.arrivals()), now);
        Lowered { cause, estimate: self.estimate }
    }

    pub(crate) fn estimate(&self) -> Bitrate {
        self.estimate
    }

    /// How long what was sent still queues if the path carries the estimate (us).
    pub(crate) fn own_queue(&self, now: i64) -> i64 {
        self.queue.delay(self.estimate, now)
    }

    /// Whether a probe may begin: feedback comes, and no queue stands in the path.
    pub(crate) fn is_calm(&self, now: i64) -> bool {
        if self.unanswered.is_some_and(|since| now - since > ANSWERED) {
            return false;
        }
        let standing = self.arrivals().and_then(|arrivals| arrivals.standing(0));
        // What stood when the last packet was sent has drained since.
        self.is_foreign() || now - self.sent > SECOND || standing.is_some_and(|standing| standing < CALM)
    }

    pub(crate) fn signal(&self, now: i64) -> Signal {
        let is_answered = self.unanswered.is_none_or(|since| now - since < FRESH);
        if is_answered && self.path.as_ref().is_some_and(|path| path.heard().is_some()) {
            Signal::Transport
        } else if self.remb.is_some_and(|(_, came)| now - came < FRESH) {
            Signal::Remb
        } else {
            Signal::Loss
        }
    }

    pub(crate) fn path_mut(&mut self) -> Option<&mut Path> {
        self.path.as_deref_mut()
    }

    pub(crate) fn set_unnumbered(&mut self, rate: Bitrate) {
        self.unnumbered = rate;
    }

    /// The rate that arrived in the last `bins` bins, including the audio.
    pub(crate) fn received(&self, bins: i64) -> Bitrate {
        self.arrivals().map_or(Bitrate::ZERO, |arrivals| arrivals.received(bins) + self.unnumbered)
    }

    pub(crate) fn arrivals(&self) -> Option<&Arrivals> {
        self.path.as_ref().map(|path| path.arrivals())
    }

    pub(crate) fn is_foreign(&self) -> bool {
        self.overuse.is_foreign()
    }

    /// The last REMB.
    pub(crate) fn remb(&self) -> Option<Bitrate> {
        self.remb.map(|(rate, _)| rate)
    }

    /// The share lost, from 0 to 1.
    pub(crate) fn loss(&self, now: i64) -> f64 {
        match (self.signal(now), self.arrivals()) {
            (Signal::Transport, Some(arrivals)) => arrivals.loss(40).share,
            _ => self.losses.share(now).unwrap_or(0.0),
        }
    }
}

#[cfg(test)]
mod tests;
