//! Datagrams that are not media and wait for the socket: STUN, DTLS and RTCP.

use std::collections::VecDeque;

use super::batch::{Outbox, SendOutcome};
use crate::five_tuple::FiveTuple;

/// Datagrams that wait; further ones are lost, as on the network, and counted.
const CAPACITY: usize = 16 * 1024;

/// A queue to the socket.
#[derive(Debug, Default)]
pub(crate) struct SmallDatagrams {
    waiting: VecDeque<(FiveTuple, Vec<u8>)>,
    lost: u64,
}

impl SmallDatagrams {
    /// Queues a datagram.
    pub(crate) fn push(&mut self, path: FiveTuple, datagram: Vec<u8>) {
        if self.waiting.len() < CAPACITY {
            self.waiting.push_back((path, datagram));
        } else {
            self.lost += 1;
        }
    }

    /// Sends what waits; false if the socket took only a part.
    pub(crate) fn send(&mut self, outbox: &mut impl Outbox) -> bool {
        while let Some((path, datagram)) = self.waiting.front() {
            if outbox.send(path, datagram, None) == SendOutcome::Blocked {
                return false;
            }
            self.waiting.pop_front();
        }
        true
    }

    /// How many have been lost since the last call.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
