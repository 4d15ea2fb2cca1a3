//! Selects the layer that a viewer is sent.

use super::handle::{Handle, PatchError};
use crate::name::SessionId;
use crate::session::Selection;

impl Handle {
    /// Selects what a viewer is sent from now on, or from the moment when it is connected.
    ///
    /// # Errors
    /// [`PatchError`]; the session goes on as it was.
    pub(crate) fn select(&self, session: &SessionId, selection: Selection) -> Result<(), PatchError> {
        let record = self.shared().pending_sessions.listed(session).ok_or(PatchError::NoSuchSession)?.record;
        let _ = record.select(selection);
        Ok(())
    }
}
