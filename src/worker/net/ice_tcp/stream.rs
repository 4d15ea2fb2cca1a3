//! The octets of a connection: plain, or in TLS whose handshake HTTP has completed.

use std::io::{self, Read as _, Write as _};

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ServerConnection;

/// Octets that TLS keeps for the kernel, at most.
const TLS_BUFFER: usize = 16 * 1024;

/// Records that one read takes, so that a client which sends no data does not keep the worker.
const RECORDS: usize = 4;

/// A stream that never blocks.
#[derive(Debug)]
pub(super) struct Stream {
    tcp: TcpStream,
    tls: Option<Box<ServerConnection>>,
}

impl Stream {
    /// The stream of a connection, with the TLS that has come to its end of the handshake.
    pub(super) fn new(tcp: TcpStream, tls: Option<Box<ServerConnection>>) -> Self {
        let mut stream = Self { tcp, tls };
        if let Some(tls) = &mut stream.tls {
            tls.set_buffer_limit(Some(TLS_BUFFER));
        }
        stream
    }

    /// Reads what has arrived; 0 at the end.
    ///
    /// # Errors
    /// Those of the connection. `WouldBlock`: nothing waits. `Interrupted`: more may wait.
    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.tcp.read(room) };
        for _ in 0..RECORDS {
            match tls.reader().read(room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if tls.read_tls(&mut self.tcp)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Offers the kernel some octets, and returns how many are taken.
    ///
    /// # Errors
    /// Those of the connection. `WouldBlock`: the kernel takes nothing now.
    pub(super) fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.flush()?;
        match &mut self.tls {
            None => self.tcp.write(octets),
            Some(tls) => tls.writer().write(octets),
        }
    }

    /// Offers the kernel what TLS keeps.
    ///
    /// # Errors
    /// Like [`Self::write`].
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some(tls) = self.tls.as_mut().filter(|tls| tls.wants_write()) {
            tls.write_tls(&mut self.tcp)?;
        }
        Ok(())
    }

    /// True while TLS keeps something for the kernel.
    pub(super) fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }
}

impl Source for Stream {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.tcp.register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.tcp.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.tcp.deregister(registry)
    }
}
