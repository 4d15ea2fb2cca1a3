//! Selects the layer that a viewer is sent.

use super::create_request::RETRY_AFTER;
use super::handle::{Handle, PatchError};
use crate::name::SessionId;
use crate::session::Selection;
use crate::worker::message::Message;

impl Handle {
    /// Selects what a viewer is sent from now on, or from the moment when it is connected.
    ///
    /// # Errors
    /// [`PatchError`]; the session goes on as it was.
    pub fn select(&self, session: &SessionId, selection: Selection) -> Result<(), PatchError> {
        let record = self.shared().pending_sessions.listed(session).ok_or(PatchError::NoSuchSession)?.record;
        let before = record.select(selection);
        // A worker that takes the session after this look reads the selection from the record.
        let Some(worker) = self.shared().pending_sessions.owner(session) else { return Ok(()) };
        self.tell(worker, Message::Select { session: *session }).map_err(|_| {
            record.select(before);
            PatchError::Busy { retry_after: RETRY_AFTER }
        })
    }
}
