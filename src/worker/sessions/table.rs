//! The sessions of one worker, by their key in the worker's demultiplexer, and by their id.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Instant;

use slotmap::DenseSlotMap;

use super::session::Session;
use crate::demux::Key;
use crate::name::SessionId;
use crate::worker::publishing::publisher::Publisher;
use crate::worker::viewing::viewer::Viewer;

/// A table of sessions.
#[derive(Default)]
pub(crate) struct Sessions {
    /// Dense, so that a few sessions from any place on are found without a walk.
    sessions: DenseSlotMap<Key, Box<Session>>,
    key_by_id: HashMap<SessionId, Key>,
}

impl Sessions {
    /// Adds a session.
    pub(crate) fn insert(&mut self, session: Session) -> Key {
        let id = session.id;
        let key = self.sessions.insert(Box::new(session));
        self.key_by_id.insert(id, key);
        key
    }

    /// The session of a key.
    pub(crate) fn session_mut(&mut self, key: Key) -> Option<&mut Session> {
        self.sessions.get_mut(key).map(Box::as_mut)
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
        let session = self.sessions.remove(key)?;
        self.key_by_id.remove(&session.id);
        Some(session)
    }

    /// The key of a session.
    pub(crate) fn key(&self, id: &SessionId) -> Option<Key> {
        self.key_by_id.get(id).copied()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// The keys of the sessions in these places. A session that ends leaves its place to the last one.
    pub(crate) fn keys_at(&self, places: Range<usize>) -> Vec<Key> {
        self.sessions.keys().skip(places.start).take(places.len()).collect()
    }

    /// The keys of all sessions.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.sessions.keys().collect()
    }
}
