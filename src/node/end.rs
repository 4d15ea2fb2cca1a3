//! Ends a session, by its client's DELETE or by an operator.

use std::time::{Duration, Instant};

use super::handle::{Handle, PatchError};
use crate::auth::Credential;
use crate::name::SessionId;
use crate::reason::EndReason;
use crate::session::pending_sessions::Found;
use crate::stream::InboxFull;
use crate::worker::message::Message;
use crate::worker::sessions::ended::end_waiting;

impl Handle {
    /// Ends a session at once: no request finds it any more, and its worker closes the peer connection. One that has
    /// not connected ends for the reason that says how far it came.
    ///
    /// # Errors
    /// [`PatchError::NoSuchSession`] when it has ended already.
    pub fn end(&self, session: &SessionId, reason: EndReason) -> Result<(), PatchError> {
        self.end_at(session, reason, Instant::now())
    }

    /// As [`Self::end`], at the given time.
    ///
    /// # Errors
    /// [`PatchError::NoSuchSession`] when it has ended already.
    pub fn end_at(&self, session: &SessionId, reason: EndReason, now: Instant) -> Result<(), PatchError> {
        match self.shared().pending_sessions.remove(session) {
            Found::Session(waiting) => {
                end_waiting(&waiting, reason, self.shared(), now);
                Ok(())
            }
            Found::Owned(worker) => {
                let mut message = Message::End { session: *session, reason };
                // A full inbox means that the worker is behind by thousands of messages. The session must not stay
                // for that, so the caller's thread waits for room.
                while let Err(InboxFull(returned)) = self.tell(worker, message) {
                    message = returned;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            }
            Found::Unknown => Err(PatchError::NoSuchSession),
        }
    }

    /// True, once, when the client that made the session with this credential has closed the connection itself a
    /// moment ago: its DELETE comes late and is not an error.
    pub fn has_departed(&self, session: &SessionId, credential: &Credential) -> bool {
        self.shared().client_closed.take(session, credential, Instant::now())
    }
}
