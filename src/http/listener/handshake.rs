//! The TLS handshake of a connection. It is bounded in time, and in number by `places.rs`: a client that sends a
//! ClientHello a byte a minute loses its place to those that come after it.

use std::io;

use tokio::sync::watch;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::place::Place;
use super::places::Idle;
use super::socket::Socket;
use crate::http::request::connection::Connection;
use crate::http::tls::Tls;
use crate::metrics::Handshake;

/// The first octet of a TLS record with a handshake message (RFC 8446 5.1).
const RECORD: u8 = 22;

/// What a client of plain HTTP is answered, such as a browser that was given the port without the scheme.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    this port serves https: write https:// before it\r\n\r\n";

/// Completes the handshake; `None` if the connection ends with it.
pub(super) async fn complete(
    tls: &Tls,
    socket: Socket,
    connection: &Connection,
    place: &Place,
    stopped: &mut watch::Receiver<()>,
) -> Option<TlsStream<Socket>> {
    let handshake = async {
        if socket.first_octet().await? != RECORD {
            socket.answer_once(PLAIN_HTTP);
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not begin with TLS"));
        }
        tls.acceptor.accept(socket).await
    };
    match place.within(tls.handshake_deadline, stopped, handshake).await? {
        Ok(Ok(stream)) => {
            tls.metrics.handshakes[Handshake::Completed].inc();
            place.idle(Idle::Waiting);
            (!Tls::is_validation(&stream)).then_some(stream)
        }
        Ok(Err(error)) => {
            tls.metrics.handshakes[Handshake::Failed].inc();
            debug!(remote = %connection.remote, %error, "TLS handshake failed");
            None
        }
        Err(_) => {
            tls.metrics.handshakes[Handshake::TimedOut].inc();
            None
        }
    }
}
