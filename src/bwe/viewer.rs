//! Bandwidth and layers of one viewer: what a worker calls for each of its packets, its RTCP and its timer.

use std::time::{Duration, Instant};

use super::allocator::{Allocator, Situation};
use super::bitrate::Bitrate;
use super::choice::{Choice, Leaving};
use super::estimator::{Estimator, Lowered};
use super::feedback::Feedback;
use super::layers::{Cap, Layers, Step};
use super::losses::Nacked;
use super::overuse::Cause;
use super::pacer::Pacer;
use super::prober::{Outcome, Padding, Prober};
use super::tally::{Gauges, Tally};
use super::time;
use crate::reason::SwitchReason;

/// How much above the rate of what is sent a viewer is paced at most.
const PACED: f64 = 1.3;

/// What a packet is, which says how it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Audio: neither numbered nor paced.
    Audio,
    /// Video for the first time.
    Video,
    /// Video that a NACK asked for.
    Resend,
    /// An old packet sent again by RTX, for a probe.
    Padding,
}

/// Whether decisions are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Cached frames are sent faster than they were recorded. They are the `first` if nothing had arrived before.
    Replay {
        first: bool,
    },
    Live,
}

/// Bandwidth and layers of one viewer. Below 2 KiB; with [`Self::number_packets`] it owns a box of 14 kB more.
#[derive(Debug)]
pub struct Viewer {
    began: Instant,
    /// The last moment, also in microseconds: packets of one run are sent in one.
    moment: (Instant, i64),
    phase: Phase,
    estimator: Estimator,
    prober: Prober,
    allocator: Allocator,
    pacer: Pacer,
    layers: Layers,
    cap: Cap,
    /// The rate of the best step of these; each feedback is judged by it.
    best: Option<Bitrate>,
    /// The layer that is being sent.
    sending: Option<u8>,
    /// The rate of what is being sent; of each packet it is only read.
    current: Bitrate,
    /// The rate that is worth a probe; with each frame it is only read.
    goal: Option<Bitrate>,
    /// The estimate that the last decision rests on; `None` if something else has changed since.
    decided: Option<Bitrate>,
    tally: Tally,
}

impl Viewer {
    /// A viewer whose path is taken to carry `start` until something shows more or less.
    pub fn new(start: Bitrate, random: u32, now: Instant) -> Self {
        Self {
            began: now,
            moment: (now, 0),
            phase: Phase::Live,
            estimator: Estimator::new(start, random, 0),
            prober: Prober::new(0),
            allocator: Allocator::new(),
            pacer: Pacer::new(0),
            layers: Layers::default(),
            cap: Cap::default(),
            best: None,
            sending: None,
            current: Bitrate::ZERO,
            goal: None,
            decided: None,
            tally: Tally::default(),
        }
    }

    /// From now on video packets have transport-wide numbers: the viewer agreed to them and there is something to
    /// choose. Call it again when they begin again after a pause. Allocates what remembers the packets. Ends by itself if
    /// the viewer sends no feedback within 2 s.
    pub fn number_packets(&mut self, now: Instant) {
        let now = self.time(now);
        self.estimator.number_packets(now);
    }

    /// The number to write into the next packet of video, a resend and padding included; `None`: leave the header
    /// extension out.
    pub fn transport_number(&self) -> Option<u16> {
        self.estimator.next_number()
    }

    /// A packet is sealed, of `octets` on the path.
    pub fn on_sent(&mut self, sent: Sent, octets: usize, now: Instant) {
        let now = self.moment(now);
        if sent == Sent::Audio {
            return;
        }
        let estimate = self.estimator.estimate();
        let believed = if self.allocator.is_in_parts() { estimate } else { estimate.max(self.current) };
        let is_padding = sent == Sent::Padding;
        self.estimator.on_sent(octets, is_padding, self.prober.assumed().unwrap_or(believed), now);
        if is_padding {
            self.prober.on_padding(octets);
            self.tally.padding += octets as u64;
        } else if self.phase == Phase::Live {
            self.pacer.on_sent(octets);
            if self.allocator.is_in_parts() {
                self.decide(None, now);
            }
        }
    }

    /// Whether a packet of video or a resend may be sent now. If not, [`Self::poll_timeout`] says when to try again.
    pub fn may_send(&mut self, now: Instant) -> bool {
        let now = self.moment(now);
        // Without a rate there is no pace: nothing of the layer has been measured.
        let is_known = self.sending.is_some() && self.current > self.layers.audio();
        if self.phase != Phase::Live || !is_known {
            return true;
        }
        if !self.pacer.is_due(now) {
            return self.pacer.passes();
        }
        let estimate = self.estimator.estimate();
        let rate = if self.pacer.drains(now) { estimate } else { estimate.max(self.current).min(self.current * PACED) };
        self.pacer.may_send(rate, now)
    }

    /// Transport-wide feedback came.
    pub fn on_transport_feedback(&mut self, feedback: &Feedback<'_>, now: Instant) {
        let now = self.time(now);
        self.estimator.on_feedback(feedback, now);
        if self.estimator.is_calm(now) {
            self.pacer.on_drained();
        }
        if self.phase != Phase::Live {
            return;
        }
        let was_foreign = self.estimator.is_foreign();
        let lowered = if self.prober.is_ramping() {
            None
        } else {
            self.estimator.judge(self.current, self.share(self.current), now)
        };
        if self.estimator.is_foreign() && !was_foreign {
            self.prober.hurry(now);
        }
        self.settle(lowered, now);
    }

    /// The viewer's own estimate came (REMB, draft-alvestrand-rmcat-remb).
    pub fn on_remb(&mut self, rate: Bitrate, now: Instant) {
        let now = self.time(now);
        let lowered = self.estimator.on_remb(rate, now);
        self.settle(lowered, now);
    }

    /// A receiver report on the video came, with this fraction lost in 1/256 (RFC 3550 6.4.1).
    pub fn on_report(&mut self, fraction_lost: u8, now: Instant) {
        let now = self.time(now);
        let lowered = self.estimator.on_report(fraction_lost, now);
        self.settle(lowered, now);
    }

    /// A NACK on the video came.
    pub fn on_nack(&mut self, nacked: Nacked, now: Instant) {
        let now = self.time(now);
        let lowered = self.estimator.on_nack(nacked, now);
        self.settle(lowered, now);
    }

    /// The path is another one, or the viewer is back after an absence in which nothing was sent: delays from before
    /// cannot be compared, and half of the estimate is kept.
    pub fn on_path_change(&mut self, now: Instant) {
        let now = self.time(now);
        let lowered = self.estimator.on_path_change(now);
        self.prober.on_path_change(now);
        self.settle(Some(lowered), now);
    }

    /// What there is to choose from, with rates of the last second. Call it each second, and at once when a layer falls
    /// silent or comes back.
    pub fn set_layers(&mut self, layers: &Layers, now: Instant) {
        let now = self.time(now);
        self.layers = *layers;
        self.update_best();
        self.estimator.set_unnumbered(layers.audio());
        self.settle(None, now);
    }

    /// The most that the viewer may have.
    pub fn set_cap(&mut self, cap: Cap, now: Instant) {
        let now = self.time(now);
        self.cap = cap;
        self.update_best();
        self.settle(None, now);
    }

    /// From now on the track sends this layer; `None`: no video.
    pub fn on_switched(&mut self, layer: Option<u8>, now: Instant) {
        let now = self.time(now);
        self.sending = layer;
        self.decided = None;
        self.settle(None, now);
    }

    /// A replay of cached frames begins: nothing is decided or paced until [`Self::on_live`].
    pub fn on_replay(&mut self) {
        if self.phase == Phase::Live {
            let first = self.estimator.arrivals().is_none_or(|arrivals| arrivals.standing(0).is_none());
            self.phase = Phase::Replay { first };
        }
        self.prober.cancel();
    }

    /// The replay is done. What the first one delivered is the first estimate.
    pub fn on_live(&mut self, now: Instant) {
        if let Phase::Replay { first } = self.phase {
            let now = self.time(now);
            self.phase = Phase::Live;
            self.estimator.on_replayed(first, now);
            self.pacer = Pacer::new(now);
            self.settle(None, now);
        }
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let is_probing = !self.prober.is_idle() || self.goal.is_some_and(|goal| goal > self.estimator.estimate());
        let probe = (is_probing && self.phase == Phase::Live).then(|| self.prober.poll_timeout());
        let all = [self.estimator.poll_timeout(), probe, self.pacer.poll_timeout(), self.allocator.poll_timeout()];
        // As a number, because each serving asks for it several times.
        let due = all.iter().fold(i64::MAX, |least, due| least.min(due.unwrap_or(i64::MAX)));
        (due < i64::MAX).then(|| time::at(self.began, due))
    }

    /// Time has passed. Afterwards send what [`Self::poll_padding`] says.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.time(now);
        self.pacer.on_timer(now);
        let lowered = self.estimator.on_timer(now);
        self.settle(lowered, now);
        let outcome = self.prober.on_timer(self.current, &mut self.estimator, now);
        self.on_outcome(outcome, now);
    }

    /// Padding that is due; the caller sends about that much and reports it by [`Self::on_sent`].
    pub fn poll_padding(&self) -> Option<Padding> {
        self.prober.padding()
    }

    /// What to send.
    pub fn choice(&self) -> Choice {
        self.allocator.choice(self.sending)
    }

    /// What the path is known to carry.
    pub fn estimate(&self) -> Bitrate {
        self.estimator.estimate()
    }

    /// What was counted since the last call.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// What is known of the path.
    pub fn gauges(&self, now: Instant) -> Gauges {
        let standing = self.estimator.arrivals().and_then(|arrivals| arrivals.standing(0));
        Gauges {
            estimate: self.estimator.estimate(),
            queue: standing.map(|standing| Duration::from_micros(standing.max(0) as u64)),
            loss: self.estimator.loss(self.time(now)),
        }
    }

    /// Draws the consequences of what has come: for the probe, what is sent, and the next probe.
    fn settle(&mut self, lowered: Option<Lowered>, now: i64) {
        if self.phase != Phase::Live {
            return;
        }
        if lowered.is_some() {
            self.tally.lowered += 1;
            self.prober.on_lowered(&self.estimator, now);
        }
        let outcome = self.prober.on_feedback(&mut self.estimator, now);
        let is_decided = self.decided == Some(self.estimator.estimate()) && !self.allocator.is_waiting();
        if lowered.is_some() || !is_decided {
            self.decide(lowered.map(|lowered| reason(lowered.cause)), now);
        }
        self.on_outcome(outcome, now);
        match self.goal {
            Some(goal) => _ = self.prober.begin(goal, self.share(goal), &mut self.estimator, now),
            None => self.prober.cancel(),
        }
    }

    fn on_outcome(&mut self, outcome: Option<Outcome>, now: i64) {
        match outcome {
            None => return,
            Some(Outcome::Passed { goal, shown }) => {
                self.tally.probes_passed += 1;
                // The layer's rate is measured each second: it may have grown while the probe was under way.
                let needed = self.allocator.goal(&self.layers, self.cap, self.sending).unwrap_or(goal);
                self.estimator.raise(needed.max(goal).min(shown));
            }
            Some(Outcome::TrainFailed | Outcome::RampFailed) => self.tally.probes_failed += 1,
        }
        self.decide(None, now);
    }

    fn decide(&mut self, lowered: Option<SwitchReason>, now: i64) {
        let situation = Situation {
            layers: &self.layers,
            cap: self.cap,
            estimate: self.estimator.estimate(),
            own_queue: self.estimator.own_queue(now),
            lowered,
            sending: self.sending,
        };
        self.allocator.decide(&situation, now);
        if lowered.is_some() && self.choice().leaving == Leaving::Nothing {
            self.pacer.drain(now);
        }
        self.current = self.rate_of_sending();
        self.decided = Some(self.estimator.estimate());
        self.goal = self.allocator.goal(&self.layers, self.cap, self.sending);
    }

    /// The rate of what is being sent: of a layer that is being left, all of it.
    fn rate_of_sending(&self) -> Bitrate {
        let step = self.sending.map(|layer| match self.allocator.step() {
            Some(step) if step.layer == layer => step,
            _ => Step { layer, temporal: self.layers.highest_temporal(layer, self.cap) },
        });
        step.map_or(self.layers.audio(), |step| self.layers.floor(step))
    }

    /// How much of what the viewer's best step costs is sent, from 0 to 1.
    fn share(&self, rate: Bitrate) -> f64 {
        (rate.bits() / self.best.unwrap_or(rate).bits().max(1.0)).min(1.0)
    }

    /// There is something else to choose from.
    fn update_best(&mut self) {
        self.best = self.layers.steps(self.cap).next().map(|best| self.layers.floor(best));
        self.decided = None;
    }

    /// What [`Self::time`] returns, converted once for all packets of a run.
    fn moment(&mut self, now: Instant) -> i64 {
        if self.moment.0 != now {
            self.moment = (now, self.time(now));
        }
        self.moment.1
    }

    fn time(&self, now: Instant) -> i64 {
        time::since(self.began, now)
    }
}

fn reason(cause: Cause) -> SwitchReason {
    match cause {
        Cause::Queue => SwitchReason::Queue,
        Cause::Loss => SwitchReason::Loss,
        Cause::Silence => SwitchReason::Silence,
        Cause::Remb => SwitchReason::Remb,
        Cause::Path => SwitchReason::Path,
    }
}

#[cfg(test)]
mod tests;
