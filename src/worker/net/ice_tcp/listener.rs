//! The sockets on which the workers accept TCP connections for media.

use std::io;
use std::net::SocketAddr;

use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

use crate::worker::net::socket::SPREADS;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 128;

/// Opens one listener for each worker, or for the first alone where the system does not spread connections over them.
///
/// # Errors
/// Those of the system.
pub(crate) fn listen(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    let share = SPREADS && workers > 1;
    if share {
        // SO_REUSEPORT would join a port that another relay has, so the port is first taken without it.
        open(address, false)?;
    }
    (0..if share { workers } else { 1 }).map(|_| open(address, share).map(TcpListener::from_std)).collect()
}

fn open(address: SocketAddr, share: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // The address can be bound again at once after a restart. On Windows the option would share it.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(share)?;
    #[cfg(not(unix))]
    let _ = share;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_gets_a_listener_and_the_port_of_another_program_is_refused() {
        let other = open("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = other.local_addr().unwrap();
        assert_eq!(listen(address, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(other);
        assert_eq!(listen(address, 2).unwrap().len(), if SPREADS { 2 } else { 1 });
    }
}
