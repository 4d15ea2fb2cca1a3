//! Once a second each session's record is brought up to date, a few sessions at a time, so that thousands of them do
//! not delay a packet.

use super::state::Engine;
use crate::demux::Key;
use crate::five_tuple::FiveTuple;
use crate::worker::sessions::report::PROBE_INTERVAL;
use crate::worker::sessions::session::State;
use std::time::Instant;

impl Engine {
    /// Updates the next few sessions, if it is time.
    pub(crate) fn sample(&mut self, now: Instant) {
        let Some(places) = self.sampler.take_due(self.sessions.len(), now) else { return };
        for key in self.sessions.keys_at(places) {
            self.guard(key, now, |engine| {
                engine.report(key, now);
                engine.probe(key, now);
            });
        }
        self.take_demux_output(now);
        self.sampler.schedule(self.sessions.len(), now);
    }

    /// Measures a publisher's round-trip time, if it is time. That of viewers comes from their RTCP.
    fn probe(&mut self, key: Key, now: Instant) {
        let Some(session) = self.sessions.session_mut(key) else { return };
        let is_due = session.probed.is_none_or(|before| now >= before + PROBE_INTERVAL);
        if let (true, State::Publishing(publisher)) = (is_due, &mut session.state) {
            session.probed = Some(now);
            publisher.reception.on_sent(now);
            self.demux.probe(key, now);
        }
    }

    /// A check on this path was answered: a publisher that reads slowly has one more datagram to read.
    pub(crate) fn on_check(&mut self, path: FiveTuple, now: Instant) {
        if let Some(publisher) = self.demux.owner(&path).and_then(|key| self.sessions.publisher_mut(key)) {
            publisher.reception.on_sent(now);
        }
    }

    /// Brings the record of one session up to date.
    pub(crate) fn report(&mut self, key: Key, now: Instant) {
        let demux = self.demux.facts(key).unwrap_or_default();
        let Some(session) = self.sessions.session_mut(key) else { return };
        session.report(&demux, self.feeds.get(&session.stream), &self.shared.metrics, now);
        if let Some(publisher) = session.state.publisher_mut() {
            publisher.limit_cache(&self.shared.cache_budget, &self.shared.metrics, &mut self.mailbox, now);
        }
    }
}
