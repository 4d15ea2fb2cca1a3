//! A session's way from its first check to its role: adopted from the pending sessions, its peer opened, DTLS completed.

use std::time::{Duration, Instant};

use super::session::{Facts, Session, State};
use crate::five_tuple::FiveTuple;
use crate::ice::Admission;
use crate::peer::{Certificate, Config as PeerConfig, Peer};
use crate::session::pending_sessions::PendingSession;
use crate::srtp::{Keys, SrtpProfile};
use crate::stream::Announcement;

/// What a session is from now on: its DTLS handshake has completed.
pub(crate) enum Entered {
    /// A publisher, with its announcement.
    Publisher(Announcement),
    Viewer,
}

impl Session {
    /// The session of a client whose first check arrived, and what the demultiplexer admits it by.
    pub(crate) fn adopt(pending: PendingSession) -> (Self, Admission) {
        let PendingSession { id, role, stream, local, negotiated, announcement, record, slot, .. } = pending;
        let admission = Admission { local: local.clone(), remote: negotiated.remote.clone() };
        let session = Self {
            id,
            role,
            stream,
            local,
            negotiated,
            peer: None,
            state: State::Connecting(announcement),
            path: None,
            steered: None,
            facts: Facts::new(record.created),
            record,
            slot,
            share: None,
            probed: None,
        };
        (session, admission)
    }

    /// Takes note of the first valid check; how long the client took to send it.
    pub(crate) fn note_opened(&mut self, now: Instant) -> Duration {
        self.facts.opened = Some(now);
        now.saturating_duration_since(self.facts.created)
    }

    /// Opens the peer for a profile; false if that fails.
    pub(crate) fn open_peer(&mut self, profile: SrtpProfile, certificate: &Certificate, now: Instant) -> bool {
        let config = PeerConfig {
            local: &self.local,
            remote: &self.negotiated.remote,
            remote_fingerprint: &self.negotiated.remote_fingerprint,
            dtls_client: self.negotiated.dtls_client,
            application: self.negotiated.application.is_some(),
            role: self.role,
            certificate,
        };
        match Peer::open(&config, profile, now) {
            Ok(peer) => self.peer = Some(peer),
            Err(error) => {
                self.facts.failure = Some(error.to_string());
                return false;
            }
        }
        true
    }

    /// Takes note of the completed DTLS handshake; what the session is now, and how long the handshake took. `None` if it
    /// had completed before.
    pub(crate) fn connect(
        &mut self,
        path: Option<FiveTuple>,
        keys: &Keys,
        now: Instant,
    ) -> Option<(Entered, Duration)> {
        let State::Connecting(announcement) = &mut self.state else { return None };
        let entered = announcement.take().map_or(Entered::Viewer, Entered::Publisher);
        self.path = path;
        self.slot.settle();
        self.facts.connected = Some(now);
        self.facts.profile = Some(keys.local.profile);
        tracing::info!(
            session = %self.id,
            role = self.role.as_str(),
            stream = %self.stream,
            remote = path.map(|path| path.remote.to_string()),
            srtp = ?keys.local.profile,
            "session connected"
        );
        Some((entered, now.saturating_duration_since(self.facts.opened.unwrap_or(now))))
    }
}
