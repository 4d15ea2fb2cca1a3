//! How much one session may send on data channels.
//!
//! The limits act like a narrow network: what exceeds them is lost, SCTP repeats it, and its congestion control slows
//! the sender down. So a reliable channel stays reliable, and only becomes slow.

use std::time::{Duration, Instant};

use crate::name::Role;

/// The limits of a session's data channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelLimits {
    /// The longest message in octets, as in `a=max-message-size`. A longer one ends the session.
    pub message: usize,
    /// What the other side may send per second; no limit for a client, whose other side is a relay.
    pub rates: Option<ChannelRates>,
}

/// What a session may send per second, with a burst of [`BURST_SECONDS`]. Packets above that are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelRates {
    /// Messages.
    pub(crate) messages: u32,
    /// Octets of messages, each fragment counted as at least [`LEAST_FRAGMENT`].
    pub(crate) octets: u32,
}

/// A publisher's messages go to every viewer.
const PUBLISHER: ChannelRates = ChannelRates { messages: 1000, octets: 1024 * 1024 };

/// A viewer's messages go to the publisher alone, together with those of all other viewers.
const VIEWER: ChannelRates = ChannelRates { messages: 250, octets: 256 * 1024 };

/// The burst, in seconds of the rates.
const BURST_SECONDS: u32 = 4;

/// The least number of octets that a fragment counts as, because handling it costs that much.
const LEAST_FRAGMENT: usize = 64;

/// SCTP packets of any kind per second; twice what a publisher's octets and their acknowledgements take.
const PACKETS: u32 = 2000;

impl ChannelLimits {
    /// The limits of a session of this role with messages of at most `message` octets.
    pub(crate) fn of(role: Role, message: usize) -> Self {
        let rates = match role {
            Role::Publisher => PUBLISHER,
            Role::Viewer => VIEWER,
        };
        Self { message, rates: Some(rates) }
    }
}

/// What is left of a session's rates.
#[derive(Debug)]
pub(super) struct RateBudget {
    packets: Bucket,
    messages: Bucket,
    octets: Bucket,
}

impl RateBudget {
    pub(super) fn new(rates: ChannelRates) -> Self {
        let [packets, messages, octets] = [PACKETS, rates.messages, rates.octets].map(Bucket::new);
        Self { packets, messages, octets }
    }

    /// Takes a packet with `messages` beginnings of messages and fragments of these lengths, if enough is left for all
    /// of it. Otherwise nothing is taken.
    pub(super) fn take(&mut self, messages: usize, fragments: impl Iterator<Item = usize>, now: Instant) -> bool {
        let octets: usize = fragments.map(|length| length.max(LEAST_FRAGMENT)).sum();
        let buckets = [(&mut self.packets, 1), (&mut self.messages, messages), (&mut self.octets, octets)];
        let wanted = buckets.map(|(bucket, count)| {
            bucket.fill(now);
            (bucket, count as u64 * NANOS)
        });
        let enough = wanted.iter().all(|(bucket, count)| bucket.level >= *count);
        if enough {
            for (bucket, count) in wanted {
                bucket.level -= count;
            }
        }
        enough
    }
}

/// The level is in billionths, so that it rises by the rate each nanosecond.
const NANOS: u64 = 1_000_000_000;

/// A token bucket.
#[derive(Debug)]
struct Bucket {
    rate: u32,
    /// In billionths.
    level: u64,
    filled: Option<Instant>,
}

impl Bucket {
    fn new(rate: u32) -> Self {
        Self { rate, level: Self::full(rate), filled: None }
    }

    fn full(rate: u32) -> u64 {
        u64::from(rate) * u64::from(BURST_SECONDS) * NANOS
    }

    fn fill(&mut self, now: Instant) {
        let since = self.filled.map_or(Duration::ZERO, |filled| now.saturating_duration_since(filled));
        let nanos = since.as_nanos().min(u128::from(BURST_SECONDS) * u128::from(NANOS)) as u64;
        self.level = Self::full(self.rate).min(self.level + nanos * u64::from(self.rate));
        self.filled = Some(self.filled.map_or(now, |filled| filled.max(now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_used_up_and_refills_at_the_rate() {
        let start = Instant::now();
        let mut allowance = RateBudget::new(ChannelRates { messages: 10, octets: 1 << 20 });
        let mut taken = |at: Duration, tries: usize| {
            (0..tries).filter(|_| allowance.take(1, std::iter::once(8), start + at)).count()
        };
        assert_eq!(taken(Duration::ZERO, 100), 40);
        assert_eq!(taken(Duration::from_millis(50), 5), 0);
        assert_eq!(taken(Duration::from_millis(1100), 100), 11);
        assert_eq!(taken(Duration::from_secs(3600), 100), 40);
    }

    #[test]
    fn short_fragments_cost_more_than_their_octets() {
        let now = Instant::now();
        let mut allowance = RateBudget::new(ChannelRates { messages: 1000, octets: 64 });
        let taken = (0..100).filter(|_| allowance.take(0, [1, 1].into_iter(), now)).count();
        assert_eq!(taken, 2);
    }

    #[test]
    fn a_refused_packet_uses_nothing() {
        let now = Instant::now();
        let mut allowance = RateBudget::new(ChannelRates { messages: 1, octets: 1 << 20 });
        assert!(!allowance.take(5, std::iter::once(8), now));
        assert!(allowance.take(4, std::iter::once(8), now));
    }
}
