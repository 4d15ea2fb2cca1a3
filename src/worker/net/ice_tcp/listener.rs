//! The sockets on which the workers accept TCP connections for media.

use std::io;
use std::net::SocketAddr;

use mio::net::TcpListener;
use socket2::{Socket, Type};

use crate::worker::net::socket::{self, SPREADS, open_each};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 128;

/// Opens one listener for each worker, or for the first alone where the system does not spread connections over them.
///
/// # Errors
/// Those of the system.
pub(crate) fn listen(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    let opened = open_each(address, if SPREADS { workers } else { 1 }, open)?;
    Ok(opened.into_iter().map(|socket| TcpListener::from_std(socket.into())).collect())
}

fn open(address: SocketAddr, share: bool) -> io::Result<Socket> {
    let socket = socket::open(address, Type::STREAM, share)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_gets_a_listener_and_the_port_of_another_program_is_refused() {
        let other = open("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = other.local_addr().unwrap().as_socket().unwrap();
        assert_eq!(listen(address, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(other);
        assert_eq!(listen(address, 2).unwrap().len(), if SPREADS { 2 } else { 1 });
    }
}
