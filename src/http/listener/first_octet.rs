//! Tells media apart from HTTP and TLS by the first octet of a connection, on a listener that takes all of them. The
//! workers find out whether it is ICE-TCP or TURN.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::AsyncBufRead;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tracing::debug;

use super::place::Place;
use crate::http::request::connection::Connection;
use crate::metrics::Closing;

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carries {
    /// HTTP, or TLS with it.
    Http,
    /// Datagrams for the workers.
    Media,
}

impl Carries {
    /// Frames of ICE-TCP begin with the high octet of a length of at most 1,500, and TURN with that of a STUN message
    /// type. A TLS record begins with 22, HTTP with a letter.
    pub(super) fn of(first: u8) -> Self {
        if first <= 5 { Self::Media } else { Self::Http }
    }
}

/// Waits for the first octet, which is not consumed; `None` if the connection ends before, or sends nothing in time.
pub(super) async fn look(
    stream: &TcpStream,
    connection: &Connection,
    (place, deadline): (&Place, Duration),
    stopped: &mut watch::Receiver<()>,
) -> Option<Carries> {
    let first = place.within(deadline, stopped, peek(stream)).await?;
    carries(first, connection, place)
}

/// Like [`look`], for the first octet inside TLS.
pub(super) async fn look_inside(
    stream: &mut (impl AsyncBufRead + Unpin),
    connection: &Connection,
    (place, deadline): (&Place, Duration),
    stopped: &mut watch::Receiver<()>,
) -> Option<Carries> {
    let first = place.within(deadline, stopped, peek_inside(stream)).await?;
    carries(first, connection, place)
}

fn carries(first: Result<io::Result<u8>, Elapsed>, connection: &Connection, place: &Place) -> Option<Carries> {
    match first {
        Ok(Ok(first)) => Some(Carries::of(first)),
        Ok(Err(error)) => {
            debug!(remote = %connection.remote, %error, "connection ended before it sent anything");
            None
        }
        Err(_) => {
            place.closes(Closing::Silent);
            None
        }
    }
}

/// The first octet that a client sends inside TLS; it is not consumed.
async fn peek_inside(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<u8> {
    let first =
        poll_fn(|context| Pin::new(&mut *stream).poll_fill_buf(context).map_ok(|arrived| arrived.first().copied()));
    first.await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// The first octet that a client sends; it is not consumed.
///
/// # Errors
/// If the connection fails or ends before.
pub(super) async fn peek(stream: &TcpStream) -> io::Result<u8> {
    let mut octet = [0];
    match stream.peek(&mut octet).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(octet[0]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_octet_shows_media_tls_and_http() {
        for media in [&b"\0\x01"[..], b"\x05\xdc", b"\0\x03"] {
            assert_eq!(Carries::of(media[0]), Carries::Media, "{media:?}");
        }
        for http in [&b"\x16\x03\x01"[..], b"GET ", b"POST ", b"\r\n", b"PROXY ", b"\x0d\x0a"] {
            assert_eq!(Carries::of(http[0]), Carries::Http, "{http:?}");
        }
    }
}
