//! Signs of life of a worker, which the watchdog reads: that it turns, and for which session it works.
//!
//! The worker writes with plain stores, at each turn and around each session's work, so it costs the packet path a few
//! instructions and never waits. Names of sessions are written on join and leave only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use slotmap::{Key as _, KeyData};

use crate::demux::Key;
use crate::session::SessionRecord;

/// A turn of this length makes the relay unhealthy.
pub(crate) const UNHEALTHY: Duration = Duration::from_secs(5);

/// One worker's sign of life. The worker writes, the watchdog reads.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    /// Moves with each turn: odd while the worker turns, even while it sleeps.
    beat: AtomicU64,
    /// The key of the session that it works for; 0 for none.
    session: AtomicU64,
    record_by_key: Mutex<HashMap<Key, Arc<SessionRecord>>>,
}

impl Heartbeat {
    /// A turn begins.
    pub(crate) fn turn(&self) {
        self.beat.store((self.beat.load(Ordering::Relaxed) | 1) + 2, Ordering::Relaxed);
    }

    /// The turn is over, and the worker sleeps until there is something to do.
    pub(crate) fn sleep(&self) {
        self.beat.store((self.beat.load(Ordering::Relaxed) | 1) + 1, Ordering::Relaxed);
    }

    /// The number of the turn; `None` while the worker sleeps.
    pub(crate) fn turning(&self) -> Option<u64> {
        Some(self.beat.load(Ordering::Relaxed)).filter(|beat| beat % 2 == 1)
    }

    /// Work for this session begins.
    pub(crate) fn enter(&self, key: Key) {
        self.session.store(key.data().as_ffi(), Ordering::Relaxed);
    }

    /// Work for no session in particular follows.
    pub(crate) fn leave(&self) {
        self.session.store(0, Ordering::Relaxed);
    }

    /// The session that the worker is in.
    pub(crate) fn session(&self) -> Option<Arc<SessionRecord>> {
        let key = Key::from(KeyData::from_ffi(self.session.load(Ordering::Relaxed)));
        self.record_by_key.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    /// Sets or removes the record of the session that has this key.
    pub(crate) fn name(&self, key: Key, record: Option<Arc<SessionRecord>>) {
        let mut records = self.record_by_key.lock().unwrap_or_else(PoisonError::into_inner);
        match record {
            Some(record) => _ = records.insert(key, record),
            None => _ = records.remove(&key),
        }
    }

    /// How many sessions have names: 0 once all have gone.
    pub(crate) fn len(&self) -> usize {
        self.record_by_key.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The longest turn that is under way, in milliseconds. The watchdog writes, `/healthz` reads.
#[derive(Debug, Default)]
pub(crate) struct Health(AtomicU64);

impl Health {
    /// For how long a worker has been stuck, if that makes the relay unhealthy.
    pub(crate) fn stuck(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.0.load(Ordering::Relaxed))).filter(|stuck| *stuck >= UNHEALTHY)
    }

    /// The watchdog has looked at the workers.
    pub(crate) fn set(&self, longest: Duration) {
        self.0.store(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
