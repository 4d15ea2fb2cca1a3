//! The queue that the sender's own bursts make on a path that carries what it is assumed to carry. A keyframe of five
//! times a frame's size queues at every link; it explains that delay, and only what is later than that is overuse.

use super::bitrate::Bitrate;

/// The slowest path that is assumed.
const SLOWEST: Bitrate = Bitrate::from_bits(50e3);

/// The longest delay that a burst explains (us).
const LONGEST: f64 = 1e6;

#[derive(Debug, Default)]
pub(crate) struct VirtualQueue {
    octets: f64,
    at: i64,
    /// What the path was taken to carry when the last packet was sent.
    rate: Bitrate,
}

impl VirtualQueue {
    /// A packet is sent over a path that carries `rate`: how long it queues with what was sent before (us).
    pub(crate) fn push(&mut self, octets: f64, rate: Bitrate, now: i64) -> f64 {
        let rate = rate.max(SLOWEST);
        self.octets = (self.octets - rate.octets_in(now - self.at)).max(0.0) + octets;
        self.at = now;
        self.rate = rate;
        rate.time_for(self.octets).min(LONGEST)
    }

    /// The path has shown that the queue is shorter by this (us): it carries more than was assumed.
    pub(crate) fn shorten(&mut self, by: i64) {
        self.octets = (self.octets - self.rate.octets_in(by)).max(0.0);
    }

    /// How long the queue takes to drain at `rate` (us).
    pub(crate) fn delay(&self, rate: Bitrate, now: i64) -> i64 {
        let rate = rate.max(SLOWEST);
        rate.time_for((self.octets - rate.octets_in(now - self.at)).max(0.0)) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bwe::time::SECOND;

    #[test]
    fn a_burst_explains_its_own_delay_and_drains() {
        let (mut queue, rate) = (VirtualQueue::default(), Bitrate::from_bits(1e6));
        assert_eq!(queue.push(1250.0, rate, 0), 10_000.0);
        assert_eq!(queue.push(1250.0, rate, 0), 20_000.0);
        assert_eq!(queue.delay(rate, 5_000), 15_000);
        assert_eq!(queue.push(1250.0, rate, SECOND), 10_000.0);
    }

    #[test]
    fn a_queue_that_the_path_does_not_have_explains_nothing() {
        let (mut queue, rate) = (VirtualQueue::default(), Bitrate::from_bits(1e6));
        queue.push(12_500.0, rate, 0);
        queue.shorten(60_000);
        assert_eq!(queue.delay(rate, 0), 40_000);
        queue.shorten(SECOND);
        assert_eq!(queue.push(1250.0, rate, 0), 10_000.0);
    }

    #[test]
    fn it_explains_no_more_than_a_second() {
        let mut queue = VirtualQueue::default();
        assert_eq!(queue.push(1e9, Bitrate::ZERO, 0), 1e6);
    }
}
