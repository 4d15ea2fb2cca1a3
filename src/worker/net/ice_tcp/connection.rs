//! One TCP connection of a client.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use mio::event::Source as _;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ServerConnection;

use super::carriage::{Carriage, Content, Ended};
use super::stream::Stream;
use crate::five_tuple::{FiveTuple, Protocol, plain};
use crate::stream::WorkerId;
use crate::turn::service::Desk;
use crate::worker::net::batch::SendOutcome;

/// Octets that the kernel takes beyond those in flight: more would be a queue that nothing empties in time.
pub(crate) const UNSENT_IN_KERNEL: u32 = 32 * 1024;

/// Maximum octets that wait for the kernel: a run of packets that began while there was room, and audio, RTCP and STUN
/// after it.
const MAX_UNSENT: usize = 128 * 1024;

/// Maximum octets by which a datagram is longer on the connection: those of a Data indication with an IPv6 address.
const OVERHEAD: usize = 64;

/// Octets that the buffer of a connection keeps when nothing waits.
const KEPT: usize = 4 * 1024;

/// A connection, and what has been read and written in part.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    pub(super) path: FiveTuple,
    pub(super) accepted: Instant,
    /// Its token in the poll that it is registered with.
    pub(super) token: Token,
    /// It is listed among those that may have something to read.
    pub(super) is_listed: bool,
    /// A worker has found room for it among the connections without a proof.
    pub(super) is_placed: bool,
    /// A session has proven the path, or has an allocation.
    pub(super) is_proven: bool,
    /// A whole frame or message has arrived.
    pub(super) has_frame: bool,
    /// The relayed address by which it is found.
    pub(super) relayed: Option<SocketAddr>,
    /// How it carries datagrams.
    pub(super) carriage: Carriage,
    /// Octets that were read and not handed on.
    unread: Vec<u8>,
    /// Octets that the kernel has not taken.
    unsent: VecDeque<u8>,
}

/// How reading ended.
#[derive(Debug)]
pub(super) enum Reading {
    /// Nothing waits.
    Empty,
    /// More may wait.
    More,
    /// Another worker has the session: it goes on with what was not handed on.
    Moves(WorkerId),
}

impl Connection {
    /// A connection that was accepted at `now`, between these addresses, with the TLS on it.
    ///
    /// # Errors
    /// Those of a connection that has ended already.
    pub(crate) fn new(
        (stream, tls): (TcpStream, Option<Box<ServerConnection>>),
        (local, remote): (SocketAddr, SocketAddr),
        now: Instant,
    ) -> io::Result<Self> {
        let path = FiveTuple { protocol: Protocol::Tcp, local: plain(local), remote: plain(remote) };
        stream.set_nodelay(true)?;
        limit_unsent(&stream);
        Ok(Self {
            stream: Stream::new(stream, tls),
            path,
            accepted: now,
            token: Token(0),
            is_listed: false,
            is_placed: false,
            is_proven: false,
            has_frame: false,
            relayed: None,
            carriage: Carriage::default(),
            unread: Vec::new(),
            unsent: VecDeque::new(),
        })
    }

    /// Lets a poll report when there is something to read, and when there is room again.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        (self.token, self.is_listed) = (token, false);
        self.stream.register(registry, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Ends [`Self::register`].
    pub(super) fn deregister(&mut self, registry: &Registry) {
        // It fails only for a connection that is not registered.
        let _ = self.stream.deregister(registry);
    }

    /// Reads once and hands each datagram to `take`, which returns the session's worker if that is another one.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        (desk, now): (Option<Desk<'_>>, Instant),
        mut take: impl FnMut(FiveTuple, &mut [u8]) -> Option<WorkerId>,
    ) -> Result<Reading, Ended> {
        let (unread, room) = scratch.split_at_mut(self.unread.len());
        unread.copy_from_slice(&self.unread);
        let (mut start, mut end, mut is_empty) = (0, unread.len(), false);
        match self.stream.read(room) {
            // What another worker has read may fill all of the room.
            Ok(0) if room.is_empty() => {}
            Ok(0) => return Err(Ended::Closed),
            Ok(read) => end += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => is_empty = true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Ended::Closed),
        }
        let mut home = None;
        while home.is_none() {
            let Some(whole) = self.carriage.next(&scratch[start..end], &self.path, (desk, now))? else { break };
            self.has_frame = true;
            match whole.content {
                Content::Nothing => {}
                Content::Datagram(path, range) => {
                    home = take(path, &mut scratch[start + range.start..start + range.end])
                }
                Content::Answer(answer) if self.unsent.len() + answer.len() <= MAX_UNSENT => self.unsent.extend(answer),
                // The client reads nothing of its answers.
                Content::Answer(_) => {}
            }
            if home.is_none() {
                start += whole.length;
            }
        }
        self.flush();
        // No copy is kept of an empty rest, so an idle connection has no buffer.
        self.unread = scratch[start..end].to_vec();
        Ok(match home {
            Some(worker) => Reading::Moves(worker),
            None if is_empty => Reading::Empty,
            None => Reading::More,
        })
    }

    /// True while nothing waits for the kernel.
    pub(super) fn has_room(&self) -> bool {
        self.unsent.is_empty() && !self.stream.has_unsent()
    }

    /// Sends datagrams from `local` that are `segment` octets long, or one. Those for which there is no room are lost as
    /// on the network.
    pub(super) fn send(
        &mut self,
        local: SocketAddr,
        contents: &[u8],
        segment: Option<usize>,
        now: Instant,
    ) -> SendOutcome {
        let mut outcome = SendOutcome::Done;
        for datagram in contents.chunks(segment.unwrap_or(contents.len()).max(1)) {
            let has_room = self.unsent.len() + OVERHEAD + datagram.len() <= MAX_UNSENT;
            if !has_room || !self.carriage.append(local, datagram, now, &mut self.unsent) {
                outcome = SendOutcome::Failed;
            }
        }
        self.flush();
        outcome
    }

    /// Offers the kernel what waits.
    pub(super) fn flush(&mut self) {
        while !self.unsent.is_empty() {
            match self.stream.write(self.unsent.as_slices().0) {
                Ok(written) if written > 0 => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Reading shows the end of the connection.
                Ok(_) | Err(_) => self.unsent.clear(),
            }
        }
        // What TLS keeps is tried again when there is room; reading shows an end.
        let _ = self.stream.flush();
        self.unsent.shrink_to(KEPT);
    }
}

/// Limits what the kernel takes beyond what is in flight, where the system can.
fn limit_unsent(stream: &TcpStream) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // Where the kernel refuses it, the queue is larger.
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_IN_KERNEL);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = stream;
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_takes_a_bounded_part_of_what_waits_to_be_sent() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let path = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        let same = stream.try_clone().unwrap();
        let limit = || socket2::SockRef::from(&same).tcp_notsent_lowat().unwrap();
        assert_ne!(limit(), UNSENT_IN_KERNEL);
        let _connection = Connection::new((TcpStream::from_std(stream), None), path, Instant::now()).unwrap();
        assert_eq!(limit(), UNSENT_IN_KERNEL);
    }
}
