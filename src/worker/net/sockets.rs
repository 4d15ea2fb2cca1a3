//! What one worker sends on: its UDP socket, its TCP connections, and the sockets of legs.

use super::batch::{Outbox, SendOutcome};
use super::ice_tcp::connections::Connections;
use super::own_socket::OwnSocket;
use super::own_sockets::OwnSockets;
use super::socket::Socket;
use crate::five_tuple::{FiveTuple, Protocol};

/// The media sockets of one worker.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) udp: Socket,
    pub(crate) tcp: Connections,
    pub(crate) own: OwnSockets,
}

impl Outbox for Sockets {
    fn send(&mut self, path: &FiveTuple, contents: &[u8], segment: Option<usize>) -> SendOutcome {
        match path.protocol {
            Protocol::Udp => match self.own.send(path, contents, segment) {
                Some(outcome) => outcome,
                None => self.udp.send(path, contents, segment),
            },
            Protocol::Tcp | Protocol::Turn => self.tcp.send(path, contents, segment),
        }
    }

    fn max_segments(&self) -> usize {
        self.udp.max_segments()
    }

    fn open(&mut self, socket: OwnSocket) {
        self.own.open(socket);
    }

    fn close(&mut self, port: u16) {
        self.own.close(port);
    }

    fn has_room(&self, path: &FiveTuple) -> bool {
        match path.protocol {
            Protocol::Udp => true,
            Protocol::Tcp | Protocol::Turn => self.tcp.has_room(path),
        }
    }
}
