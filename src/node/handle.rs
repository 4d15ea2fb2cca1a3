//! What HTTP, cascade and load see of the media side: sessions are created, changed, ended and listed here.
//!
//! Negotiation runs on the caller's task, never on a media thread: a join costs a worker nothing until ICE has proven
//! its path.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::create::{Create, CreateError, Created, formats_of};
use super::ice_restart::{Patched, Restart};
use crate::auth::Credential;
use crate::ice::Admission;
use crate::metrics::{Phase, SessionState};
use crate::name::{Role, SessionId, StreamName};
use crate::reason::EndReason;
use crate::sdp::{Local, Offer};
use crate::session::SessionRecord;
use crate::session::pending_sessions::{Found, Listed, PendingSession};
use crate::session::random_ids::{random_credentials, random_etag};
use crate::stream::{Announced, Full, Identity, StreamInfo, WorkerId};
use crate::worker::Workers;
use crate::worker::config::HttpArrival;
use crate::worker::message::Message;
use crate::worker::sessions::ended::end_waiting;
use crate::worker::shared::Shared;

/// How long a client should wait before it asks an overloaded or stopping relay again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The media side of a node. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// Why a session was not changed.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// It has ended or never was.
    #[error("there is no such session: it has ended")]
    NoSuchSession,
    /// Its worker does not keep up; the session goes on as it was.
    #[error("the relay is busy: try again in {} s", retry_after.as_secs())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
}

/// What HTTP knows of a session.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Publisher or viewer.
    pub role: Role,
    /// Its stream.
    pub stream: StreamName,
    /// Strong entity tag of its ICE session, with quotes.
    pub etag: String,
    /// Who created it.
    pub credential: Credential,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The way to these workers.
    pub fn of(workers: &Workers) -> Self {
        Self::new(workers.shared())
    }

    /// Answers an offer and lets the session wait for its first packet.
    ///
    /// # Errors
    /// [`CreateError`]; nothing is left behind.
    pub fn create(&self, request: Create) -> Result<Created, CreateError> {
        self.create_at(request, Instant::now())
    }

    /// The same, told the time.
    ///
    /// # Errors
    /// [`CreateError`]; nothing is left behind.
    pub fn create_at(&self, request: Create, now: Instant) -> Result<Created, CreateError> {
        let created = self.try_create(request, now);
        if let Some(refusal) = created.as_ref().err().and_then(CreateError::refusal) {
            self.shared.metrics.refused_sessions[refusal].inc();
        }
        created
    }

    fn try_create(&self, request: Create, now: Instant) -> Result<Created, CreateError> {
        let started = Instant::now();
        let shared = &self.shared;
        if shared.draining.load(Ordering::Relaxed) {
            return Err(CreateError::Draining { retry_after: RETRY_AFTER });
        }
        let arrival = request
            .http_local
            .map(|local| HttpArrival { local, is_this_machine: request.source.is_this_machine(request.http_remote) });
        let candidates = shared.config.candidates(shared.media_port, arrival);
        if candidates.is_empty() {
            return Err(CreateError::NoAddress);
        }
        let identity = Identity {
            credential: request.credential,
            address: request.http_remote,
            user_agent: request.user_agent.clone(),
        };
        if request.role == Role::Publisher {
            shared.registry.check_publisher(&request.stream, &identity, request.standby, now)?;
        }
        // Before the offer is read: a relay that is full answers cheaply.
        let slot = self.take_slot(&request, now)?;
        let offer = Offer::parse(&request.offer, request.role)?;
        if request.role == Role::Viewer
            && shared.config.refuse_early_viewers
            && !shared.registry.is_published(&request.stream)
        {
            return Err(CreateError::NotPublished { retry_after: RETRY_AFTER });
        }
        let told = candidates.clone();
        let local = Local {
            credentials: random_credentials(),
            fingerprint: shared.certificate.fingerprint().to_owned(),
            candidates,
            stream: request.stream.clone(),
            video_orientation: shared.config.video_orientation,
            max_bitrate: shared.config.max_publisher_bitrate,
            seed: rand::random(),
        };
        let mut negotiated = match request.role {
            Role::Publisher => offer.answer_publisher(&local)?,
            Role::Viewer => offer.answer_viewer(&local, &shared.registry.formats(&request.stream))?,
        };
        let id = SessionId::random();
        let announcement = (request.role == Role::Publisher).then(|| {
            let formats = formats_of(&negotiated);
            let announced = Announced { session: id, formats, identity, standby: request.standby };
            shared.registry.announce(&request.stream, announced)
        });
        // The session lives on without the text of its answer.
        let answer = std::mem::take(&mut negotiated.answer);
        let created = Created { session: id, answer, etag: random_etag() };
        let offered = std::mem::take(&mut negotiated.offered);
        let who = (request.role, request.stream.clone());
        let record =
            Arc::new(SessionRecord::new(id, who, (request.user_agent, offered), (request.http_remote, told), now));
        let waiting = PendingSession {
            id,
            role: request.role,
            stream: request.stream,
            local: local.credentials,
            negotiated,
            announcement,
            credential: request.credential,
            record,
            slot,
        };
        let full = |_| CreateError::Full { retry_after: RETRY_AFTER };
        shared.pending_sessions.admit(waiting, created.etag.clone()).map_err(full)?;
        shared.metrics.sessions[request.role][SessionState::Waiting].inc();
        shared.metrics.setup[Phase::Answer].observe(started.elapsed().as_secs_f64());
        Ok(created)
    }

    /// Gives a session new ICE credentials; the old ones live until the new path is proven (RFC 9725 4.3.2).
    ///
    /// # Errors
    /// [`PatchError`]; the session goes on as it was.
    pub fn restart(&self, session: &SessionId, restart: Restart) -> Result<Patched, PatchError> {
        let local = random_credentials();
        let etag = random_etag();
        let owner = self.shared.pending_sessions.restart(session, &local, &restart.remote, etag.clone());
        if let Some(worker) = owner.ok_or(PatchError::NoSuchSession)? {
            let admission = Box::new(Admission { local: local.clone(), remote: restart.remote });
            let message = Message::Restart { session: *session, admission };
            self.tell(worker, message).map_err(|_| PatchError::Busy { retry_after: RETRY_AFTER })?;
        }
        let arrival = restart
            .http_local
            .map(|local| HttpArrival { local, is_this_machine: restart.source.is_this_machine(restart.http_remote) });
        let candidates = self.shared.config.candidates(self.shared.media_port, arrival);
        if let Some(record) = self.record(session) {
            record.set_told(candidates.clone());
        }
        Ok(Patched { local, candidates, etag })
    }

    /// Ends a session at once: from here on nobody finds it, and its worker tells the peer. One that has not connected
    /// ends for the reason that says how far it came.
    ///
    /// # Errors
    /// [`PatchError::NoSuchSession`] when it has ended already.
    pub fn end(&self, session: &SessionId, reason: EndReason) -> Result<(), PatchError> {
        self.end_at(session, reason, Instant::now())
    }

    /// The same, told the time.
    ///
    /// # Errors
    /// [`PatchError::NoSuchSession`] when it has ended already.
    pub fn end_at(&self, session: &SessionId, reason: EndReason, now: Instant) -> Result<(), PatchError> {
        match self.shared.pending_sessions.remove(session) {
            Found::Session(waiting) => {
                end_waiting(&waiting, reason, &self.shared, now);
                Ok(())
            }
            Found::Owned(worker) => {
                let mut message = Message::End { session: *session, reason };
                // A full inbox means that the worker is behind by thousands of messages. The session must not stay
                // for that, so the caller's thread waits for room.
                while let Err(Full(returned)) = self.tell(worker, message) {
                    message = returned;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            }
            Found::Unknown => Err(PatchError::NoSuchSession),
        }
    }

    /// True, once, when the client that made the session with this credential has closed the connection itself a
    /// moment ago: its DELETE comes late, but in good faith.
    pub fn has_departed(&self, session: &SessionId, credential: &Credential) -> bool {
        self.shared.client_closed.take(session, credential, Instant::now())
    }

    /// What is known of a session.
    pub fn lookup(&self, session: &SessionId) -> Option<SessionInfo> {
        let Listed { role, stream, etag, credential, .. } = self.shared.pending_sessions.listed(session)?;
        Some(SessionInfo { role, stream, etag, credential })
    }

    /// Every stream that has a publisher or a viewer, by name.
    pub fn streams(&self) -> Vec<StreamInfo> {
        self.shared.registry.list()
    }

    /// How many sessions there are, connected or not.
    pub fn session_count(&self) -> usize {
        self.shared.pending_sessions.len()
    }

    /// Whether what viewers send on data channels reaches their publisher.
    pub fn hears_viewers(&self) -> bool {
        self.shared.config.viewer_messages
    }

    /// The UDP port on which media arrives.
    pub fn media_port(&self) -> u16 {
        self.shared.media_port
    }

    /// True while new sessions are taken.
    pub fn is_ready(&self) -> bool {
        !self.shared.draining.load(Ordering::Relaxed)
    }

    /// For how long a worker has been stuck, once that is so long that the relay is not well.
    pub fn stuck(&self) -> Option<Duration> {
        self.shared.health.stuck()
    }

    /// Takes no new session from here on.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    /// Brings the gauges that are counted on demand up to date, for a scrape.
    pub fn update_gauges(&self) {
        let streams = i64::try_from(self.shared.registry.len()).unwrap_or(i64::MAX);
        self.shared.metrics.streams.set(streams);
        if let Some(drops) = &self.shared.metrics.socket_drops {
            // Two scrapes at once must not count the same drops twice.
            self.shared.socket_drops.read(|new| drops.inc_by(new));
        }
    }

    /// How much is shared about sessions, by name: all of it is 0 once every session has gone.
    pub(crate) fn counts(&self) -> Vec<(&'static str, usize)> {
        let shared = &self.shared;
        let mut counts = vec![("registry", shared.registry.len()), ("departed", shared.client_closed.len())];
        counts.extend(shared.pending_sessions.counts());
        counts.extend(shared.slots.counts());
        counts.extend(shared.assignment.counts());
        counts
    }

    /// What the workers share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn tell(&self, worker: WorkerId, message: Message) -> Result<(), Full<Message>> {
        self.shared.workers[usize::from(worker.0)].push(message)
    }
}
