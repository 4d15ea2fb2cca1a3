//! Between which addresses a request came.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::session::{ClientGroup, ClientSource};

/// How a client's request came to the relay, or to the proxy in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Scheme {
    Http,
    Https,
}

/// Between which addresses a request came; IPv4 is always plain IPv4, also on a dual-stack socket.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Connection {
    pub(in crate::http) local: SocketAddr,
    /// The client's address, as far as it is known.
    pub(in crate::http) remote: SocketAddr,
    pub(in crate::http) source: ClientSource,
    pub(in crate::http) scheme: Scheme,
}

impl Connection {
    /// Without a proxy and without TLS.
    pub(in crate::http) fn direct(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { local, remote, source: ClientSource::Direct, scheme: Scheme::Http }
    }

    /// Whether both ends have the same address: the other end is a program on this machine.
    pub(in crate::http) fn has_one_address(&self) -> bool {
        self.local.ip() == self.remote.ip()
    }

    /// The client that the request counts for.
    pub(in crate::http) fn client(&self) -> ClientGroup {
        self.source.client(self.remote.ip())
    }

    /// Whether it comes from this machine itself, and not through a proxy here.
    pub(in crate::http) fn is_from_this_machine(&self) -> bool {
        self.source.is_this_machine(self.remote.ip())
    }
}

impl<S: Sync> FromRequestParts<S> for Connection {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        // Only a request of a test comes without a listener.
        let nowhere = Self::direct(([127, 0, 0, 1], 0).into(), ([127, 0, 0, 1], 0).into());
        Ok(parts.extensions.get().copied().unwrap_or(nowhere))
    }
}
