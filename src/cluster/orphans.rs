//! Removes the claims of nodes that do not live any more. These have no lease of their own.

use std::collections::HashMap;
use std::time::Instant;

use super::directory::Directory;
use super::key::Key;
use super::store::StoreError;
use crate::metrics::DirectoryState;
use crate::name::StreamName;

/// Claims that have no living node, by stream: the number of the claim's write, and since when.
#[derive(Debug, Default)]
pub struct Orphans {
    since: HashMap<StreamName, (u64, Instant)>,
}

impl Orphans {
    /// Looks for them, and removes those that were found [`Timing::orphan`](super::Timing::orphan) ago. Of the nodes that
    /// live, the one whose name is the least does so; the others only look.
    ///
    /// # Errors
    /// [`StoreError`] of the first claim that could not be removed.
    pub async fn remove(&mut self, directory: &Directory, now: Instant) -> Result<(), StoreError> {
        if directory.state() != DirectoryState::Connected {
            // Nodes may have been announced since.
            self.since.clear();
            return Ok(());
        }
        for (stream, revision) in self.find(directory, now) {
            match directory.store.purge(&Key::Stream(stream).encode(), revision).await {
                Ok(()) | Err(StoreError::Changed) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn find(&mut self, directory: &Directory, now: Instant) -> Vec<(StreamName, u64)> {
        let map = directory.map();
        let orphans = map.claims().filter(|(_, recorded)| !map.is_live(&recorded.claim));
        let seen = orphans.map(|(stream, recorded)| {
            let known = self.since.get(stream).filter(|(revision, _)| *revision == recorded.revision);
            (stream.clone(), known.copied().unwrap_or((recorded.revision, now)))
        });
        self.since = seen.collect();
        if map.node_names().next() != Some(directory.node()) {
            return Vec::new();
        }
        let is_due = |since: Instant| now.saturating_duration_since(since) >= directory.timing.orphan;
        let due = self.since.iter().filter(|(_, (_, since))| is_due(*since));
        due.map(|(stream, (revision, _))| (stream.clone(), *revision)).collect()
    }
}
