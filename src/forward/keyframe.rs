//! One authority per layer over keyframe requests: however many viewers ask, the publisher hears at most one request a
//! second, and hears it again each second until a keyframe comes.

use std::time::{Duration, Instant};

/// The least time between two requests to a publisher for one layer.
pub const REQUEST_INTERVAL: Duration = Duration::from_secs(1);

/// Decides when one layer's publisher is asked for a keyframe.
#[derive(Clone, Debug, Default)]
pub struct KeyframeGate {
    /// Since when a keyframe is wanted; `None` when nobody waits for one.
    wanted: Option<Instant>,
    requested: Option<Instant>,
}

impl KeyframeGate {
    /// A viewer needs a keyframe.
    pub fn demand(&mut self, now: Instant) {
        self.wanted.get_or_insert(now);
    }

    /// A keyframe has begun to arrive: nobody waits any more.
    pub fn satisfied(&mut self) {
        self.wanted = None;
    }

    /// True when a request is to be sent upstream now; it then counts as sent.
    pub fn poll(&mut self, now: Instant) -> bool {
        let due = self.poll_timeout().is_some_and(|due| due <= now);
        if due {
            self.requested = Some(now);
        }
        due
    }

    /// When the next request is due; `None` when nobody waits for a keyframe.
    pub fn poll_timeout(&self) -> Option<Instant> {
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
        }
        gate.satisfied();
        assert_eq!(gate.poll_timeout(), None);
        assert!(!gate.poll(start + Duration::from_secs(9)));
    }

    #[test]
    fn a_keyframe_does_not_shorten_the_interval() {
        let start = Instant::now();
        let mut gate = KeyframeGate::default();
        gate.demand(start);
        assert!(gate.poll(start));
        gate.satisfied();
        gate.demand(start + Duration::from_millis(300));
        assert!(!gate.poll(start + Duration::from_millis(999)));
        assert!(gate.poll(start + REQUEST_INTERVAL));
    }
}
