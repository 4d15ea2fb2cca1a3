//! Decides over the keyframe requests of one layer: however many viewers ask, the publisher gets at most one request
//! per second, repeated each second until a keyframe arrives. It also reports whether the publisher answers: some
//! encoders ignore requests, and their viewers are helped by other means.

use std::time::{Duration, Instant};

/// Minimum time between two requests to a publisher for one layer.
const REQUEST_INTERVAL: Duration = Duration::from_secs(1);

/// A keyframe within this time of a request counts as its answer.
pub(crate) const ANSWER_TIME: Duration = Duration::from_millis(500);

/// Decides when the publisher of one layer is asked for a keyframe.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyframeGate {
    /// Since when a keyframe is wanted; `None` when no viewer waits for one.
    wanted: Option<Instant>,
    requested: Option<Instant>,
    /// The newest request, until it is answered or [`ANSWER_TIME`] has passed.
    unanswered: Option<Instant>,
}

impl KeyframeGate {
    /// A viewer needs a keyframe.
    pub(crate) fn demand(&mut self, now: Instant) {
        self.wanted.get_or_insert(now);
    }

    /// No viewer needs a keyframe any more.
    pub(crate) fn withdraw(&mut self) {
        self.wanted = None;
    }

    /// A keyframe has begun to arrive, so no viewer waits for one. True when it answers a request.
    pub(crate) fn satisfied(&mut self, now: Instant) -> bool {
        self.wanted = None;
        let asked = self.unanswered.take_if(|asked| now.saturating_duration_since(*asked) <= ANSWER_TIME);
        asked.is_some()
    }

    /// True when a request must be sent to the publisher now; it then counts as sent.
    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        let due = self.request_due().is_some_and(|due| due <= now);
        if due {
            self.requested = Some(now);
            self.unanswered = Some(now);
        }
        due
    }

    /// True once for each request that the publisher did not answer.
    pub(crate) fn poll_ignored(&mut self, now: Instant) -> bool {
        self.unanswered.take_if(|asked| now.saturating_duration_since(*asked) > ANSWER_TIME).is_some()
    }

    /// When [`Self::poll`] or [`Self::poll_ignored`] has work; `None` when there is none.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        // An answer may arrive at the last moment.
        let ignored = self.unanswered.map(|asked| asked + ANSWER_TIME + Duration::from_millis(1));
        self.request_due().into_iter().chain(ignored).min()
    }

    fn request_due(&self) -> Option<Instant> {
        let wanted = self.wanted?;
        Some(self.requested.map_or(wanted, |requested| wanted.max(requested + REQUEST_INTERVAL)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_demand_is_passed_on_at_once() {
        let now = Instant::now();
        let mut gate = KeyframeGate::default();
        assert_eq!(gate.poll_timeout(), None);
        gate.demand(now);
        assert_eq!(gate.poll_timeout(), Some(now));
        assert!(gate.poll(now) && !gate.poll(now));
    }

    #[test]
    fn a_thousand_viewers_in_a_second_cause_one_request() {
        let start = Instant::now();
        let mut gate = KeyframeGate::default();
        let requests = (0..1_000).map(|viewer| start + Duration::from_micros(999 * viewer)).filter(|&now| {
            gate.demand(now);
            gate.poll(now)
        });
        assert_eq!(requests.count(), 1);
    }

    #[test]
    fn repeats_each_second_until_the_keyframe_comes() {
        let start = Instant::now();
        let mut gate = KeyframeGate::default();
        gate.demand(start);
        for second in 0..5 {
            let due = start + REQUEST_INTERVAL * second;
            assert_eq!(gate.poll_timeout(), Some(due));
            assert!(!gate.poll(due - Duration::from_millis(1)) && gate.poll(due));
            assert!(!gate.poll_ignored(due + ANSWER_TIME) && gate.poll_ignored(due + REQUEST_INTERVAL));
        }
        assert!(!gate.satisfied(start + Duration::from_secs(9)));
        assert_eq!(gate.poll_timeout(), None);
        assert!(!gate.poll(start + Duration::from_secs(9)));
    }

    #[test]
    fn a_keyframe_does_not_shorten_the_interval() {
        let start = Instant::now();
        let mut gate = KeyframeGate::default();
        gate.demand(start);
        assert!(gate.poll(start));
        gate.satisfied(start);
        gate.demand(start + Duration::from_millis(300));
        assert!(!gate.poll(start + Duration::from_millis(999)));
        assert!(gate.poll(start + REQUEST_INTERVAL));
    }

    #[test]
    fn a_keyframe_within_half_a_second_answers_a_request_and_a_later_one_does_not() {
        let start = Instant::now();
        let mut gate = KeyframeGate::default();
        assert!(!gate.satisfied(start), "no request");
        gate.demand(start);
        assert!(gate.poll(start));
        assert_eq!(gate.poll_timeout(), Some(start + ANSWER_TIME + Duration::from_millis(1)));
        assert!(!gate.poll_ignored(start + ANSWER_TIME));
        assert!(gate.satisfied(start + ANSWER_TIME) && !gate.satisfied(start + ANSWER_TIME));
        gate.demand(start + REQUEST_INTERVAL);
        assert!(gate.poll(start + REQUEST_INTERVAL));
        let late = start + REQUEST_INTERVAL + ANSWER_TIME * 2;
        assert!(!gate.satisfied(late) && gate.poll_ignored(late) && !gate.poll_ignored(late));
        assert_eq!(gate.poll_timeout(), None);
    }
}
