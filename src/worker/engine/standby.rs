//! How a stream comes from one publisher to the next, and what its viewers do meanwhile.
//!
//! The newest publisher takes over as it connects; a standby when the live one has gone or fallen silent, which it looks
//! for by itself. Viewers stay: their lines go on at the new publisher's keyframe. The rule for viewers whose publisher
//! has gone: who has had one waits for the grace period, as has been configured, and then its session ends; who came
//! while nobody published waits for as long as it likes to.

use super::state::Engine;
use crate::demux::Key;
use crate::metrics::{End as Reason, Label as _, Takeover as By};
use crate::name::{SessionId, StreamName};
use crate::session::Event;
use crate::stream::{Live, Takeover};
use crate::worker::message::{Message, Subscribed};
use crate::worker::session::State;
use std::time::Instant;

impl Engine {
    /// A publisher is the live one from now on: the workers with viewers are subscribed at once.
    pub(crate) fn take_over(&mut self, key: Key, takeover: Takeover, was_standby: bool, now: Instant) {
        let Takeover { workers, replaced, stood_down, .. } = takeover;
        let Some(session) = self.sessions.get_mut(key) else { return };
        let State::Publishing(publisher) = &mut session.state else { return };
        let stream = session.stream.clone();
        publisher.subscribers.clone_from(&workers);
        let subscribed = Subscribed { was_standby, ..publisher.snapshot(self.id) };
        self.publisher_by_stream.insert(stream.clone(), key);
        self.shared.events.send(Event::Published { stream: stream.clone() });
        for worker in workers {
            self.push(worker, Message::Subscribed(Box::new(subscribed.clone())), 0);
        }
        if was_standby || replaced.is_some() || stood_down.is_some() {
            let by = if was_standby { By::Standby } else { By::Publisher };
            self.shared.metrics.takeovers[by].inc();
            tracing::info!(%stream, by = by.as_str(), "another publisher has the stream");
        }
        if let Some(Live { worker, session, .. }) = stood_down.filter(|live| Some(live) != replaced.as_ref()) {
            self.push(worker, Message::StandDown { session }, 0);
        }
        self.end_replaced(replaced, now);
    }

    /// A publisher stands beside the live one from now on.
    pub(crate) fn stand_by(&mut self, key: Key, replaced: Option<Live>, now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let State::Publishing(publisher) = &mut session.state else { return };
        publisher.look_out(now);
        tracing::info!(session = %session.id, stream = %session.stream, "publisher stands by");
        self.end_replaced(replaced, now);
    }

    /// This standby takes the stream over if the live publisher has gone or fallen silent.
    pub(crate) fn look_for_turn(&mut self, key: Key, now: Instant) {
        let after = self.shared.config.standby_after;
        let Some(session) = self.sessions.get_mut(key) else { return };
        let State::Publishing(publisher) = &mut session.state else { return };
        if let Some(takeover) = publisher.take_over(after, now) {
            self.take_over(key, takeover, true, now);
        }
    }

    /// Another publisher has the stream of this one, which stands by.
    pub(crate) fn on_stand_down(&mut self, session: &SessionId, now: Instant) {
        let Some(key) = self.sessions.key(session) else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        let State::Publishing(publisher) = &mut session.state else { return };
        publisher.stand_down(now);
        tracing::info!(session = %session.id, stream = %session.stream, "publisher stands by");
        if self.publisher_by_stream.get(&session.stream) == Some(&key) {
            self.publisher_by_stream.remove(&session.stream);
        }
        let due = session.poll_timeout();
        self.timers.set(key, due);
    }

    /// The publisher has gone: its viewers wait for the next one, but not for ever.
    pub(crate) fn await_return(&mut self, stream: &StreamName, now: Instant) {
        self.feeds.abandon(stream, now, self.shared.config.grace);
    }

    /// Ends viewers that have waited long enough for a publisher that has gone.
    pub(crate) fn end_grace(&mut self, now: Instant) {
        while let Some(viewers) = self.feeds.pop_abandoned(now) {
            for key in viewers {
                let session = self.sessions.get_mut(key);
                let Some(State::Watching(viewer)) = session.map(|session| &session.state) else { continue };
                if viewer.had_publisher {
                    self.end(key, Reason::PublisherGone, now);
                }
            }
        }
    }

    fn end_replaced(&mut self, replaced: Option<Live>, now: Instant) {
        let Some(Live { worker, session, .. }) = replaced else { return };
        if worker == self.id
            && let Some(key) = self.sessions.key(&session)
        {
            return self.end(key, Reason::Replaced, now);
        }
        self.push(worker, Message::End { session, reason: Reason::Replaced }, 0);
    }
}
