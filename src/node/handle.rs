//! The handle to a node: its streams, sessions and state. `create`, `ice_restart` and `end` hold what changes a
//! session.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustls::ServerConnection;

use crate::auth::Credential;
use crate::name::{Role, SessionId, StreamName};
use crate::session::pending_sessions::Listed;
use crate::stream::{InboxFull, StreamInfo, WorkerId};
use crate::turn::service::Service;
use crate::worker::Workers;
use crate::worker::message::Message;
use crate::worker::net::ice_tcp::connection::Connection;
use crate::worker::shared::Shared;

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
    #[error("no such session: it has ended or never existed; begin a new one with a POST to /whip or /whep")]
    NoSuchSession,
    /// Its worker does not keep up; the session goes on as it was.
    #[error("the relay is busy: try again in {} s", retry_after.as_secs())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
}

/// What HTTP needs of a session.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Publisher or viewer.
    pub(crate) role: Role,
    /// Its stream.
    pub(crate) stream: StreamName,
    /// Strong entity tag of its ICE session, with quotes.
    pub(crate) etag: String,
    /// The credential that created it.
    pub(crate) credential: Credential,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The handle to the node of these workers.
    pub(crate) fn of(workers: &Workers) -> Self {
        Self::new(workers.shared())
    }

    /// The role, stream and owner of a session that has not ended.
    pub fn lookup(&self, session: &SessionId) -> Option<SessionInfo> {
        let Listed { role, stream, etag, credential, .. } = self.shared.pending_sessions.listed(session)?;
        Some(SessionInfo { role, stream, etag, credential })
    }

    /// Every stream that has a publisher or a viewer, by name.
    pub fn streams(&self) -> Vec<StreamInfo> {
        self.shared.registry.list()
    }

    /// Whether a stream has a publisher from which something was received within the last second.
    pub(crate) fn is_receiving(&self, stream: &StreamName) -> bool {
        self.shared.registry.is_receiving(stream, Instant::now())
    }

    /// How many sessions there are, connected or not.
    pub fn session_count(&self) -> usize {
        self.shared.pending_sessions.len()
    }

    /// True if viewers' data messages reach their publisher.
    pub(crate) fn hears_viewers(&self) -> bool {
        self.shared.config.viewer_messages
    }

    /// The UDP port on which media arrives.
    pub(crate) fn media_port(&self) -> u16 {
        self.shared.media_port
    }

    /// Whether clients may use TURN.
    pub(crate) fn has_turn(&self) -> bool {
        self.shared.turn.is_some()
    }

    /// Whether clients may connect by TCP.
    pub(crate) fn has_ice_tcp(&self) -> bool {
        self.shared.has_ice_tcp
    }

    /// Hands a worker a connection that carries media, between these addresses, with the TLS on it. It is closed if that
    /// fails.
    ///
    /// # Errors
    /// When the connection has ended already.
    pub(crate) fn take_connection(
        &self,
        stream: TcpStream,
        tls: Option<ServerConnection>,
        path: (SocketAddr, SocketAddr),
    ) -> io::Result<()> {
        let stream = mio::net::TcpStream::from_std(stream);
        let connection = Connection::new((stream, tls.map(Box::new)), path, Instant::now())?;
        // The first check shows which worker has the session, and the connection moves there.
        // A worker whose inbox is full takes no more clients.
        let _ = self.tell(self.any_worker(), Message::Connection(Box::new(connection)));
        Ok(())
    }

    /// True while the node accepts new sessions.
    pub(crate) fn is_ready(&self) -> bool {
        !self.shared.draining.load(Ordering::Relaxed)
    }

    /// How long a worker has been stuck, if that makes the relay unhealthy.
    pub(crate) fn stuck(&self) -> Option<Duration> {
        self.shared.health.stuck()
    }

    /// Rejects new sessions from now on.
    pub(crate) fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    /// Brings the gauges that are counted on demand up to date, for a scrape.
    pub fn update_gauges(&self) {
        let streams = i64::try_from(self.shared.registry.len()).unwrap_or(i64::MAX);
        self.shared.metrics.streams.set(streams);
        let allocations = self.shared.turn.as_ref().map_or(0, Service::allocations);
        self.shared.metrics.turn_allocations.set(i64::try_from(allocations).unwrap_or(i64::MAX));
        if let Some(drops) = &self.shared.metrics.socket_drops {
            // Two scrapes at once must not count the same drops twice.
            self.shared.socket_drops.read(|new| drops.inc_by(new));
        }
    }

    /// How much the workers share about sessions, by name: all of it is 0 once every session has ended.
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

    pub(super) fn any_worker(&self) -> WorkerId {
        WorkerId(rand::random_range(0..self.shared.workers.len()) as u16)
    }

    /// Sends a message to a worker.
    pub(super) fn tell(&self, worker: WorkerId, message: Message) -> Result<(), InboxFull<Message>> {
        self.shared.workers[usize::from(worker.0)].push(message)
    }
}
