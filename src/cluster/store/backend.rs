//! One store of either kind.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::entry::{Entry, Link, StoreError, Update};
use super::memory::{Memory, MemoryWatch};
use super::nats::{Nats, NatsWatch};

/// Where a directory is kept.
#[derive(Clone, Debug)]
pub enum Store {
    /// In this process.
    Memory(Memory),
    /// In a bucket of NATS JetStream.
    Nats(Nats),
}

/// Reads every value that there is, then every change.
pub(crate) enum Watch {
    Memory(MemoryWatch),
    Nats(Box<NatsWatch>),
}

impl Store {
    /// Whether other processes may use it too.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Nats(_))
    }

    /// The state of the connection.
    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        match self {
            Self::Memory(memory) => memory.link(),
            Self::Nats(nats) => nats.link(),
        }
    }

    /// The last write of a key, from where writes are decided.
    pub(crate) async fn get(&self, key: &str) -> Result<Entry, StoreError> {
        match self {
            Self::Memory(memory) => memory.get(key).await,
            Self::Nats(nats) => nats.get(key).await,
        }
    }

    /// Writes a value that is gone after the lease, which is whole seconds, unless it is written again.
    pub(crate) async fn put_lease(&self, key: &str, value: Bytes, lease: Duration) -> Result<u64, StoreError> {
        match self {
            Self::Memory(memory) => memory.put_lease(key, value, lease).await,
            Self::Nats(nats) => nats.put_lease(key, value, lease).await,
        }
    }

    /// Writes a value if the last write of its key is still `revision`, and returns its own.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if it is another one. After [`StoreError::TimedOut`] it may still land.
    pub(crate) async fn compare_and_set(&self, key: &str, value: Bytes, revision: u64) -> Result<u64, StoreError> {
        match self {
            Self::Memory(memory) => memory.compare_and_set(key, value, revision).await,
            Self::Nats(nats) => nats.compare_and_set(key, value, revision).await,
        }
    }

    /// Removes a value if the last write of its key is still `revision`.
    ///
    /// # Errors
    /// As those of [`Self::compare_and_set`].
    pub(crate) async fn purge(&self, key: &str, revision: u64) -> Result<(), StoreError> {
        match self {
            Self::Memory(memory) => memory.purge(key, revision).await,
            Self::Nats(nats) => nats.purge(key, revision).await,
        }
    }

    /// Reads every value that there is, then every change. It may go silent without an error.
    pub(crate) async fn watch(&self) -> Result<Watch, StoreError> {
        Ok(match self {
            Self::Memory(memory) => Watch::Memory(memory.watch().await?),
            Self::Nats(nats) => Watch::Nats(Box::new(nats.watch().await?)),
        })
    }
}

impl Watch {
    /// The next value; `None` once the watch has ended.
    pub(crate) async fn next(&mut self) -> Option<Update> {
        match self {
            Self::Memory(watch) => watch.next().await,
            Self::Nats(watch) => watch.next().await,
        }
    }
}
