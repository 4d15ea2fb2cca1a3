//! Where sessions wait between the 201 and their first STUN check, and where every session is found by name.
//!
//! Shared by HTTP and all workers. The worker on whose socket the first check with a session's user name fragment
//! arrives takes the session out and owns it, or hands the datagram to the worker that the session is assigned to; what
//! reaches another worker later is handed to the owner. HTTP and workers write here on join, restart and leave only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::quota::Slot;
use super::session_record::SessionRecord;
use crate::auth::Credential;
use crate::ice::{Credentials, Leg};
use crate::name::{Role, SessionId, StreamName};
use crate::sdp::Negotiated;
use crate::shared::{AtomicUsize, DashMap};
use crate::stream::{Announcement, WorkerId};
use crate::turn::service::Sessions;

/// Sessions that may wait at once; one more is answered with 503.
pub(crate) const CAPACITY: usize = 8192;

/// How long a session may wait for its first check.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Maps with more room than this, most of it empty, are made smaller.
const ROOM: usize = 1024;

/// The pending sessions and the list of sessions.
#[derive(Default)]
pub(crate) struct PendingSessions {
    place_by_ufrag: DashMap<String, Place>,
    session_by_id: DashMap<SessionId, Listed>,
    waiting: AtomicUsize,
}

enum Place {
    Waiting(Box<PendingSession>),
    Owned(WorkerId),
}

/// A session that has its answer and waits for its first check.
pub(crate) struct PendingSession {
    pub(crate) id: SessionId,
    pub(crate) role: Role,
    pub(crate) stream: StreamName,
    pub(crate) local: Credentials,
    pub(crate) negotiated: Negotiated,
    pub(crate) announcement: Option<Announcement>,
    pub(crate) credential: Credential,
    pub(crate) record: Arc<SessionRecord>,
    pub(crate) slot: Slot,
    /// Which end of a leg it is, if it is one.
    pub(crate) leg: Option<Leg>,
}

/// What HTTP knows of a session.
#[derive(Clone)]
pub(crate) struct Listed {
    pub(crate) role: Role,
    pub(crate) stream: StreamName,
    /// Strong entity tag of the current ICE session, with its quotes.
    pub(crate) etag: String,
    pub(crate) credential: Credential,
    pub(crate) record: Arc<SessionRecord>,
    /// The user name fragments that lead to it, the newest last.
    ufrags: Vec<String>,
}

impl Listed {
    fn of(session: &PendingSession, etag: String) -> Self {
        Self {
            role: session.role,
            stream: session.stream.clone(),
            etag,
            credential: session.credential,
            record: Arc::clone(&session.record),
            ufrags: vec![session.local.ufrag.clone()],
        }
    }
}

/// What is behind a user name fragment.
pub(crate) enum Found {
    /// The session waited here; it is the caller's now.
    Session(Box<PendingSession>),
    /// This worker owns it.
    Owned(WorkerId),
    /// There is no such session.
    Unknown,
}

/// There are [`CAPACITY`] pending sessions already.
#[derive(Debug)]
pub(crate) struct PendingSessionsFull;

impl Sessions for PendingSessions {
    fn candidates(&self, session: &SessionId) -> Option<Vec<SocketAddr>> {
        Some(self.session_by_id.get(session)?.record.candidates().udp)
    }
}

impl PendingSessions {
    /// Lets a session wait, known by `etag` to HTTP.
    pub(crate) fn admit(&self, session: PendingSession, etag: String) -> Result<(), PendingSessionsFull> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= CAPACITY {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(PendingSessionsFull);
        }
        self.session_by_id.insert(session.id, Listed::of(&session, etag));
        self.place_by_ufrag.insert(session.local.ufrag.clone(), Place::Waiting(Box::new(session)));
        Ok(())
    }

    /// Lists a session that this worker is given at once: the relay dials.
    pub(crate) fn assign(&self, session: &PendingSession, worker: WorkerId, etag: String) {
        self.session_by_id.insert(session.id, Listed::of(session, etag));
        self.place_by_ufrag.insert(session.local.ufrag.clone(), Place::Owned(worker));
    }

    /// A check for `ufrag` arrived at `worker`: the session is taken out if it waits.
    pub(crate) fn take(&self, ufrag: &str, worker: WorkerId) -> Found {
        let Some(mut place) = self.place_by_ufrag.get_mut(ufrag) else { return Found::Unknown };
        match std::mem::replace(place.value_mut(), Place::Owned(worker)) {
            Place::Waiting(session) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                Found::Session(session)
            }
            Place::Owned(owner) => {
                *place.value_mut() = Place::Owned(owner);
                Found::Owned(owner)
            }
        }
    }

    /// The role and the stream of the session that waits under this name.
    pub(crate) fn waiting(&self, ufrag: &str) -> Option<(Role, StreamName)> {
        match self.place_by_ufrag.get(ufrag)?.value() {
            Place::Waiting(session) => Some((session.role, session.stream.clone())),
            Place::Owned(_) => None,
        }
    }

    /// What HTTP knows of a session.
    pub(crate) fn listed(&self, session: &SessionId) -> Option<Listed> {
        Some(self.session_by_id.get(session)?.value().clone())
    }

    /// Gives a session new credentials and a new entity tag (ICE restart). Returns its owner, if it has one already,
    /// which must get the credentials too; `None` if there is no such session.
    pub(crate) fn restart(
        &self,
        session: &SessionId,
        local: &Credentials,
        remote: &Credentials,
        etag: String,
    ) -> Option<Option<WorkerId>> {
        let mut listed = self.session_by_id.get_mut(session)?;
        let current = listed.ufrags.last()?.clone();
        let (_, place) = self.place_by_ufrag.remove(&current)?;
        let owner = match place {
            Place::Waiting(mut waiting) => {
                // The old credentials have not been used yet, so they can go.
                waiting.local = local.clone();
                waiting.negotiated.remote = remote.clone();
                listed.ufrags.clear();
                self.place_by_ufrag.insert(local.ufrag.clone(), Place::Waiting(waiting));
                None
            }
            Place::Owned(worker) => {
                self.place_by_ufrag.insert(current, Place::Owned(worker));
                self.place_by_ufrag.insert(local.ufrag.clone(), Place::Owned(worker));
                Some(worker)
            }
        };
        listed.ufrags.push(local.ufrag.clone());
        listed.etag = etag;
        Some(owner)
    }

    /// The worker that owns a session; `None` while it waits.
    pub(crate) fn owner(&self, session: &SessionId) -> Option<WorkerId> {
        let ufrag = self.session_by_id.get(session)?.ufrags.last()?.clone();
        match self.place_by_ufrag.get(&ufrag)?.value() {
            Place::Waiting(_) => None,
            Place::Owned(worker) => Some(*worker),
        }
    }

    /// Forgets a name that does not lead to the session any more. Without it each restart would leave one behind for as
    /// long as the session lives.
    pub(crate) fn retire(&self, session: &SessionId, ufrag: &str) {
        let Some(mut listed) = self.session_by_id.get_mut(session) else { return };
        // The newest is never retired: the next restart finds the session by it.
        let is_old = |(place, known): (usize, &String)| place + 1 < listed.ufrags.len() && known == ufrag;
        if let Some(place) = listed.ufrags.iter().enumerate().position(is_old) {
            listed.ufrags.remove(place);
            self.place_by_ufrag.remove(ufrag);
        }
    }

    /// Forgets a session. Returns the session if it still waited, else its owner, which must end it.
    pub(crate) fn remove(&self, session: &SessionId) -> Found {
        let Some((_, listed)) = self.session_by_id.remove(session) else { return Found::Unknown };
        let mut found = Found::Unknown;
        for ufrag in &listed.ufrags {
            match self.place_by_ufrag.remove(ufrag) {
                Some((_, Place::Waiting(waiting))) => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    found = Found::Session(waiting);
                }
                Some((_, Place::Owned(worker))) => found = Found::Owned(worker),
                None => {}
            }
        }
        found
    }

    /// Takes out the sessions that have waited too long.
    pub(crate) fn expire(&self, now: Instant) -> Vec<PendingSession> {
        let late = |place: &Place| match place {
            Place::Waiting(session) => now.saturating_duration_since(session.record.created) >= PATIENCE,
            Place::Owned(_) => false,
        };
        let candidates = self.place_by_ufrag.iter().filter(|place| late(place.value()));
        let ufrags: Vec<_> = candidates.map(|place| place.key().clone()).collect();
        // A worker may take a session between the two steps, so each is looked at again as it is removed.
        let remove = |ufrag: String| match self.place_by_ufrag.remove_if(&ufrag, |_, place| late(place)) {
            Some((_, Place::Waiting(session))) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                self.session_by_id.remove(&session.id);
                Some(*session)
            }
            _ => None,
        };
        ufrags.into_iter().filter_map(remove).collect()
    }

    /// Gives the room back that a flood of sessions took, once they have gone.
    pub(crate) fn shrink(&self) {
        if is_wide(self.place_by_ufrag.capacity(), self.place_by_ufrag.len()) {
            self.place_by_ufrag.shrink_to_fit();
        }
        if is_wide(self.session_by_id.capacity(), self.session_by_id.len()) {
            self.session_by_id.shrink_to_fit();
        }
    }

    /// Takes out all pending sessions, because the relay stops.
    pub(crate) fn drain(&self) -> Vec<PendingSession> {
        self.expire(Instant::now() + PATIENCE)
    }

    /// The records of all sessions.
    pub(crate) fn records(&self) -> Vec<Arc<SessionRecord>> {
        self.session_by_id.iter().map(|listed| Arc::clone(&listed.record)).collect()
    }

    /// The records of the sessions of a stream.
    pub(crate) fn records_of(&self, stream: &StreamName) -> Vec<Arc<SessionRecord>> {
        let of_stream = self.session_by_id.iter().filter(|listed| listed.stream == *stream);
        of_stream.map(|listed| Arc::clone(&listed.record)).collect()
    }

    /// The sizes of its collections by name: all are 0 once every session has ended.
    pub(crate) fn counts(&self) -> [(&'static str, usize); 3] {
        [
            ("pending: listed", self.session_by_id.len()),
            ("pending: ufrags", self.place_by_ufrag.len()),
            ("pending: waiting", self.waiting.load(Ordering::Relaxed)),
        ]
    }

    /// How many sessions are known: those that wait and those that are owned.
    pub(crate) fn len(&self) -> usize {
        self.session_by_id.len()
    }
}

/// Whether less than a quarter of the room is used: what is made smaller then does not grow again at once.
fn is_wide(capacity: usize, len: usize) -> bool {
    capacity > ROOM && len < capacity / 4
}
