//! A viewer's link of limited capacity: packets leave it one after the other at its rate, and those that would wait too
//! long are dropped. It stands behind the viewer's socket, so each viewer has a link of its own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The longest wait; packets that would wait longer are dropped.
const QUEUE: Duration = Duration::from_millis(300);

pub(super) struct Downlink {
    /// Bits per second.
    capacity: u64,
    /// When the last waiting packet has left.
    free: Instant,
    /// At most [`QUEUE`] times the capacity.
    waiting: VecDeque<Delivery>,
    /// Packets dropped since counting began.
    pub(super) dropped: u64,
}

/// A packet at the end of the link.
pub(super) struct Delivery {
    pub(super) datagram: Vec<u8>,
    /// When it reached the link, since the Unix epoch.
    pub(super) reached: Duration,
    /// When it arrives.
    pub(super) at: Instant,
    /// How long it was on the link.
    pub(super) delay: Duration,
}

impl Downlink {
    /// A link that carries this many bits per second.
    pub(super) fn new(capacity: u64, now: Instant) -> Self {
        Self { capacity, free: now, waiting: VecDeque::new(), dropped: 0 }
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Takes a packet that reaches the link at `now`, which is `reached` since the Unix epoch.
    pub(super) fn push(&mut self, datagram: &[u8], now: Instant, reached: Duration) {
        let free = self.free.max(now);
        if free - now > QUEUE {
            self.dropped += 1;
            return;
        }
        self.free = free + Duration::from_secs_f64(datagram.len() as f64 * 8.0 / self.capacity as f64);
        let delivery = Delivery { datagram: datagram.to_vec(), reached, at: self.free, delay: self.free - now };
        self.waiting.push_back(delivery);
    }

    /// The next packet that has arrived.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Delivery> {
        self.waiting.pop_front_if(|delivery| delivery.at <= now)
    }

    /// When the next packet arrives.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.front().map(|delivery| delivery.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_leave_at_the_rate_of_the_link_and_none_waits_longer_than_the_queue() {
        let now = Instant::now();
        let mut link = Downlink::new(80_000, now);
        for _ in 0..50 {
            link.push(&[0; 100], now, Duration::ZERO);
        }
        // 100 octets take 10 ms: 300 ms of them and the next one are admitted.
        assert_eq!(link.dropped, 19);
        assert_eq!(link.poll_timeout(), Some(now + Duration::from_millis(10)));
        assert!(link.pop(now).is_none());
        let arrived = std::iter::from_fn(|| link.pop(now + Duration::from_millis(25))).map(|delivery| delivery.delay);
        assert_eq!(arrived.collect::<Vec<_>>(), [10, 20].map(Duration::from_millis));
        let later = now + Duration::from_secs(1);
        while link.pop(later).is_some() {}
        link.push(&[0; 100], later, Duration::ZERO);
        assert_eq!(link.poll_timeout(), Some(later + Duration::from_millis(10)));
    }
}
