//! A connected publisher as the registry knows it, and the worker that it runs on.

use std::sync::Arc;
use std::time::Instant;

use super::eviction::{Identity, SILENT};
use super::liveness::Liveness;
use crate::forward::codec::Format;
use crate::name::SessionId;

/// A worker's number, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WorkerId(pub(crate) u16);

/// A connected publisher: the live one of a stream, or its standby.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    /// Its session.
    pub(crate) session: SessionId,
    /// Its worker.
    pub(crate) worker: WorkerId,
    /// The formats that it sends.
    pub(crate) formats: Vec<Format>,
    /// It came as a standby.
    pub(crate) standby: bool,
    /// It is a leg.
    pub(crate) is_leg: bool,
    /// It is a leg from another node of the cluster, which has the stream or carries it.
    pub(crate) is_carried: bool,
    /// When it was last received.
    pub(crate) liveness: Arc<Liveness>,
    /// Since when nothing was received from it, if so: see `Publication::set_lost`.
    pub(crate) lost: Option<Instant>,
    /// The client.
    pub(crate) identity: Identity,
}

/// How a publisher left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// It was ended on purpose, by the publisher itself or by an operator.
    Ended,
    /// It was lost and may return: a crash, a broken network.
    Lost,
}

impl PartialEq for Live {
    fn eq(&self, other: &Self) -> bool {
        self.session == other.session
    }
}

impl Eq for Live {}

impl Live {
    /// Whether nothing was received from it lately.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.liveness.silence(now) >= SILENT
    }
}
