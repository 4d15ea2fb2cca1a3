//! Removes the claims of nodes that do not live any more, and their lists of pulled streams. These have no lease of their own.

use std::collections::HashMap;
use std::time::Instant;

use super::directory::Directory;
use super::key::Key;
use super::store::StoreError;
use crate::metrics::DirectoryState;

/// Claims and lists that have no living node: the number of the write, and since when.
#[derive(Debug, Default)]
pub struct Orphans {
    since: HashMap<Key, (u64, Instant)>,
}

impl Orphans {
    /// Looks for them, and removes those that were found [`Timing::orphan`](super::Timing::orphan) ago. Of the nodes that
    /// live, the one whose name is the least does so; the others only look.
    ///
    /// # Errors
    /// [`StoreError`] of the first one that could not be removed.
    pub async fn remove(&mut self, directory: &Directory, now: Instant) -> Result<(), StoreError> {
        if directory.state() != DirectoryState::Connected {
            // Nodes may have been announced since.
            self.since.clear();
            return Ok(());
        }
        for (key, revision) in self.find(directory, now) {
            match directory.store.purge(&key.encode(), revision).await {
                Ok(()) | Err(StoreError::Changed) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn find(&mut self, directory: &Directory, now: Instant) -> Vec<(Key, u64)> {
        let view = directory.view();
        let claims = view.claims().filter(|(_, recorded)| !view.is_live(&recorded.claim.node, recorded.claim.inc));
        let claims = claims.map(|(stream, recorded)| (Key::Stream(stream.clone()), recorded.revision));
        let lists = view.lists().filter(|((node, _), list)| !view.is_live(node, list.inc));
        let lists = lists.map(|((node, part), list)| (Key::Carries(node.clone(), *part), list.revision));
        let seen = claims.chain(lists).map(|(key, revision)| {
            let known = self.since.get(&key).filter(|(before, _)| *before == revision);
            let since = known.copied().unwrap_or((revision, now));
            (key, since)
        });
        self.since = seen.collect();
        if view.node_names().next() != Some(directory.node()) {
            return Vec::new();
        }
        let is_due = |since: Instant| now.saturating_duration_since(since) >= directory.timing.orphan;
        let due = self.since.iter().filter(|(_, (_, since))| is_due(*since));
        due.map(|(key, (revision, _))| (key.clone(), *revision)).collect()
    }
}
