//! What one worker sends on: its UDP socket and its TCP connections.

use super::batch::{Outbox, SendOutcome};
use super::ice_tcp::connections::Connections;
use super::socket::Socket;
use crate::five_tuple::{FiveTuple, Protocol};

/// The media sockets of one worker.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) udp: Socket,
    pub(crate) tcp: Connections,
}

impl Outbox for Sockets {
    fn send(&mut self, path: &FiveTuple, contents: &[u8], segment: Option<usize>) -> SendOutcome {
        match path.protocol {
            Protocol::Udp => self.udp.send(path, contents, segment),
            Protocol::Tcp | Protocol::Turn => self.tcp.send(path, contents, segment),
        }
    }

    fn max_segments(&self) -> usize {
        self.udp.max_segments()
    }

    fn has_room(&self, path: &FiveTuple) -> bool {
        match path.protocol {
            Protocol::Udp => true,
            Protocol::Tcp | Protocol::Turn => self.tcp.has_room(path),
        }
    }
}
