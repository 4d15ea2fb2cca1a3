//! How long a publisher's packets wait at the relay, so that retransmissions of lost packets arrive in time: as long as
//! a repair takes, while there are losses. Audio waits as long as video, so that both stay in step.

use std::time::{Duration, Instant};

use crate::forward::DelayRamp;

/// The delay, and the value that it moves to.
#[derive(Debug, Default)]
pub(crate) struct RepairDelay {
    need: Duration,
    ramp: DelayRamp,
}

impl RepairDelay {
    /// True if no packet waits: nothing has been lost for some time.
    #[inline]
    pub(crate) fn is_zero(&self) -> bool {
        self.need.is_zero() && self.ramp.is_zero()
    }

    /// Sets the longest delay that the tracks need now.
    pub(crate) fn set_need(&mut self, need: Duration) {
        self.need = need;
    }

    /// How long a packet that arrives now waits. The delay grows slowly while the stream has viewers, because they
    /// would notice a step.
    pub(crate) fn of_packet(&mut self, has_viewers: bool, now: Instant) -> Duration {
        if has_viewers { self.ramp.toward(self.need, now) } else { self.ramp.begin(self.need, now) }
    }

    /// How long the newest packet waits.
    pub(crate) fn length(&self) -> Duration {
        self.ramp.held()
    }
}
