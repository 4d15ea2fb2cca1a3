//! What all legs share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::watch;

use super::config::Config;
use crate::metrics::Metrics;
use crate::name::StreamName;
use crate::node::Handle;

/// Streams whose last request is remembered, at most; when full, those that are too old to matter make room.
const MOST_WANTS: usize = 10_000;

/// What all legs share. In an `Arc`: each leg's task reads it, HTTP notes requests in it, a reload replaces the
/// configuration.
pub(super) struct Context {
    pub(super) media: Handle,
    pub(super) metrics: Arc<Metrics>,
    config: RwLock<Arc<Config>>,
    /// When a viewer last asked for a stream.
    wants: Mutex<HashMap<StreamName, Instant>>,
    /// Changes with each request.
    wanted: watch::Sender<u64>,
}

impl Context {
    pub(super) fn new(config: Config, media: Handle, metrics: Arc<Metrics>) -> Self {
        Self {
            media,
            metrics,
            config: RwLock::new(Arc::new(config)),
            wants: Mutex::default(),
            wanted: watch::Sender::default(),
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
        self.wanted.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Whether a stream has viewers, or a viewer has asked for it lately.
    pub(super) fn is_watched(&self, stream: &StreamName, now: Instant) -> bool {
        let idle = self.config().idle;
        let mut wants = self.wants.lock().unwrap_or_else(PoisonError::into_inner);
        if self.media.stream(stream).is_some_and(|info| info.viewers > 0) {
            // The time after the last viewer counts from now on.
            wants.insert(stream.clone(), now);
            return true;
        }
        wants.get(stream).is_some_and(|wanted| now.saturating_duration_since(*wanted) < idle)
    }

    /// Changes with each request of a viewer.
    pub(super) fn wants(&self) -> watch::Receiver<u64> {
        self.wanted.subscribe()
    }
}
