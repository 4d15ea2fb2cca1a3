//! What the workers and the node share.

use super::Config;
use super::liveness::{Health, Heartbeat};
use super::message::Message;
use crate::advertise::Advertised;
use crate::metrics::{LimitName, Metrics};
use crate::name::{Role, StreamName};
use crate::peer::{Certificate, CertificateError};
use crate::session::assignment::Assignment;
use crate::session::cache_budget::CacheBudget;
use crate::session::client_closed::ClientClosed;
use crate::session::events::Events;
use crate::session::pending_sessions::PendingSessions;
use crate::session::quota::Slots;
use crate::session::session_record::EndedSessions;
use crate::session::unreached::Warning;
use crate::stream::{Registry, Sender, WorkerId};
use crate::turn::service::{Desk, Service};
use crate::worker::net::kernel_drops::SocketDrops;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16};
use std::time::Instant;

/// What the handle and all workers share. No lock of it is taken for each packet: only as sessions come, change and go,
/// and when their records are brought up to date.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) media_port: u16,
    pub(crate) advertised: Arc<Advertised>,
    /// The workers accept TCP connections on that port too.
    pub(crate) has_ice_tcp: bool,
    /// The TURN server, unless it is turned off.
    pub(crate) turn: Option<Service>,
    pub(crate) registry: Registry,
    pub(crate) pending_sessions: PendingSessions,
    pub(crate) client_closed: ClientClosed,
    pub(crate) events: Events,
    pub(crate) ended: EndedSessions,
    pub(crate) unreached: Warning,
    pub(crate) cache_budget: CacheBudget,
    pub(crate) socket_drops: SocketDrops,
    /// The smallest of the kernel's buffers of the media sockets, in octets; unknown without sockets.
    pub(crate) socket_buffer: Option<usize>,
    pub(crate) slots: Slots,
    pub(crate) assignment: Assignment,
    /// By worker number.
    pub(crate) heartbeats: Vec<Arc<Heartbeat>>,
    pub(crate) health: Health,
    pub(crate) certificate: Certificate,
    pub(crate) metrics: Arc<Metrics>,
    /// Inboxes by worker number.
    pub(crate) workers: Vec<Sender<Message>>,
    /// The ports from which legs are dialled in virtual time; `None` where they are the system's.
    pub(crate) virtual_ports: Option<AtomicU16>,
    /// Set once, when the relay stops taking sessions.
    pub(crate) draining: AtomicBool,
}

impl Shared {
    /// What the workers with these inboxes share; makes the node's certificate.
    pub(crate) fn new(
        config: Config,
        advertised: Arc<Advertised>,
        media_port: u16,
        metrics: Arc<Metrics>,
        workers: Vec<Sender<Message>>,
    ) -> Result<Self, CertificateError> {
        let limits = [
            (LimitName::Sessions, config.quota.sessions),
            (LimitName::Viewers, config.quota.viewers),
            (LimitName::SessionsPerAddress, config.quota.sessions_per_address),
            (LimitName::PublisherBitrate, config.max_publisher_bitrate as usize),
        ];
        for (limit, value) in limits {
            metrics.limits[limit].set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        let turn = config.turn.then(|| Service::new(&rand::random(), Instant::now()));
        Ok(Self {
            slots: Slots::new(config.quota),
            cache_budget: CacheBudget::new(config.cached_frames_total),
            config,
            advertised,
            media_port,
            has_ice_tcp: false,
            turn,
            registry: Registry::default(),
            pending_sessions: PendingSessions::default(),
            client_closed: ClientClosed::default(),
            events: Events::default(),
            ended: EndedSessions::default(),
            unreached: Warning::default(),
            socket_drops: SocketDrops::default(),
            socket_buffer: None,
            assignment: Assignment::new(workers.len()),
            heartbeats: workers.iter().map(|_| Arc::default()).collect(),
            health: Health::default(),
            certificate: Certificate::generate()?,
            metrics,
            workers,
            virtual_ports: None,
            draining: AtomicBool::new(false),
        })
    }

    /// The TURN server with the sessions that may use it.
    pub(crate) fn desk(&self) -> Option<Desk<'_>> {
        let service = self.turn.as_ref()?;
        Some(Desk { service, sessions: &self.pending_sessions })
    }

    /// The worker that a pending session is assigned to; `None` is the one where its first check arrives.
    pub(crate) fn home_of(&self, ufrag: &str) -> Option<WorkerId> {
        let (role, stream) = self.pending_sessions.waiting(ufrag)?;
        // Everything that the publisher sends would be handed over.
        if role == Role::Publisher && !self.assignment.steering.has_room() {
            return None;
        }
        self.home(role, &stream)
    }

    /// The worker on which a session of this stream best lives, if that is known.
    pub(crate) fn home(&self, role: Role, stream: &StreamName) -> Option<WorkerId> {
        let gathered = self.config.gathered_publishers;
        match role {
            Role::Viewer => self.registry.home(stream, self.config.small_stream),
            Role::Publisher if gathered == 0 => None,
            Role::Publisher => {
                self.registry.live(stream).map(|live| live.worker).or_else(|| self.assignment.with_room(gathered))
            }
        }
    }
}
