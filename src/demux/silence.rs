//! Whether a client is still there, where its media goes: its owner may stop sending to one that is not heard.

use std::time::Instant;

use super::Demux;
use super::demultiplexed::Key;
use crate::five_tuple::FiveTuple;

impl Demux {
    /// When the session was heard last where its media goes: by a valid check, SRTP or SRTCP. `None` while there is no
    /// such place.
    pub fn heard(&self, key: Key) -> Option<Instant> {
        self.sessions.get(&key)?.heard()
    }

    /// The session whose proven path this is.
    pub fn owner(&self, path: &FiveTuple) -> Option<Key> {
        self.claim_by_path.get(path).filter(|claim| claim.proven).map(|claim| claim.key)
    }

    /// Lets [`Event::Heard`](super::Event::Heard) tell, once, when the session is heard again there.
    pub fn await_sign(&mut self, key: Key) {
        if let Some(session) = self.sessions.get_mut(&key) {
            session.awaited = true;
        }
    }
}
