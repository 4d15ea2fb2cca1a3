//! Who may take a publisher's place: two encoders with one key must not evict each other for ever.
//!
//! The newest authorised publisher has the stream. The rule that bounds it: a client whose publisher has lost its place
//! to another is refused for [`COOL_DOWN`], unless the one that it would replace is silent itself. A publisher that was
//! silent for [`SILENT`] already when another replaced it has lost nothing, so who comes back after a crash or on another
//! network is not refused; only who lost its place to a standby is, because the standby did what it is for.
//!
//! A client is known by what stays the same when an encoder tries again: the credential of its POST, the address that
//! the POST came from, and the name that it gives itself. Two encoders at one address with one name are one client here.
//! That is harmless: whoever is refused is let in when the present publisher is silent, and after the cool-down.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::auth::Credential;

/// How long a client that has lost its place is refused.
pub const COOL_DOWN: Duration = Duration::from_secs(10);

/// Without a packet for so long a publisher is silent: another may have its place.
pub const SILENT: Duration = Duration::from_secs(1);

/// Clients remembered for each stream. When full the one that lost its place first is forgotten, and may come back.
const CAPACITY: usize = 8;

/// Who publishes, as far as a second attempt can be told from somebody else's first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Of the POST.
    pub credential: Credential,
    /// Where the POST came from.
    pub address: IpAddr,
    /// What the client calls itself.
    pub user_agent: Option<String>,
}

/// The stream has a publisher that is not to be replaced by this client now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another encoder has taken this stream over from you: stop one of the two, or try again later")]
pub struct Refused {
    /// When it may be tried again.
    pub retry_after: Duration,
}

/// The clients that have lost their places in one stream lately.
#[derive(Debug, Default)]
pub(super) struct Evictions(VecDeque<(Identity, Instant)>);

impl Evictions {
    /// This client has lost its place.
    pub(super) fn remember(&mut self, identity: &Identity, now: Instant) {
        self.0.retain(|(known, since)| known != identity && now.saturating_duration_since(*since) < COOL_DOWN);
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back((identity.clone(), now));
    }

    /// Whether this client may take somebody's place.
    pub(super) fn check(&self, identity: &Identity, now: Instant) -> Result<(), Refused> {
        let lost = self.0.iter().find(|(known, _)| known == identity).map(|(_, since)| *since);
        let left = lost.and_then(|since| COOL_DOWN.checked_sub(now.saturating_duration_since(since)));
        match left.filter(|left| !left.is_zero()) {
            Some(retry_after) => Err(Refused { retry_after }),
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
    fn a_replaced_publisher_is_refused_until_the_cool_down_is_over() {
        let start = Instant::now();
        let mut evictions = Evictions::default();
        evictions.remember(&identity(1), start);
        let three = start + Duration::from_secs(3);
        assert_eq!(evictions.check(&identity(1), three), Err(Refused { retry_after: Duration::from_secs(7) }));
        assert_eq!(evictions.check(&identity(2), three), Ok(()));
        let named = Identity { user_agent: Some("other".to_owned()), ..identity(1) };
        assert_eq!(evictions.check(&named, three), Ok(()));
        assert_eq!(evictions.check(&identity(1), start + COOL_DOWN), Ok(()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
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
