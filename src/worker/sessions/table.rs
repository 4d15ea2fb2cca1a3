//! The sessions of one worker, by the key that its demultiplexer knows them by and by the id that everybody else does.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Instant;

use super::session::Session;
use crate::demux::Key;
use crate::name::SessionId;
use crate::worker::publishing::publisher::Publisher;
use crate::worker::viewing::viewer::Viewer;

/// A table of sessions; keys are used again.
#[derive(Default)]
pub(crate) struct Sessions {
    slots: Vec<Option<Box<Session>>>,
    vacant: Vec<Key>,
    key_by_id: HashMap<SessionId, Key>,
}

impl Sessions {
    /// Adds a session.
    pub(crate) fn insert(&mut self, session: Session) -> Key {
        let key = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            Key(self.slots.len() as u32 - 1)
        });
        self.key_by_id.insert(session.id, key);
        self.slots[key.0 as usize] = Some(Box::new(session));
        key
    }

    /// The session of a key.
    pub(crate) fn session_mut(&mut self, key: Key) -> Option<&mut Session> {
        self.slots.get_mut(key.0 as usize)?.as_deref_mut()
    }

    /// The publisher of a key, if that is one.
    pub(crate) fn publisher_mut(&mut self, key: Key) -> Option<&mut Publisher> {
        self.session_mut(key)?.state.publisher_mut()
    }

    /// The viewer of a key, if that is one.
    pub(crate) fn viewer_mut(&mut self, key: Key) -> Option<&mut Viewer> {
        self.session_mut(key)?.state.viewer_mut()
    }

    /// When a session needs the worker next.
    pub(crate) fn poll_timeout(&mut self, key: Key) -> Option<Instant> {
        self.session_mut(key)?.poll_timeout()
    }

    /// Takes a session out.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Box<Session>> {
        let session = self.slots.get_mut(key.0 as usize)?.take()?;
        self.key_by_id.remove(&session.id);
        self.vacant.push(key);
        Some(session)
    }

    /// The key of a session.
    pub(crate) fn key(&self, id: &SessionId) -> Option<Key> {
        self.key_by_id.get(id).copied()
    }

    /// Places for sessions, taken or not.
    pub(crate) fn places(&self) -> usize {
        self.slots.len()
    }

    /// True when there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.key_by_id.is_empty()
    }

    /// The keys of those of these places that are taken.
    pub(crate) fn keys_at(&self, places: Range<usize>) -> Vec<Key> {
        let end = places.end.min(self.slots.len());
        let taken = |place: &usize| self.slots[*place].is_some();
        (places.start..end).filter(taken).map(|place| Key(place as u32)).collect()
    }

    /// The keys of all sessions.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.key_by_id.values().copied().collect()
    }
}
