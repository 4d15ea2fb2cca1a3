//! How far away a client is, asked by a Binding request of ours on the path where its media goes already (RFC 8445 7.2): a
//! publisher's RTCP does not tell. The rule: it goes nowhere else, and an answer to it moves nothing.

use std::time::Instant;

use rand::Rng as _;

use super::Demux;
use super::demultiplexed::Key;
use super::demultiplexer::push;
use super::session::Session;
use crate::five_tuple::FiveTuple;
use crate::ice::stun::{Message, Transaction};

/// The request that measures the round trip, until it is answered.
pub(crate) type Probe = Option<(Transaction, Instant)>;

impl Demux {
    /// Asks a connected client once; its answer becomes [`Facts::round_trip`](super::Facts::round_trip). A client that
    /// does not answer loses nothing by it.
    pub fn probe(&mut self, key: Key, now: Instant) {
        let mut transaction = [0; 12];
        self.random.fill_bytes(&mut transaction);
        transaction[..4].copy_from_slice(&(key.0 ^ self.mask).to_be_bytes());
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let Some((path, generation)) = session.live_generation() else { return };
        let request = generation.request(&transaction, self.tie_breaker);
        session.probe = Some((transaction, now));
        push(&mut self.transmits, path, request);
    }
}

impl Session {
    /// Takes the answer to a probe; false when it is none.
    pub(crate) fn measure(&mut self, path: FiveTuple, answer: &Message, now: Instant) -> bool {
        let Some((_, asked)) = self.probe.filter(|(transaction, _)| *transaction == answer.transaction) else {
            return false;
        };
        let is_theirs = self.live_generation().is_some_and(|(live, from)| live == path && from.signed(answer));
        if is_theirs {
            self.probe = None;
            self.facts.round_trip = Some(now.saturating_duration_since(asked));
        }
        is_theirs
    }
}
