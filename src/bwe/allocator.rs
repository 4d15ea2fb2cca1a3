//! From an estimate to a layer: audio first, then the best step that fits.
//!
//! A step is begun with room to spare and left without, and only when the estimate was lowered: a scene that costs more
//! is no reason as long as it arrives. Temporal ids are dropped at once; a layer is changed at a keyframe, and until it
//! comes the old one is halved. When not even the lowest step fits, video ends; a stream of one layer is shown in parts
//! instead.

use super::bitrate::Bitrate;
use super::choice::{Choice, Leaving};
use super::layers::{Cap, Layers, Step};
use super::time::{MILLISECOND, SECOND};
use crate::reason::SwitchReason;

/// How long the lowest step is kept although it does not fit, while the estimate goes on falling: the cause may be
/// other viewers, which give way.
const STARVING: i64 = 3 * SECOND;

/// The same where the estimate is less than this share of it.
const FAR_TOO_LITTLE: f64 = 0.6;
const STARVING_FAST: i64 = SECOND;

/// Decreases that are further apart than this belong to two separate times without enough bandwidth.
const APART: i64 = 2 * SECOND;

/// If the path carries less than this share of a single layer, the video is not shown in parts.
const SHOWN_IN_PARTS: f64 = 0.4;

/// If the path carries less than this share of a layer that is left, nothing more of it is sent: the queue of what was
/// sent has to drain before the other layer arrives.
const NOTHING_MORE: f64 = 0.8;

/// The queue at which a layer that is shown in parts pauses (us), and the shortest pause: more would flicker.
const LONGEST_QUEUE: i64 = 250 * MILLISECOND;
const SHORTEST_PAUSE: i64 = SECOND;

/// A goal is a little above the need, so that its success suffices.
const ENOUGH: f64 = 1.001;

/// What a decision rests on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation<'a> {
    pub(crate) layers: &'a Layers,
    pub(crate) cap: Cap,
    pub(crate) estimate: Bitrate,
    /// How long what was sent still queues if the path carries the estimate (us).
    pub(crate) own_queue: i64,
    /// The estimate was lowered since the last decision, and why.
    pub(crate) lowered: Option<SwitchReason>,
    /// The layer that is being sent.
    pub(crate) sending: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Nothing has been chosen yet.
    New,
    Video {
        step: Step,
        fit: Fit,
    },
    /// Nothing fits.
    AudioOnly,
    /// A single layer is paused until `resume`, when its queue has drained.
    Paused {
        resume: i64,
    },
}

/// How well a step fits.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fit {
    Fits,
    /// The first and the last decrease while not even the lowest step fits.
    Starving {
        since: i64,
        last: i64,
    },
    /// A single layer does not fit; it pauses when its queue is long.
    InParts,
}

#[derive(Debug)]
pub(crate) struct Allocator {
    state: State,
    reason: SwitchReason,
    /// How a larger layer is left.
    leaving: Leaving,
    cap: Cap,
}

impl Allocator {
    pub(crate) fn new() -> Self {
        Self { state: State::New, reason: SwitchReason::Chosen, leaving: Leaving::Half, cap: Cap::default() }
    }

    pub(crate) fn step(&self) -> Option<Step> {
        match self.state {
            State::Video { step, .. } => Some(step),
            State::New | State::AudioOnly | State::Paused { .. } => None,
        }
    }

    /// Whether a layer is sent that the path does not carry.
    pub(crate) fn is_in_parts(&self) -> bool {
        matches!(self.state, State::Video { fit: Fit::InParts, .. })
    }

    pub(crate) fn choice(&self, sending: Option<u8>) -> Choice {
        let step = self.step();
        let is_lower = step.is_some_and(|step| sending.is_some_and(|sending| step.layer < sending));
        Choice { video: step, leaving: if is_lower { self.leaving } else { Leaving::All }, reason: self.reason }
    }

    /// Whether something else than the estimate decides too: the queue of a layer that is sent in parts, or time.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_in_parts() || matches!(self.state, State::Paused { .. })
    }

    /// When a paused layer is to be decided about.
    pub(crate) fn poll_timeout(&self) -> Option<i64> {
        match self.state {
            State::Paused { resume } => Some(resume),
            State::New | State::Video { .. } | State::AudioOnly => None,
        }
    }

    /// Decides anew.
    pub(crate) fn decide(&mut self, situation: &Situation<'_>, now: i64) {
        let before = self.step();
        let Some((state, reason)) = self.next(situation, now) else { return };
        self.state = state;
        if self.step() != before {
            self.reason = reason;
            self.leaving = if carries_little(situation) { Leaving::Nothing } else { Leaving::Half };
        }
    }

    /// What follows, and why; `None` if all stays as it is.
    fn next(&mut self, situation: &Situation<'_>, now: i64) -> Option<(State, SwitchReason)> {
        let cap_changed = self.cap != situation.cap;
        self.cap = situation.cap;
        Some(match self.state {
            State::New => (first(situation)?, SwitchReason::Chosen),
            State::Video { step, .. } if is_void(step, situation) => {
                (fitting(situation), if cap_changed { SwitchReason::Selected } else { SwitchReason::Inactive })
            }
            State::Video { step, fit } => match situation.lowered {
                Some(reason) => lowered(step, fit, reason, situation, now),
                None if fit == Fit::InParts && situation.own_queue > LONGEST_QUEUE => {
                    (paused(situation, now), SwitchReason::Skip)
                }
                None => (
                    raised(Some(step), situation)?,
                    if cap_changed { SwitchReason::Selected } else { SwitchReason::Room },
                ),
            },
            State::AudioOnly => (raised(None, situation)?, SwitchReason::Room),
            State::Paused { resume } if now < resume => return None,
            State::Paused { .. } => {
                let lowest = situation.layers.steps(situation.cap).last();
                (lowest.map_or(State::AudioOnly, |step| State::Video { step, fit: Fit::InParts }), SwitchReason::Skip)
            }
        })
    }

    /// The rate that is worth a probe: that of the next better step. `None` while a switch waits, or where there is
    /// none.
    pub(crate) fn goal(&self, layers: &Layers, cap: Cap, sending: Option<u8>) -> Option<Bitrate> {
        let next = match self.state {
            State::Video { fit: Fit::InParts, .. } | State::New | State::Paused { .. } => return None,
            State::Video { step, .. } if sending != Some(step.layer) => return None,
            State::Video { step, .. } if step.temporal < layers.highest_temporal(step.layer, cap) => {
                Step { temporal: layers.highest_temporal(step.layer, cap), ..step }
            }
            State::Video { step, .. } => {
                let layer = layers.allowed(cap).filter(|layer| *layer > step.layer).last()?;
                Step { layer, temporal: layers.highest_temporal(layer, cap) }
            }
            State::AudioOnly => layers.steps(cap).last()?,
        };
        Some(layers.need(next) * ENOUGH)
    }
}

/// The first choice: what a replay has begun with, or what fits. `None` while there is nothing to send.
fn first(situation: &Situation<'_>) -> Option<State> {
    let layers = situation.layers;
    let begun = situation.sending.filter(|sending| layers.allowed(situation.cap).any(|layer| layer == *sending));
    let state = match begun {
        Some(layer) => {
            let temporal = layers.highest_temporal(layer, situation.cap);
            State::Video { step: Step { layer, temporal }, fit: Fit::Fits }
        }
        None => fitting(situation),
    };
    (state != State::AudioOnly).then_some(state)
}

/// The publisher does not send the step, or the viewer may not have it.
fn is_void(step: Step, situation: &Situation<'_>) -> bool {
    let layers = situation.layers;
    !layers.allowed(situation.cap).any(|layer| layer == step.layer)
        || step.temporal > layers.highest_temporal(step.layer, situation.cap)
}

/// What to send after the estimate was lowered.
fn lowered(step: Step, fit: Fit, reason: SwitchReason, situation: &Situation<'_>, now: i64) -> (State, SwitchReason) {
    let (layers, estimate) = (situation.layers, situation.estimate);
    if estimate >= layers.floor(step) {
        return (State::Video { step, fit: Fit::Fits }, reason);
    }
    let mut steps = layers.steps(situation.cap);
    if let Some(step) = steps.find(|step| estimate >= layers.floor(*step)) {
        return (State::Video { step, fit: Fit::Fits }, reason);
    }
    let Some(lowest) = layers.steps(situation.cap).last() else { return (State::AudioOnly, reason) };
    let floor = layers.floor(lowest);
    if layers.is_single() && step == lowest && estimate >= floor * SHOWN_IN_PARTS {
        return (paused(situation, now), SwitchReason::Skip);
    }
    let since = match fit {
        Fit::Starving { since, last } if now - last <= APART => since,
        Fit::Fits | Fit::Starving { .. } | Fit::InParts => now,
    };
    let patience = if estimate < floor * FAR_TOO_LITTLE { STARVING_FAST } else { STARVING };
    if now - since >= patience {
        return (State::AudioOnly, reason);
    }
    (State::Video { step: lowest, fit: Fit::Starving { since, last: now } }, reason)
}

/// Whether the estimate was lowered far below the rate of what is sent.
fn carries_little(situation: &Situation<'_>) -> bool {
    let layers = situation.layers;
    let step = |layer| Step { layer, temporal: layers.highest_temporal(layer, situation.cap) };
    let sent = situation.sending.map(|layer| layers.floor(step(layer)));
    situation.lowered.is_some() && sent.is_some_and(|sent| situation.estimate < sent * NOTHING_MORE)
}

/// The best step that fits with room, if it is better than what is sent.
fn raised(step: Option<Step>, situation: &Situation<'_>) -> Option<State> {
    let layers = situation.layers;
    let better = |other: &Step| step.is_none_or(|step| (other.layer, other.temporal) > (step.layer, step.temporal));
    let step = layers.steps(situation.cap).filter(better).find(|step| situation.estimate >= layers.need(*step))?;
    Some(State::Video { step, fit: Fit::Fits })
}

/// Pauses a single layer until what it queued has drained.
fn paused(situation: &Situation<'_>, now: i64) -> State {
    State::Paused { resume: now + situation.own_queue.max(SHORTEST_PAUSE) }
}

/// The best step that the estimate covers, or the lowest.
fn fitting(situation: &Situation<'_>) -> State {
    let layers = situation.layers;
    let fits = layers.steps(situation.cap).find(|step| situation.estimate >= layers.need(*step));
    let step = fits.or_else(|| layers.steps(situation.cap).last());
    step.map_or(State::AudioOnly, |step| State::Video { step, fit: Fit::Fits })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bwe::{Layer, Layers};

    fn bits(bits: f64) -> Bitrate {
        Bitrate::from_bits(bits)
    }

    /// Layers of 0.2, 0.6 and 2 Mbit/s. The lower one of their two temporal ids takes half of the rate.
    fn layers() -> Layers {
        let layer = |rate: f64| Layer {
            rates: [0.5, 1.0, 1.0, 1.0].map(|share| bits(rate * share)),
            highest_temporal: 1,
            is_active: true,
            ..Layer::default()
        };
        Layers::new(bits(40e3), &[200e3, 600e3, 2e6].map(layer))
    }

    /// The layer and the temporal id that are sent at this estimate; `lowered` if the estimate has just been lowered.
    fn sent(allocator: &mut Allocator, estimate: f64, lowered: bool, now: i64) -> Option<(u8, u8)> {
        let (layers, sending) = (layers(), allocator.step().map(|step| step.layer));
        let situation = Situation {
            layers: &layers,
            cap: Cap::default(),
            estimate: bits(estimate),
            own_queue: 0,
            lowered: lowered.then_some(SwitchReason::Queue),
            sending,
        };
        allocator.decide(&situation, now);
        allocator.step().map(|step| (step.layer, step.temporal))
    }

    #[test]
    fn a_step_is_begun_with_room_and_left_only_when_the_estimate_is_lowered_below_it() {
        let mut allocator = Allocator::new();
        assert_eq!(sent(&mut allocator, 1e6, false, 0), Some((1, 1)));
        assert_eq!(sent(&mut allocator, 2.1e6, false, 1), Some((2, 0)), "half of the frames of a better layer");
        assert_eq!(sent(&mut allocator, 2.3e6, false, 2), Some((2, 1)));
        assert_eq!(sent(&mut allocator, 1e6, false, 3), Some((2, 1)), "a scene that costs more is no reason");
        assert_eq!(sent(&mut allocator, 2.05e6, true, 4), Some((2, 1)), "it fits without room");
        assert_eq!(sent(&mut allocator, 1.1e6, true, 5), Some((2, 0)));
        assert_eq!(sent(&mut allocator, 0.3e6, true, 6), Some((0, 1)));
        assert_eq!(sent(&mut allocator, 0.15e6, true, 7), Some((0, 0)));
    }

    #[test]
    fn video_ends_when_the_lowest_step_does_not_fit_for_some_time_and_is_back_with_room() {
        let mut allocator = Allocator::new();
        sent(&mut allocator, 0.3e6, false, 0);
        assert_eq!(sent(&mut allocator, 0.1e6, true, SECOND), Some((0, 0)));
        assert_eq!(sent(&mut allocator, 0.1e6, true, 2 * SECOND), Some((0, 0)), "others may give way");
        assert_eq!(sent(&mut allocator, 0.1e6, true, 4 * SECOND), None);
        assert_eq!(sent(&mut allocator, 0.145e6, false, 5 * SECOND), None, "without room");
        assert_eq!(sent(&mut allocator, 0.16e6, false, 6 * SECOND), Some((0, 0)));
    }

    #[test]
    fn the_goal_of_a_probe_is_the_next_layer_with_all_of_its_frames() {
        let mut allocator = Allocator::new();
        sent(&mut allocator, 1e6, false, 0);
        let goal = |allocator: &Allocator, sending| allocator.goal(&layers(), Cap::default(), sending);
        let goal_of_best = goal(&allocator, Some(1)).expect("there is a better layer");
        assert!((2.2e6..2.3e6).contains(&goal_of_best.bits()), "{goal_of_best:?}");
        assert_eq!(goal(&allocator, Some(0)), None, "a switch waits for its keyframe");
        sent(&mut allocator, 2.3e6, false, 1);
        assert_eq!(goal(&allocator, Some(2)), None, "the best layer is sent");
    }
}
