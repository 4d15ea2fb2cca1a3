//! Writes the list of the streams that this node pulls, when it changes, and at most once a second.

use std::time::Duration;

use bytes::Bytes;
use tracing::warn;

use super::carried::Carried;
use super::directory::Directory;
use super::key::Key;
use super::store::StoreError;

/// The pause between two writes of a list.
const PAUSE: Duration = Duration::from_secs(1);

impl Directory {
    /// Says which streams this node pulls, instead of those that it said before. [`follow()`](super::follow()) writes it
    /// within about a second.
    pub fn set_carried(&self, carried: Vec<Carried>) {
        let unlisted = self.parts().set(carried);
        if unlisted > 0 {
            warn!(unlisted, "the node pulls more streams than its list in the directory has places for");
        }
        self.parts_are_due.notify_one();
    }

    /// Keeps the list written, until it is dropped.
    pub(super) async fn keep_listed(&self) {
        loop {
            let due = self.parts().take_due();
            if due.is_empty() {
                self.parts_are_due.notified().await;
                continue;
            }
            for part in due {
                if self.write_part(part).await.is_err() {
                    self.parts().note_due(part);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Removes the list, after [`Self::keep_listed`] was dropped.
    pub(super) async fn remove_list(&self) -> Result<(), StoreError> {
        let due = {
            let mut parts = self.parts();
            parts.set(Vec::new());
            parts.note_all_due();
            parts.take_due()
        };
        for part in due {
            self.write_part(part).await?;
        }
        Ok(())
    }

    /// Writes a part if the directory has another one.
    async fn write_part(&self, part: u16) -> Result<(), StoreError> {
        let key = Key::Carries(self.own.node.clone(), part).encode();
        let entry = self.store.get(&key).await?;
        match self.part_value(part) {
            value if value == entry.value => Ok(()),
            Some(value) => self.store.compare_and_set(&key, value, entry.revision).await.map(|_| ()),
            None => self.store.purge(&key, entry.revision).await,
        }
    }

    /// Notes that a part was read, and is to be written again if it is another one.
    pub(super) fn check_part(&self, part: u16, read: Option<&Bytes>) {
        if self.part_value(part).as_ref() != read {
            self.parts().note_due(part);
            self.parts_are_due.notify_one();
        }
    }

    /// A part as it is to be written; `None` if it has no streams.
    fn part_value(&self, part: u16) -> Option<Bytes> {
        self.parts().value(part, self.own.incarnation, self.own.url.clone())
    }
}
