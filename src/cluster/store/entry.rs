//! What a store answers.

use std::time::Duration;

use bytes::Bytes;

/// How long a request may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);

/// The last write of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `None` after it was purged, or its lease has expired.
    pub(crate) value: Option<Bytes>,
    /// Its number among all writes; 0 for a key that was never written. A purged key has one too, for as long as its
    /// marker is kept, and a compare-and-set must name it.
    pub(crate) revision: u64,
}

/// A write, as a watch reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) key: String,
    pub(crate) entry: Entry,
}

/// The connection to a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) is_connected: bool,
    /// How many times it was connected.
    pub(crate) times: u64,
}

/// Why a request to a store failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another write came first.
    #[error("the value has changed: read it again")]
    Changed,
    /// There is no connection; nothing was written.
    #[error("the directory is not connected: check that a server of --cluster runs and can be reached")]
    Unreachable,
    /// No answer came in time. A write may still land.
    #[error("the directory did not answer within {} s", TIMEOUT.as_secs())]
    TimedOut,
    /// The store refuses it.
    #[error("the directory refuses: {0}")]
    Refused(String),
}
