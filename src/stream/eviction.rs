//! Limits takeovers: two encoders with one key must not evict each other forever.
//!
//! The newest authorised publisher gets the stream. The limit: a client whose publisher was replaced is refused for
//! [`COOL_DOWN`], unless the publisher that it would replace is silent itself. A publisher that was already silent for
//! [`SILENT`] when it was replaced may return at once, for example after a crash or on another network; except when its
//! standby replaced it, because the standby did what it is for.
//!
//! A client is identified by what stays the same when an encoder reconnects: the credential of its POST, the address of
//! the POST, and its user agent. Two encoders at one address with one user agent count as one client. That is harmless:
//! a refused client is accepted when the current publisher is silent, and after the cool-down.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::auth::Credential;

/// How long a client that was replaced is refused.
pub const COOL_DOWN: Duration = Duration::from_secs(10);

/// A publisher without packets for this long is silent, and another may replace it.
pub(crate) const SILENT: Duration = Duration::from_secs(1);

/// Clients remembered per stream. When full, the one that was replaced first is forgotten, and may return.
const CAPACITY: usize = 8;

/// Identifies a publishing client across attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The credential of the POST.
    pub(crate) credential: Credential,
    /// The address of the POST.
    pub(crate) address: IpAddr,
    /// Its user agent.
    pub(crate) user_agent: Option<String>,
}

/// The stream has a publisher that this client may not replace now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another encoder has taken this stream over from you: stop one of the two, or try again later")]
pub struct TakeoverRefused {
    /// When the client may try again.
    pub retry_after: Duration,
}

/// The clients that were recently replaced in one stream.
#[derive(Debug, Default)]
pub(super) struct Evictions(VecDeque<(Identity, Instant)>);

impl Evictions {
    /// Notes that this client was replaced.
    pub(super) fn remember(&mut self, identity: &Identity, now: Instant) {
        self.0.retain(|(known, since)| known != identity && now.saturating_duration_since(*since) < COOL_DOWN);
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back((identity.clone(), now));
    }

    /// Checks whether this client may replace another.
    pub(super) fn check(&self, identity: &Identity, now: Instant) -> Result<(), TakeoverRefused> {
        let lost = self.0.iter().find(|(known, _)| known == identity).map(|(_, since)| *since);
        let left = lost.and_then(|since| COOL_DOWN.checked_sub(now.saturating_duration_since(since)));
        match left.filter(|left| !left.is_zero()) {
            Some(retry_after) => Err(TakeoverRefused { retry_after }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(host: u8) -> Identity {
        Identity { credential: Credential::ANONYMOUS, address: [10, 0, 0, host].into(), user_agent: None }
    }

    #[test]
    fn a_replaced_client_is_refused_until_the_cool_down_is_over() {
        let start = Instant::now();
        let mut evictions = Evictions::default();
        evictions.remember(&identity(1), start);
        let three = start + Duration::from_secs(3);
        assert_eq!(evictions.check(&identity(1), three), Err(TakeoverRefused { retry_after: Duration::from_secs(7) }));
        assert_eq!(evictions.check(&identity(2), three), Ok(()));
        let named = Identity { user_agent: Some("other".to_owned()), ..identity(1) };
        assert_eq!(evictions.check(&named, three), Ok(()));
        assert_eq!(evictions.check(&identity(1), start + COOL_DOWN), Ok(()));
    }

    #[test]
    fn the_number_of_remembered_clients_is_bounded() {
        let start = Instant::now();
        let mut evictions = Evictions::default();
        for host in 0..=CAPACITY as u8 {
            evictions.remember(&identity(host), start);
        }
        assert_eq!(evictions.0.len(), CAPACITY);
        assert!(evictions.check(&identity(0), start).is_ok() && evictions.check(&identity(1), start).is_err());
        evictions.remember(&identity(1), start + COOL_DOWN);
        assert_eq!(evictions.0.len(), 1);
    }
}
