//! A request by UDP, sent again until its answer comes.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// The longest datagram that is read, in octets.
const LONGEST: usize = 1_500;

/// Sends `request` from `local` to `remote`, and again after each of `waits` but the last, until `read` accepts a
/// datagram as the answer. This blocks, for the sum of `waits` at most.
///
/// # Errors
/// `TimedOut` without an answer, or those of the system.
pub(crate) fn exchange<T>(
    (local, remote): (IpAddr, SocketAddr),
    request: &[u8],
    waits: &[Duration],
    read: impl Fn(&[u8]) -> Option<T>,
) -> io::Result<T> {
    let socket = UdpSocket::bind((local, 0))?;
    // The kernel drops what other addresses send.
    socket.connect(remote)?;
    let mut datagram = [0; LONGEST];
    for wait in waits {
        socket.send(request)?;
        let deadline = Instant::now() + *wait;
        while let Some(left) = left_until(deadline) {
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut datagram) {
                Ok(length) => {
                    if let Some(answer) = read(&datagram[..length]) {
                        return Ok(answer);
                    }
                }
                Err(error) if is_timeout(&error) => break,
                Err(error) => return Err(error),
            }
        }
    }
    Err(io::Error::new(ErrorKind::TimedOut, "no answer"))
}

/// The unspecified address of the same family.
pub(crate) fn unspecified(remote: SocketAddr) -> IpAddr {
    match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The time until then, unless it is over: a socket takes no timeout of zero.
pub(crate) fn left_until(deadline: Instant) -> Option<Duration> {
    Some(deadline.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
}

/// Whether nothing came in time, as the systems say it.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
