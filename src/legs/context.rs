//! What all legs share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use super::config::Config;
use crate::cluster::{ClaimedStream, Directory};
use crate::metrics::{DirectoryState, Metrics};
use crate::name::StreamName;
use crate::node::Handle;

/// Streams whose last request is remembered, at most; when full, those that are too old to matter make room.
const MOST_WANTS: usize = 10_000;

/// Requests that wait for a slow reader. Beyond that it loses the oldest, and looks at all streams.
const WANTED: usize = 1024;

/// How long a configured pull waits after the start until the directory has been read.
const DIRECTORY: Duration = Duration::from_secs(2);

/// What all legs share. In an `Arc`: each leg's task reads it, HTTP notes requests in it, a reload replaces the
/// configuration.
pub(super) struct Context {
    pub(super) media: Handle,
    pub(super) directory: Arc<Directory>,
    began: Instant,
    pub(super) metrics: Arc<Metrics>,
    config: RwLock<Arc<Config>>,
    /// When a viewer last asked for a stream.
    wants: Mutex<HashMap<StreamName, Instant>>,
    /// Each request.
    wanted: broadcast::Sender<StreamName>,
}

impl Context {
    pub(super) fn new(config: Config, media: Handle, directory: Arc<Directory>, metrics: Arc<Metrics>) -> Self {
        Self {
            media,
            directory,
            began: Instant::now(),
            metrics,
            config: RwLock::new(Arc::new(config)),
            wants: Mutex::default(),
            wanted: broadcast::Sender::new(WANTED),
        }
    }

    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_config(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// Notes that a viewer asks for a stream.
    pub(super) fn want(&self, stream: &StreamName, now: Instant) {
        let idle = self.config().idle;
        let mut wants = self.wants.lock().unwrap_or_else(PoisonError::into_inner);
        if wants.len() >= MOST_WANTS {
            wants.retain(|_, wanted| now.saturating_duration_since(*wanted) < idle);
        }
        if wants.len() < MOST_WANTS {
            wants.insert(stream.clone(), now);
        }
        drop(wants);
        // An error means that nothing is pulled on demand.
        let _ = self.wanted.send(stream.clone());
    }

    /// Whether a stream has viewers, or a viewer has asked for it lately.
    pub(super) fn is_watched(&self, stream: &StreamName, now: Instant) -> bool {
        let has_viewers = self.media.stream(stream).is_some_and(|info| info.viewers > 0);
        if !self.media.is_ready() {
            // A relay that drains waits until its sessions have ended.
            return has_viewers;
        }
        let idle = self.config().idle;
        let mut wants = self.wants.lock().unwrap_or_else(PoisonError::into_inner);
        if has_viewers {
            // The time after the last viewer counts from now on.
            wants.insert(stream.clone(), now);
            return true;
        }
        wants.get(stream).is_some_and(|wanted| now.saturating_duration_since(*wanted) < idle)
    }

    /// Whether it is known which node has a stream; after a while without a directory, this node goes on alone.
    pub(super) fn knows_claims(&self) -> bool {
        self.directory.state() == DirectoryState::Connected || self.began.elapsed() >= DIRECTORY
    }

    /// The claim of another node for a stream.
    pub(super) fn claim_elsewhere(&self, stream: &StreamName) -> Option<ClaimedStream> {
        self.directory.lookup(stream).filter(|claim| claim.node != *self.directory.node())
    }

    /// The streams that viewers ask for from now on.
    pub(super) fn wants(&self) -> broadcast::Receiver<StreamName> {
        self.wanted.subscribe()
    }
}
