//! The memory that the frames since the last keyframes of all publishers take together.
//!
//! Each publisher's worker reports the size of its publisher's frames once a second, and drops them if the answer is to
//! make room: the largest make room first, of equal ones the oldest. So the sum exceeds its limit for a second at most.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::name::SessionId;

/// The sizes of all publishers' cached frames. Written once a second for each publisher, by its worker; read in the
/// same step.
#[derive(Debug)]
pub(crate) struct CacheBudget {
    /// Octets.
    limit: usize,
    caches: Mutex<Caches>,
}

#[derive(Debug, Default)]
struct Caches {
    total: usize,
    by_session: HashMap<SessionId, Cache>,
}

#[derive(Clone, Copy, Debug)]
struct Cache {
    octets: usize,
    /// When its keyframe arrived.
    since: Instant,
}

impl CacheBudget {
    /// A budget of this many octets.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, caches: Mutex::default() }
    }

    /// A publisher keeps `octets` of frames, and its keyframe arrived at `since`. True if they must be dropped to make
    /// room: then they do not count any more.
    pub(crate) fn report(&self, session: SessionId, octets: usize, since: Instant) -> bool {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.remove(&session);
        if octets == 0 {
            return false;
        }
        let goes_before = |other: &&Cache| (other.octets, since) > (octets, other.since);
        let before: usize = caches.by_session.values().filter(goes_before).map(|cache| cache.octets).sum();
        let total = caches.total + octets;
        if before < total.saturating_sub(self.limit) {
            return true;
        }
        caches.total = total;
        caches.by_session.insert(session, Cache { octets, since });
        false
    }

    /// A publisher has left.
    pub(crate) fn forget(&self, session: &SessionId) {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner).remove(session);
    }

    /// Octets that are kept.
    pub(crate) fn total(&self) -> usize {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Caches {
    fn remove(&mut self, session: &SessionId) {
        if let Some(cache) = self.by_session.remove(session) {
            self.total -= cache.octets;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_largest_make_room_and_of_equal_ones_the_oldest() {
        let (budget, now) = (CacheBudget::new(100), Instant::now());
        let [small, old, young] = [(); 3].map(|()| SessionId::random());
        let later = now + Duration::from_secs(1);
        assert!(!budget.report(small, 20, now));
        assert!(!budget.report(old, 40, now));
        assert!(!budget.report(young, 40, later), "it just fits");
        assert_eq!(budget.total(), 100);
        assert!(!budget.report(small, 25, now), "others are larger");
        assert!(!budget.report(young, 40, later) && budget.report(old, 40, now));
        assert_eq!(budget.total(), 65);
        assert!(!budget.report(old, 0, now) && !budget.report(young, 40, later));
        budget.forget(&young);
        assert_eq!(budget.total(), 25);
    }

    #[test]
    fn one_that_is_larger_than_all_may_be_goes_alone() {
        let (budget, now) = (CacheBudget::new(100), Instant::now());
        let [small, large] = [(); 2].map(|()| SessionId::random());
        assert!(!budget.report(small, 90, now));
        assert!(budget.report(large, 101, now) && !budget.report(small, 90, now));
        assert_eq!(budget.total(), 90);
    }
}
