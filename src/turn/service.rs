//! What the allocations of all connections share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::credentials::{Credentials, Secret};
use super::relayed_ports::RelayedPorts;
use crate::name::SessionId;

/// The TURN server of a relay: its secret, and the ports of its allocations.
#[derive(Debug)]
pub struct Service {
    pub(super) secret: Secret,
    pub(super) ports: Arc<RelayedPorts>,
}

/// What the server asks about sessions.
pub trait Sessions {
    /// The relay's candidates by UDP in the newest answer to the session; `None` if it has ended.
    fn candidates(&self, session: &SessionId) -> Option<Vec<SocketAddr>>;
}

/// The server, and the sessions that may use it.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The server.
    pub service: &'a Service,
    /// The sessions.
    pub sessions: &'a dyn Sessions,
}

impl Service {
    /// A server without allocations. `seed` must be random and secret.
    pub fn new(seed: &[u8; 32], start: Instant) -> Self {
        Self { secret: Secret::new(seed, start), ports: Arc::default() }
    }

    /// Credentials that are valid as long as this session, and for new allocations a day.
    pub fn credentials(&self, session: &SessionId, now: Instant) -> Credentials {
        self.secret.issue(session, now)
    }

    /// How many allocations there are.
    pub fn allocations(&self) -> usize {
        self.ports.len()
    }
}
