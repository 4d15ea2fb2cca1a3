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

/// What a client of plain HTTP is answered unless it is redirected or served, such as a browser that was given the port
/// without the scheme.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    this port serves https: write https:// before it\r\n\r\n";

/// What follows the first octet of a connection on a port of HTTPS.
pub(super) enum Opened {
    Tls(Box<TlsStream<Socket>>),
    /// A client of plain HTTP, where such clients are answered as HTTP.
    Plain(Socket),
}

/// Completes the handshake, unless the client speaks plain HTTP and `takes_plain`; `None` if the connection ends with it.
pub(super) async fn complete(
    tls: &Tls,
    socket: Socket,
    connection: &Connection,
    (place, takes_plain): (&Place, bool),
    stopped: &mut watch::Receiver<()>,
) -> Option<Opened> {
    let handshake = async {
        match socket.first_octet().await? {
            RECORD => Ok(Opened::Tls(Box::new(tls.acceptor.accept(socket).await?))),
            // The methods of HTTP are in capital letters.
            first if takes_plain && first.is_ascii_uppercase() => Ok(Opened::Plain(socket)),
            _ => {
                socket.answer_once(PLAIN_HTTP);
                Err(io::Error::new(io::ErrorKind::InvalidData, "it does not begin with TLS"))
            }
        }
    };
    match place.within(tls.handshake_deadline, stopped, handshake).await? {
        Ok(Ok(Opened::Plain(socket))) => {
            place.idle(Idle::Waiting);
            Some(Opened::Plain(socket))
        }
        Ok(Ok(Opened::Tls(stream))) => {
            tls.metrics.handshakes[Handshake::Completed].inc();
            place.idle(Idle::Waiting);
            (!Tls::is_validation(&stream)).then_some(Opened::Tls(stream))
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
