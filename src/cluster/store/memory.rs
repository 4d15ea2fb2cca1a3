//! A store in memory: that of a relay that runs alone, and the model that the tests hold the others to.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{broadcast, watch};

use super::entry::{Entry, Link, StoreError, TIMEOUT, Update};

/// Changes that wait for a slow watch; one that loses some ends.
const CAPACITY: usize = 1024;

/// Purged keys whose revision is kept; beyond that, the oldest counts as never written.
const MARKERS: usize = 1024;

/// A store in memory. Clones share its values.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Shared>);

/// Every clone reads and writes it.
#[derive(Debug)]
struct Shared {
    bucket: Mutex<Bucket>,
    answers: watch::Sender<Answers>,
    link: watch::Sender<Link>,
}

#[derive(Debug)]
struct Bucket {
    entries: BTreeMap<String, Entry>,
    revision: u64,
    /// When which keys expire.
    leases: HashMap<String, Instant>,
    /// The purged keys with their revisions, oldest first.
    markers: VecDeque<(String, u64)>,
    changes: broadcast::Sender<Update>,
    /// Where nothing is sent any more, to watches that do not learn of it.
    lost: Vec<broadcast::Sender<Update>>,
}

/// The requests that are carried out; others wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Answers {
    None,
    Reads,
    All,
}

/// Every value, then every change.
pub(crate) struct MemoryWatch {
    current: std::vec::IntoIter<Update>,
    changes: broadcast::Receiver<Update>,
}

impl Default for Memory {
    fn default() -> Self {
        let bucket = Bucket {
            entries: BTreeMap::new(),
            revision: 0,
            leases: HashMap::new(),
            markers: VecDeque::new(),
            changes: broadcast::Sender::new(CAPACITY),
            lost: Vec::new(),
        };
        let bucket = Mutex::new(bucket);
        let link = Link { is_connected: true, times: 1 };
        Self(Arc::new(Shared { bucket, answers: watch::Sender::new(Answers::All), link: watch::Sender::new(link) }))
    }
}

impl Memory {
    /// Answers nothing from now on, as a server that is stopped. What is written meanwhile lands after
    /// [`Self::resume`], although its writer was told otherwise.
    #[doc(hidden)]
    pub fn pause(&self) {
        self.0.answers.send_replace(Answers::None);
    }

    /// Carries no write out from now on, and reads only.
    #[doc(hidden)]
    pub fn pause_writes(&self) {
        self.0.answers.send_replace(Answers::Reads);
    }

    /// Answers again.
    #[doc(hidden)]
    pub fn resume(&self) {
        self.0.answers.send_replace(Answers::All);
    }

    /// Loses all values, as a bucket that is made anew. Watches get nothing more, and no error.
    #[doc(hidden)]
    pub fn lose(&self) {
        let mut bucket = self.bucket();
        bucket.entries.clear();
        bucket.leases.clear();
        bucket.markers.clear();
        bucket.revision = 0;
        let deaf = std::mem::replace(&mut bucket.changes, broadcast::Sender::new(CAPACITY));
        bucket.lost.push(deaf);
    }

    pub(super) fn link(&self) -> watch::Receiver<Link> {
        self.0.link.subscribe()
    }

    pub(super) async fn get(&self, key: &str) -> Result<Entry, StoreError> {
        let key = key.to_owned();
        self.answer(Answers::Reads, move |bucket| bucket.entries.get(&key).cloned().unwrap_or_default()).await
    }

    pub(super) async fn put_lease(&self, key: &str, value: Bytes, lease: Duration) -> Result<u64, StoreError> {
        let key = key.to_owned();
        self.answer(Answers::All, move |bucket| {
            bucket.leases.insert(key.clone(), Instant::now() + lease);
            bucket.write(key, Some(value))
        })
        .await
    }

    pub(super) async fn compare_and_set(&self, key: &str, value: Bytes, revision: u64) -> Result<u64, StoreError> {
        self.replace(key, Some(value), revision).await
    }

    pub(super) async fn purge(&self, key: &str, revision: u64) -> Result<(), StoreError> {
        self.replace(key, None, revision).await.map(|_| ())
    }

    pub(super) async fn watch(&self) -> Result<MemoryWatch, StoreError> {
        self.answer(Answers::Reads, |bucket| {
            let current = bucket.entries.iter().map(|(key, entry)| Update { key: key.clone(), entry: entry.clone() });
            MemoryWatch { current: current.collect::<Vec<_>>().into_iter(), changes: bucket.changes.subscribe() }
        })
        .await
    }

    async fn replace(&self, key: &str, value: Option<Bytes>, revision: u64) -> Result<u64, StoreError> {
        let key = key.to_owned();
        let replace = move |bucket: &mut Bucket| {
            let is_expected = bucket.entries.get(&key).map_or(0, |entry| entry.revision) == revision;
            is_expected.then(|| bucket.write(key, value)).ok_or(StoreError::Changed)
        };
        self.answer(Answers::All, replace).await?
    }

    /// Does something with the values as soon as the store carries such requests out; the caller waits for [`TIMEOUT`].
    async fn answer<T: Send + 'static>(
        &self,
        from: Answers,
        work: impl FnOnce(&mut Bucket) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        if *self.0.answers.borrow() >= from {
            return Ok(work(&mut self.bucket()));
        }
        let memory = self.clone();
        let later = tokio::spawn(async move {
            // The sender is part of the store.
            let _ = memory.0.answers.subscribe().wait_for(|answers| *answers >= from).await;
            work(&mut memory.bucket())
        });
        match tokio::time::timeout(TIMEOUT, later).await {
            Ok(Ok(done)) => Ok(done),
            _ => Err(StoreError::TimedOut),
        }
    }

    /// The values whose lease has not expired. So expiry shows with the next request of any node, such as a heartbeat.
    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        let mut bucket = self.0.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.expire(Instant::now());
        bucket
    }
}

impl Bucket {
    fn expire(&mut self, now: Instant) {
        let due = self.leases.iter().filter(|(_, until)| **until <= now);
        for key in due.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.leases.remove(&key);
            self.write(key, None);
        }
    }

    fn write(&mut self, key: String, value: Option<Bytes>) -> u64 {
        self.revision += 1;
        if value.is_none() {
            self.leases.remove(&key);
            self.markers.push_back((key.clone(), self.revision));
        }
        if self.markers.len() > MARKERS
            && let Some((oldest, revision)) = self.markers.pop_front()
            && self.entries.get(&oldest).is_some_and(|entry| entry.revision == revision)
        {
            self.entries.remove(&oldest);
        }
        let entry = Entry { value, revision: self.revision };
        self.entries.insert(key.clone(), entry.clone());
        // An error means that there are no watches.
        let _ = self.changes.send(Update { key, entry });
        self.revision
    }
}

impl MemoryWatch {
    /// The next value; `None` once the watch has ended.
    pub(super) async fn next(&mut self) -> Option<Update> {
        match self.current.next() {
            Some(update) => Some(update),
            None => self.changes.recv().await.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn purged_keys_are_forgotten_in_the_end() {
        let memory = Memory::default();
        for number in 0..2 * MARKERS {
            let key = number.to_string();
            let revision = memory.compare_and_set(&key, Bytes::new(), 0).await.unwrap();
            memory.purge(&key, revision).await.unwrap();
        }
        assert_eq!(memory.bucket().entries.len(), MARKERS);
    }
}
