//! Records of sessions, as the API shows them.

use super::handle::Handle;
use crate::name::{Role, SessionClass, SessionId, StreamName};
use crate::session::SessionRecord;
use std::sync::Arc;
use std::time::Instant;

impl Handle {
    /// The record of a session that lives, or that ended lately.
    pub fn record(&self, session: &SessionId) -> Option<Arc<SessionRecord>> {
        let living = self.shared().pending_sessions.listed(session).map(|listed| listed.record);
        living.or_else(|| self.shared().ended.find(session))
    }

    /// Why a session carries no media, if it is old enough to tell and its record is kept.
    pub(crate) fn explanation(&self, session: &SessionId) -> Option<String> {
        let record = self.record(session)?;
        record.explanation(&record.report(), Instant::now())
    }

    /// The records of all sessions that live, and of those that ended lately.
    pub(crate) fn records(&self) -> Vec<Arc<SessionRecord>> {
        let (mut records, ended) = (self.shared().pending_sessions.records(), self.shared().ended.all());
        // One that ended between the two looks is among both.
        records.retain(|living| !ended.iter().any(|record| record.id == living.id));
        records.extend(ended);
        records
    }

    /// How many sessions send a stream to another relay.
    pub(crate) fn served_legs(&self) -> usize {
        let records = self.shared().pending_sessions.records();
        records.iter().filter(|record| record.class() == SessionClass::Leg && record.role == Role::Viewer).count()
    }

    /// The records of the living sessions of a stream.
    pub fn records_of(&self, stream: &StreamName) -> Vec<Arc<SessionRecord>> {
        self.shared().pending_sessions.records_of(stream)
    }
}
