//! What transport-wide feedback shows of the path to a viewer: arrivals, losses, and the queue that stands in it.

use super::arrivals::Arrivals;
use super::base_delay::BaseDelay;
use super::bitrate::Bitrate;
use super::feedback::Feedback;
use super::reference_clock::{Reference, ReferenceClock};
use super::sent_ring::{News, SentRing};
use super::train::Train;

/// Microseconds of the unit of arrival times.
const TICK: i64 = 250;

#[derive(Debug)]
pub(crate) struct Path {
    sent: SentRing,
    arrivals: Arrivals,
    base: BaseDelay,
    clock: ReferenceClock,
    train: Option<Train>,
    heard: Option<i64>,
}

impl Path {
    pub(crate) fn new(now: i64) -> Self {
        Self {
            sent: SentRing::new(),
            arrivals: Arrivals::new(),
            base: BaseDelay::new(now),
            clock: ReferenceClock::default(),
            train: None,
            heard: None,
        }
    }

    /// The number of the packet that is sent next.
    pub(crate) fn next_number(&self) -> u16 {
        self.sent.next()
    }

    /// A packet with the next number is sent; `expected` microseconds of queueing are explained by what was sent before
    /// it.
    pub(crate) fn on_sent(&mut self, octets: usize, is_padding: bool, expected: f64, now: i64) {
        let octets = u16::try_from(octets).unwrap_or(u16::MAX);
        if is_padding && let Some(train) = &mut self.train {
            train.on_padding(self.sent.next(), now);
        }
        self.sent.push(octets, expected, now);
    }

    /// Takes the arrivals in; `is_foreign`: another sender keeps the queue of the path full. Returns how much shorter
    /// than expected the queue of the sender's own bursts turned out to be (us).
    pub(crate) fn on_feedback(&mut self, feedback: &Feedback<'_>, is_foreign: bool, now: i64) -> i64 {
        let mut shorter = 0;
        let reference = match self.clock.unwrap(feedback.reference(), now) {
            Reference::Continues(reference) => reference,
            Reference::Jumped(reference) => {
                self.forget_delays(now);
                reference
            }
        };
        self.heard = Some(now);
        for (number, arrival) in feedback.statuses() {
            let arrival = arrival.map(|ticks| reference + i64::from(ticks) * TICK);
            match (self.sent.tell(number, arrival.is_some(), now), arrival) {
                (Some(News::Arrived { sent, octets, expected, was_missing }), Some(arrival)) => {
                    let excess = self.base.excess(arrival - sent, is_foreign, now);
                    let late = excess - expected;
                    self.arrivals.push(arrival, late, octets);
                    if late < 0 {
                        // The packets behind it queued that much less too.
                        self.sent.shorten(-late);
                        shorter -= late;
                    }
                    if was_missing {
                        self.arrivals.take_loss_back();
                    }
                    if let Some(train) = &mut self.train {
                        train.on_arrived(number, arrival, octets);
                    }
                }
                (Some(News::Missing), _) => self.arrivals.push_lost(),
                _ => {}
            }
        }
        shorter
    }

    /// Delays and arrivals from before cannot be compared with those that come: another path, another clock, or a long
    /// silence.
    pub(crate) fn forget_delays(&mut self, now: i64) {
        self.arrivals = Arrivals::new();
        self.base = BaseDelay::new(now);
        self.train = None;
    }

    pub(crate) fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// When feedback came last.
    pub(crate) fn heard(&self) -> Option<i64> {
        self.heard
    }

    /// Padding sent until then is a train.
    pub(crate) fn begin_train(&mut self, until: i64) {
        self.train = Some(Train::new(until));
    }

    /// How fast the train arrived, once feedback tells of a packet behind it.
    pub(crate) fn train_is_reported(&self) -> bool {
        self.train.as_ref().and_then(Train::behind).is_some_and(|behind| self.sent.is_reported(behind))
    }

    /// How fast the train arrived, and whether enough of its arrivals were apart to tell; ends it.
    pub(crate) fn end_train(&mut self) -> (Bitrate, bool) {
        self.train.take().map_or((Bitrate::ZERO, true), |train| (train.rate(), train.is_clear()))
    }
}

#[cfg(test)]
mod tests;
