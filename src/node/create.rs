//! Creates a session: the offer is checked and answered, and the session waits for its first packet.
//!
//! All of it runs on the caller's thread, never on a media thread: a join costs a worker nothing until its first STUN
//! check arrives.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::create_request::{Create, CreateError, CreatedSession, FULL_RETRY, RETRY_AFTER, TurnServer, formats_of};
use super::handle::Handle;
use crate::ice::Leg;
use crate::label::Label as _;
use crate::metrics::{Phase, Refusal, SessionState};
use crate::name::{Role, SessionClass, SessionId};
use crate::sdp::{Candidates, Local, Negotiated, Offer};
use crate::session::pending_sessions::PendingSession;
use crate::session::quota::{Applicant, GrantedViewers, Slot};
use crate::session::random_ids::{random_credentials, random_etag};
use crate::session::{LegEnd, SessionRecord};
use crate::stream::{Announced, Identity};
use crate::worker::config::HttpArrival;

impl Handle {
    /// Answers an offer and lets the session wait for its first packet.
    ///
    /// # Errors
    /// [`CreateError`]; nothing is left behind.
    pub fn create(&self, request: Create) -> Result<CreatedSession, CreateError> {
        self.create_at(request, Instant::now())
    }

    /// As [`Self::create`], at the given time.
    ///
    /// # Errors
    /// [`CreateError`]; nothing is left behind.
    pub fn create_at(&self, request: Create, now: Instant) -> Result<CreatedSession, CreateError> {
        let created = self.try_create(request, now);
        if let Some(refusal) = created.as_ref().err().and_then(CreateError::refusal) {
            self.shared().metrics.refused_sessions[refusal].inc();
        }
        created
    }

    fn try_create(&self, request: Create, now: Instant) -> Result<CreatedSession, CreateError> {
        let started = Instant::now();
        let shared = self.shared();
        if shared.draining.load(Ordering::Relaxed) {
            return Err(CreateError::Draining { retry_after: RETRY_AFTER });
        }
        let arrival = HttpArrival::of(request.http_local, request.http_remote, request.source);
        let candidates = self.candidates(arrival, request.media_by_http);
        if candidates.udp.is_empty() {
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
        // Before the offer is parsed, because a full relay answers cheaply.
        let slot = self.take_slot(&request, now)?;
        let local = self.local(&request, candidates.clone());
        let mut negotiated = self.negotiate(&request, &local)?;
        let id = SessionId::random();
        let announcement = (request.role == Role::Publisher).then(|| {
            let formats = formats_of(&negotiated);
            let announced = Announced {
                session: id,
                formats,
                identity,
                standby: request.standby,
                is_leg: request.leg,
                is_carried: false,
            };
            shared.registry.announce(&request.stream, announced)
        });
        // The session lives on without the text of its answer.
        let answer = std::mem::take(&mut negotiated.answer);
        let turn = self.shared().turn.as_ref().map(|turn| TurnServer {
            address: candidates.tcp.first().copied(),
            credentials: turn.credentials(&id, now),
        });
        let created = CreatedSession { session: id, answer, etag: random_etag(), turn };
        let offered = std::mem::take(&mut negotiated.offered);
        let of = (request.role, request.stream.clone());
        let client = (request.user_agent, offered);
        let record = SessionRecord::new(id, of, client, (request.http_remote, candidates), now);
        let record = record.with_sections(&negotiated.sections).granted(request.limits);
        let record = Arc::new(record.with_leg(request.leg.then_some(LegEnd::Answering)));
        let pending = PendingSession {
            id,
            role: request.role,
            stream: request.stream,
            local: local.credentials,
            negotiated,
            announcement,
            credential: request.credential,
            record,
            slot,
            leg: request.leg.then_some(Leg::Answering),
        };
        let class = pending.record.class();
        let full = |_| CreateError::Full { retry_after: RETRY_AFTER };
        shared.pending_sessions.admit(pending, created.etag.clone()).map_err(full)?;
        shared.metrics.sessions[class][SessionState::Waiting].inc();
        shared.metrics.setup[Phase::Answer].observe(started.elapsed().as_secs_f64());
        Ok(created)
    }

    /// The relay's side of the answer.
    fn local(&self, request: &Create, candidates: Candidates) -> Local {
        let shared = self.shared();
        Local {
            credentials: random_credentials(),
            fingerprint: shared.certificate.fingerprint().to_owned(),
            candidates,
            stream: request.stream.clone(),
            video_orientation: shared.config.video_orientation,
            max_bitrate: request.limits.bitrate_within(shared.config.max_publisher_bitrate),
            seed: rand::random(),
        }
    }

    /// Parses the offer and answers it.
    fn negotiate(&self, request: &Create, local: &Local) -> Result<Negotiated, CreateError> {
        let shared = self.shared();
        let offer = Offer::parse(&request.offer, request.role)?;
        if request.role == Role::Publisher {
            return Ok(offer.answer_publisher(local)?);
        }
        if shared.config.refuse_early_viewers && !request.expected && !shared.registry.is_published(&request.stream) {
            return Err(CreateError::NotPublished { retry_after: RETRY_AFTER });
        }
        Ok(offer.answer_viewer(local, &shared.registry.formats(&request.stream))?)
    }

    /// Takes a slot for the session that is asked for.
    fn take_slot(&self, request: &Create, now: Instant) -> Result<Slot, CreateError> {
        let shared = self.shared();
        let replaces = match request.role {
            Role::Publisher => shared.registry.replaced_by(&request.stream, request.standby),
            Role::Viewer => None,
        };
        let (stream, address) = (request.stream.clone(), request.http_remote);
        let granted = GrantedViewers::of(request.role, request.credential, request.limits);
        let class = SessionClass::of(request.role, request.leg);
        let applicant = Applicant { class, stream, address, source: request.source, replaces, granted };
        shared.slots.take(applicant, now).map_err(|refused| {
            let (quota, retry_after) = (&shared.config.quota, FULL_RETRY);
            if refused.warns {
                let (stream, client, limit) = (&request.stream, request.http_remote, refused.reason.as_str());
                tracing::warn!(%stream, %client, limit, "a session was refused: raise the limit or add a relay");
            }
            match refused.reason {
                Refusal::MaxViewers => CreateError::TooManyViewers { limit: quota.viewers, retry_after },
                Refusal::MaxViewersOfToken => {
                    CreateError::TooManyOfToken { limit: request.limits.max_viewers.unwrap_or_default(), retry_after }
                }
                Refusal::MaxSessionsPerAddress => {
                    CreateError::TooManyFromAddress { limit: quota.sessions_per_address, retry_after }
                }
                _ => CreateError::TooManySessions { limit: quota.sessions, retry_after },
            }
        })
    }
}
