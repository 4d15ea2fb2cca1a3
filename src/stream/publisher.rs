//! A connected publisher as the registry knows it, and the worker that it lives on.

use std::sync::Arc;
use std::time::Instant;

use super::eviction::{Identity, SILENT};
use super::liveness::Liveness;
use crate::forward::codec::Format;
use crate::name::SessionId;

/// A worker's number, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u16);

/// A connected publisher: the one that a stream has now, or its standby.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its session.
    pub session: SessionId,
    /// Where it lives.
    pub worker: WorkerId,
    /// Its number among the publishers that the stream has had; of a standby 0.
    pub epoch: u32,
    /// What it sends.
    pub formats: Vec<Format>,
    /// It came as a standby.
    pub standby: bool,
    /// When it was heard.
    pub liveness: Arc<Liveness>,
    /// Since when it has not been heard, if it is not: see [`Publication::set_lost`].
    pub lost: Option<Instant>,
    pub(super) identity: Identity,
}

/// How a publisher has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// Somebody wanted it to end: the publisher itself, or an operator.
    Ended,
    /// It was lost, and may come back: a crash, a dead network.
    Lost,
}

impl PartialEq for Live {
    fn eq(&self, other: &Self) -> bool {
        (self.session, self.epoch) == (other.session, other.epoch)
    }
}

impl Eq for Live {}

impl Live {
    /// Whether it has not been heard lately.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.liveness.silence(now) >= SILENT
    }
}
