//! Legs at the demultiplexer: their admission, their checks, and the error answers to those.

use std::time::Instant;

use super::demultiplexed::{Demultiplexed, Key};
use super::demultiplexer::Demux;
use crate::five_tuple::FiveTuple;
use crate::ice::stun::StunMessage;
use crate::ice::{Admission, Leg};

impl Demux {
    /// Adds a session, which may be a leg. Its agent sends the first checks with the next timeout, if it dials.
    pub(crate) fn admit_with(&mut self, leg: Option<Leg>, key: Key, admission: Admission, now: Instant) {
        self.admit(key, admission, now);
        let paths = match leg {
            None => return,
            Some(Leg::Answering) => Vec::new(),
            Some(Leg::Dialling(paths)) => paths,
        };
        let dialled: Vec<_> = paths.into_iter().map(|path| (path, self.new_transaction(key))).collect();
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.agent.watch_closely();
        if !dialled.is_empty() {
            session.agent.dial(dialled, self.tie_breaker, now);
        }
        self.arm(key);
    }

    /// Takes a Binding error answer. Only a role conflict changes anything.
    pub(super) fn handle_error(&mut self, path: FiveTuple, answer: &StunMessage, now: Instant) -> Demultiplexed {
        let session = self.requester(&answer.transaction).and_then(|key| Some((key, self.sessions.get_mut(key)?)));
        let Some((key, session)) = session.filter(|(_, session)| !session.is_over()) else {
            return Demultiplexed::Foreign;
        };
        if !session.agent.handle_error(path, answer, now) {
            return Demultiplexed::Foreign;
        }
        self.check(key, path, now);
        self.arm(key);
        Demultiplexed::Answered
    }
}
