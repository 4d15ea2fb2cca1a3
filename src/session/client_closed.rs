//! Sessions whose clients have closed the connection and may still send their DELETE.
//!
//! Browsers and OBS close the connection before they send DELETE, and the DTLS close_notify arrives before the request.
//! The rule: the first DELETE of such a session is answered as if it had come in time (RFC 9725 4.2), the second is
//! not.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::auth::Credential;
use crate::name::SessionId;

/// Sessions remembered; when full the oldest is forgotten, and its client's DELETE gets 404.
const CAPACITY: usize = 1024;

/// How long a session is remembered.
const PATIENCE: Duration = Duration::from_secs(30);

/// Workers write, HTTP takes out; both once a session.
#[derive(Default)]
pub(crate) struct ClientClosed(Mutex<VecDeque<Entry>>);

struct Entry {
    session: SessionId,
    credential: Credential,
    since: Instant,
}

impl ClientClosed {
    /// The client has closed this session, which was made with this credential.
    pub(crate) fn remember(&self, session: SessionId, credential: Credential, now: Instant) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= CAPACITY {
            entries.pop_front();
        }
        entries.push_back(Entry { session, credential, since: now });
    }

    /// Forgets those whose time is over.
    pub(crate) fn expire(&self, now: Instant) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| now.saturating_duration_since(entry.since) < PATIENCE);
    }

    /// How many are remembered.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// True, once, for a session that its client has closed lately.
    pub(crate) fn take(&self, session: &SessionId, credential: &Credential, now: Instant) -> bool {
        self.expire(now);
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found =
            entries.iter().position(|entry| entry.session == *session && entry.credential.is_shown_by(credential));
        found.is_some_and(|place| entries.remove(place).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_closed_session_is_taken_once_and_only_by_its_creator() {
        let client_closed = ClientClosed::default();
        let now = Instant::now();
        let (session, other) = (SessionId::random(), SessionId::random());
        let [own, foreign] = ["own", "foreign"].map(Credential::of_token);
        client_closed.remember(session, own, now);
        assert!(!client_closed.take(&other, &own, now));
        assert!(!client_closed.take(&session, &foreign, now));
        assert!(client_closed.take(&session, &own, now));
        assert!(!client_closed.take(&session, &own, now));
    }

    #[test]
    fn what_is_remembered_is_bounded_in_time_and_number() {
        let client_closed = ClientClosed::default();
        let now = Instant::now();
        let own = Credential::of_token("own");
        let sessions: Vec<_> = (0..=CAPACITY).map(|_| SessionId::random()).collect();
        for session in &sessions {
            client_closed.remember(*session, own, now);
        }
        assert!(!client_closed.take(&sessions[0], &own, now));
        assert!(client_closed.take(&sessions[1], &own, now));
        assert!(!client_closed.take(&sessions[2], &own, now + PATIENCE));
        assert_eq!(client_closed.len(), 0, "sessions without a DELETE are forgotten too");
    }
}
