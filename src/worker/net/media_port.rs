//! The media port: one UDP socket for each worker, and the TCP listeners beside them.

use std::io;
use std::net::SocketAddr;

use mio::net::TcpListener;

use super::ice_tcp::listener::listen;
use super::socket::{BindError, Socket, bind};

/// Maximum free ports that are tried until one is free for TCP too.
const TRIES: usize = 20;

/// What the workers receive on.
#[derive(Debug)]
pub(crate) struct MediaPort {
    /// By worker number.
    pub(crate) sockets: Vec<Socket>,
    /// By worker number, or one for the first worker, or none.
    pub(crate) listeners: Vec<TcpListener>,
}

impl MediaPort {
    /// Binds the media port. Port 0 takes one that is free for UDP, and for TCP if `has_tcp`.
    ///
    /// # Errors
    /// [`BindError`] with a sentence that says what to do.
    pub(crate) fn bind(address: SocketAddr, workers: usize, has_tcp: bool) -> Result<Self, BindError> {
        let mut tries = if address.port() == 0 { TRIES } else { 1 };
        loop {
            let sockets = bind(address, workers)?;
            if !has_tcp {
                return Ok(Self { sockets, listeners: Vec::new() });
            }
            let twin = SocketAddr::new(address.ip(), sockets[0].local().port());
            tries -= 1;
            match listen(twin, workers) {
                Ok(listeners) => return Ok(Self { sockets, listeners }),
                Err(error) if tries > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(BindError::Tcp(twin, error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tcp_port_has_the_number_of_the_udp_port() {
        let port = MediaPort::bind("127.0.0.1:0".parse().unwrap(), 1, true).unwrap();
        assert_eq!(port.listeners[0].local_addr().unwrap(), port.sockets[0].local());
    }

    #[test]
    fn a_tcp_port_in_use_is_an_error_that_names_the_setting_and_none_where_tcp_is_turned_off() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let sentence = MediaPort::bind(address, 1, true).unwrap_err().to_string();
        assert!(sentence.contains("--ice-tcp=false") && sentence.contains(&address.to_string()), "{sentence}");
        assert!(MediaPort::bind(address, 1, false).unwrap().listeners.is_empty());
    }
}
