//! The sockets of sessions that have one of their own: a leg that the relay dials.
//!
//! Datagrams are matched to sessions by their addresses, here and at the other relay. From the media port, all legs to
//! one relay would have the same two addresses, and would share them with the legs that the other relay dials to this
//! one. So each leg is dialled from a free port, and only its worker reads that socket: no answer reaches another worker.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Instant;

use mio::event::Event;
use mio::{Interest, Registry, Token};
use socket2::{Socket as RawSocket, Type};

use super::batch::{Outbox as _, SendOutcome};
use super::own_socket::OwnSocket;
use super::socket::{Socket, open, receive_buffers};
use crate::five_tuple::{FiveTuple, plain};

/// The token of the socket with port 0; that of a socket is its port further. Tokens of TCP connections, which count up
/// from a small number, never come here.
const FIRST_TOKEN: usize = 1 << 31;

/// Datagrams that one turn takes from each socket before viewers are served.
const TURN_DATAGRAMS: usize = 256;

/// The own sockets of one worker's sessions.
#[derive(Debug)]
pub(crate) struct OwnSockets {
    registry: Registry,
    socket_by_port: HashMap<u16, Own>,
    /// What each of them receives into, one after the other; empty without sockets.
    buffers: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Own {
    socket: Socket,
    /// Something may wait in it.
    is_readable: bool,
}

/// Binds a free port of this address.
///
/// # Errors
/// The system's.
pub(crate) fn bind(address: IpAddr) -> io::Result<OwnSocket> {
    let raw = open(SocketAddr::new(address, 0), Type::DGRAM, false)?;
    let port = raw.local_addr()?.as_socket().map(|bound| bound.port()).ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok(OwnSocket { raw, port })
}

/// The address from which the system sends to `remote`, of a socket that is bound to `bound`.
///
/// # Errors
/// When there is no route, or the address is of the other family.
pub(crate) fn source_of(bound: IpAddr, remote: SocketAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind(SocketAddr::new(bound, 0))?;
    let remote = match (bound, remote.ip()) {
        (IpAddr::V6(_), IpAddr::V4(v4)) => SocketAddr::new(v4.to_ipv6_mapped().into(), remote.port()),
        _ => remote,
    };
    // Sends nothing: it asks for the route.
    socket.connect(remote)?;
    Ok(plain(socket.local_addr()?).ip())
}

impl OwnSockets {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry, socket_by_port: HashMap::new(), buffers: Vec::new() }
    }

    /// Reads this socket from now on.
    pub(crate) fn open(&mut self, socket: OwnSocket) {
        let OwnSocket { raw, port } = socket;
        match self.register(raw, port) {
            Ok(socket) => _ = self.socket_by_port.insert(port, Own { socket, is_readable: true }),
            // Nothing is sent or received, so the leg ends by itself.
            Err(error) => tracing::warn!(%error, "cannot use the socket of a leg"),
        }
    }

    fn register(&self, raw: RawSocket, port: u16) -> io::Result<Socket> {
        let mut socket = Socket::without_buffers(raw)?;
        self.registry.register(socket.source(), Token(FIRST_TOKEN + usize::from(port)), Interest::READABLE)?;
        Ok(socket)
    }

    /// Closes the socket of this port.
    pub(crate) fn close(&mut self, port: u16) {
        if let Some(mut own) = self.socket_by_port.remove(&port) {
            // The poll forgets a closed socket by itself.
            let _ = self.registry.deregister(own.socket.source());
        }
        if self.socket_by_port.is_empty() {
            self.buffers = Vec::new();
        }
    }

    /// Whether the token is of one of these sockets.
    pub(crate) fn owns(token: Token) -> bool {
        token.0 >= FIRST_TOKEN
    }

    /// The poll reports datagrams.
    pub(crate) fn on_event(&mut self, event: &Event) {
        let port = event.token().0.wrapping_sub(FIRST_TOKEN);
        if let Some(own) = u16::try_from(port).ok().and_then(|port| self.socket_by_port.get_mut(&port)) {
            own.is_readable = true;
        }
    }

    /// True while datagrams may wait.
    pub(crate) fn is_readable(&self) -> bool {
        self.socket_by_port.values().any(|own| own.is_readable)
    }

    /// Takes what has arrived, a bounded number of datagrams of each socket.
    pub(crate) fn receive(&mut self, mut take: impl FnMut(FiveTuple, &mut [u8], Instant)) {
        if self.buffers.is_empty() && self.is_readable() {
            self.buffers = receive_buffers();
        }
        for own in self.socket_by_port.values_mut().filter(|own| own.is_readable) {
            own.socket.lend(&mut self.buffers);
            let mut count = 0;
            while own.is_readable && count < TURN_DATAGRAMS {
                match own.socket.receive(&mut take) {
                    Ok(received) => {
                        own.is_readable = received > 0 && !own.socket.is_drained();
                        count += received;
                    }
                    Err(error) => {
                        // An ICMP error of the other relay: nothing is lost by going on.
                        tracing::trace!(%error, "receive");
                        count += 1;
                    }
                }
            }
            own.socket.lend(&mut self.buffers);
        }
    }

    /// Sends from the socket of this path, if it is one of these. What the socket does not take now is lost, as on the
    /// network: one leg must not make all viewers wait.
    pub(crate) fn send(&mut self, path: &FiveTuple, contents: &[u8], segment: Option<usize>) -> Option<SendOutcome> {
        if self.socket_by_port.is_empty() {
            return None;
        }
        let own = self.socket_by_port.get_mut(&path.local.port())?;
        match own.socket.send(path, contents, segment) {
            SendOutcome::Blocked => Some(SendOutcome::Failed),
            other => Some(other),
        }
    }

    /// Turns GSO on again where an error has turned it off some time ago. Returns how often it was turned off.
    pub(crate) fn look_after_gso(&mut self, now: Instant) -> u64 {
        let look = |own: &mut Own| {
            own.socket.probe_gso(now);
            own.socket.take_gso_fallbacks()
        };
        self.socket_by_port.values_mut().map(look).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_a_path_is_the_address_that_the_system_sends_from() {
        let loopback: SocketAddr = "127.0.0.1:9".parse().unwrap();
        for bound in ["0.0.0.0", "127.0.0.1", "::"] {
            assert_eq!(source_of(bound.parse().unwrap(), loopback).unwrap(), loopback.ip(), "{bound}");
        }
        assert!(source_of("127.0.0.1".parse().unwrap(), "[::1]:9".parse().unwrap()).is_err());
    }
}
