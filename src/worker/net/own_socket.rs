//! A bound socket on its way to the worker of the session that it is for.

use socket2::Socket;

/// The socket of one session.
#[derive(Debug)]
pub struct OwnSocket {
    pub(super) raw: Socket,
    pub(super) port: u16,
}

impl OwnSocket {
    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}
