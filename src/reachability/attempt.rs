//! A signed check of one candidate, by UDP or in a frame on a TCP connection (RFC 4571).

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::answer::Answer;
use crate::advertise::exchange::{exchange, left_until, unspecified};
use crate::five_tuple::Protocol;
use crate::ice::stun::{self, Class, StunMessage, Transaction};

/// How long to wait for an answer before the request is sent again. After the last wait the candidate counts as
/// unreachable. The sum is less than the 3 s after which the relay counts the session as one that could not connect.
const WAITS: [Duration; 3] = [Duration::from_millis(400), Duration::from_millis(800), Duration::from_millis(1_000)];

/// The user name fragment of this side, which the offer names.
pub(super) const OWN_UFRAG: &str = "reach";

/// The result of a check: how long its answer took, or why there was none.
pub(super) type Outcome = Result<Duration, io::Error>;

/// Checks one candidate. This blocks, for 2.2 s at most.
pub(super) fn check(answer: &Answer, (protocol, candidate): (Protocol, SocketAddr)) -> Outcome {
    let key = stun::key(&answer.pwd);
    let transaction: Transaction = rand::random();
    let username = format!("{}:{OWN_UFRAG}", answer.ufrag);
    let request = stun::request(&transaction, &username, rand::random(), &key);
    let is_answer = |datagram: &[u8]| {
        StunMessage::parse(datagram).is_some_and(|message| {
            message.class == Class::Success && message.transaction == transaction && message.is_authentic(&key)
        })
    };
    match protocol {
        Protocol::Udp => by_udp(candidate, &request, is_answer),
        Protocol::Tcp | Protocol::Turn => by_tcp(candidate, &request, WAITS.into_iter().sum(), is_answer),
    }
}

fn by_udp(candidate: SocketAddr, request: &[u8], is_answer: impl Fn(&[u8]) -> bool) -> Outcome {
    let began = Instant::now();
    // The relay sends checks of its own too.
    let read = |datagram: &[u8]| is_answer(datagram).then(|| began.elapsed());
    exchange((unspecified(candidate), candidate), request, &WAITS, read)
}

fn by_tcp(candidate: SocketAddr, request: &[u8], limit: Duration, is_answer: impl Fn(&[u8]) -> bool) -> Outcome {
    let began = Instant::now();
    let deadline = began + limit;
    let time_left = || left_until(deadline).ok_or(ErrorKind::TimedOut);
    let mut stream = TcpStream::connect_timeout(&candidate, time_left()?)?;
    stream.set_nodelay(true)?;
    let length = u16::try_from(request.len()).map_err(|_| ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes()[..], request].concat())?;
    loop {
        let mut length = [0; 2];
        read_by(deadline, &mut stream, &mut length)?;
        let mut datagram = vec![0; usize::from(u16::from_be_bytes(length))];
        read_by(deadline, &mut stream, &mut datagram)?;
        if is_answer(&datagram) {
            return Ok(began.elapsed());
        }
    }
}

/// Fills the buffer before the deadline, also where the octets arrive one by one.
fn read_by(deadline: Instant, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        stream.set_read_timeout(Some(left_until(deadline).ok_or(ErrorKind::TimedOut)?))?;
        match stream.read(&mut buffer[filled..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            length => filled += length,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::advertise::exchange::is_timeout;

    #[test]
    fn a_peer_that_sends_a_long_frame_octet_by_octet_does_not_keep_the_check_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let candidate = listener.local_addr().unwrap();
        let peer = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // It goes on until the check closes the connection.
            while stream.write_all(&[0xff]).is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        });
        let outcome = by_tcp(candidate, b"request", Duration::from_millis(100), |_| false);
        assert!(is_timeout(&outcome.unwrap_err()));
        peer.join().unwrap();
    }
}
