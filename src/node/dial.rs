//! Dials another relay: a session of which this relay is the client.
//!
//! [`Handle::call`] gives what the offer needs. Once the other relay has answered, [`Handle::dial`] begins the session
//! from its answer, which is read as if it were an offer: of a publisher whose media comes in, or of a viewer. So the
//! session is like all others from there on. The rule: at most 4 addresses are dialled, each from a socket of the
//! session's own (see `worker::net::own_sockets`), and the caller has checked that they may be.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::create_request::{CreateError, FULL_RETRY, RETRY_AFTER, formats_of};
use super::handle::Handle;
use crate::auth::{Credential, Limits};
use crate::five_tuple::{FiveTuple, Protocol, plain};
use crate::ice::{Credentials, Leg, MAX_DIALLED};
use crate::metrics::SessionState;
use crate::name::{Role, SessionClass, SessionId, StreamName};
use crate::sdp::{Candidates, Local, Negotiated};
use crate::session::pending_sessions::PendingSession;
use crate::session::quota::{Applicant, Slot};
use crate::session::random_ids::{random_credentials, random_etag};
use crate::session::{ClientSource, LegEnd, SessionRecord};
use crate::stream::{Announced, Identity};
use crate::worker::OwnSocket;
use crate::worker::message::Message;
use crate::worker::net::own_sockets;

/// A session to begin with the answer of another relay.
pub struct Dial {
    /// [`Role::Publisher`] if media comes in, [`Role::Viewer`] if it goes out.
    pub role: Role,
    /// The stream here.
    pub stream: StreamName,
    /// The credentials of [`Handle::call`], which the offer had.
    pub local: Credentials,
    /// What the answer has agreed to, read as an offer.
    pub negotiated: Negotiated,
    /// The addresses in the answer, best first. Those beyond the fourth are not dialled.
    pub candidates: Vec<SocketAddr>,
    /// The other relay, as logs show it.
    pub remote: String,
    /// The stream is that of another node of the cluster: this node does not claim it.
    pub is_carried: bool,
}

impl Handle {
    /// What this relay's offer for a stream needs. It names no candidates: the other relay learns the address from the
    /// checks.
    pub fn call(&self, stream: &StreamName) -> Local {
        Local {
            credentials: random_credentials(),
            fingerprint: self.shared().certificate.fingerprint().to_owned(),
            candidates: Candidates::default(),
            stream: stream.clone(),
            // What the publisher does was agreed where it publishes.
            video_orientation: true,
            max_bitrate: 0,
            seed: rand::random(),
        }
    }

    /// Begins a session that dials. It ends as all do.
    ///
    /// # Errors
    /// [`CreateError::TooManySessions`], [`CreateError::Draining`], [`CreateError::Full`] if its worker does not keep up,
    /// and [`CreateError::NoRoute`] if no address can be sent to; nothing is left behind.
    pub fn dial(&self, dial: Dial) -> Result<SessionId, CreateError> {
        self.dial_at(dial, Instant::now())
    }

    /// As [`Self::dial`], at the given time.
    ///
    /// # Errors
    /// As [`Self::dial`].
    pub fn dial_at(&self, dial: Dial, now: Instant) -> Result<SessionId, CreateError> {
        let shared = self.shared();
        if shared.draining.load(Ordering::Relaxed) {
            return Err(CreateError::Draining { retry_after: RETRY_AFTER });
        }
        let (paths, socket) = self.paths(&dial.candidates)?;
        let Dial { role, stream, local, mut negotiated, remote, is_carried, .. } = dial;
        let id = SessionId::random();
        let address = paths.first().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |path| path.remote.ip());
        let addresses = paths.iter().map(|path| path.remote).collect();
        let slot = self.take_leg_slot(&stream, address, now)?;
        // Nobody may end or change it by HTTP but an administrator.
        let credential = Credential::of_digest(rand::random());
        let announcement = (role == Role::Publisher).then(|| {
            let identity = Identity { credential, address, user_agent: None };
            let formats = formats_of(&negotiated);
            let announced = Announced { session: id, formats, identity, standby: false, is_leg: true, is_carried };
            shared.registry.announce(&stream, announced)
        });
        negotiated.answer = String::new();
        let offered = std::mem::take(&mut negotiated.offered);
        let of = (role, stream.clone());
        let record = SessionRecord::new(id, of, (None, offered), (address, Candidates::default()), now);
        let record = record.with_sections(&negotiated.sections).granted(Limits::default());
        let record = Arc::new(record.with_leg(Some(LegEnd::Dialling { remote, addresses })));
        let leg = Some(Leg::Dialling(paths));
        let worker = shared.home(role, &stream).unwrap_or_else(|| self.any_worker());
        let session =
            PendingSession { id, role, stream, local, negotiated, announcement, credential, record, slot, leg };
        shared.pending_sessions.assign(&session, worker, random_etag());
        let waiting = &shared.metrics.sessions[SessionClass::Leg][SessionState::Waiting];
        waiting.inc();
        if self.tell(worker, Message::Dial { session: Box::new(session), socket }).is_err() {
            waiting.dec();
            shared.pending_sessions.remove(&id);
            return Err(CreateError::Full { retry_after: RETRY_AFTER });
        }
        Ok(id)
    }

    /// The paths to those addresses that can be sent to, at most [`MAX_DIALLED`], and the socket from which they begin.
    fn paths(&self, candidates: &[SocketAddr]) -> Result<(Vec<FiveTuple>, Option<OwnSocket>), CreateError> {
        let shared = self.shared();
        let bound = shared.config.media.ip();
        let (port, socket) = match &shared.virtual_ports {
            Some(ports) => (ports.fetch_add(1, Ordering::Relaxed), None),
            None => {
                let socket = own_sockets::bind(bound).map_err(CreateError::NoSocket)?;
                (socket.port(), Some(socket))
            }
        };
        let mut paths: Vec<FiveTuple> = Vec::new();
        for remote in candidates.iter().copied().map(plain) {
            let source = match socket {
                Some(_) => own_sockets::source_of(bound, remote).ok(),
                None => Some(bound),
            };
            let path = source.map(|source| FiveTuple {
                local: SocketAddr::new(source, port),
                remote,
                protocol: Protocol::Udp,
            });
            if let Some(path) = path.filter(|path| !paths.contains(path) && paths.len() < MAX_DIALLED) {
                paths.push(path);
            }
        }
        if paths.is_empty() { Err(CreateError::NoRoute) } else { Ok((paths, socket)) }
    }

    fn take_leg_slot(&self, stream: &StreamName, address: IpAddr, now: Instant) -> Result<Slot, CreateError> {
        let (class, stream) = (SessionClass::Leg, stream.clone());
        let applicant =
            Applicant { class, stream, address, source: ClientSource::Direct, replaces: None, granted: None };
        self.shared().slots.take(applicant, now).map_err(|_| CreateError::TooManySessions {
            limit: self.shared().config.quota.sessions,
            retry_after: FULL_RETRY,
        })
    }
}
