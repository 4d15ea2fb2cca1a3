//! How a stream comes from one publisher to the next, and what its viewers do meanwhile.
//!
//! The newest publisher takes over as it connects; a standby takes over when the live one has left or fallen silent,
//! which it checks by itself. Viewers stay: their RTP streams go on at the new publisher's keyframe. The rule for
//! viewers whose publisher has left: their sessions end after the configured grace period; viewers that never had a
//! publisher wait without limit.

use super::state::Engine;
use crate::demux::Key;
use crate::label::Label as _;
use crate::metrics::Takeover as By;
use crate::name::SessionId;
use crate::reason::EndReason;
use crate::session::NodeEvent;
use crate::stream::{Live, Takeover};
use crate::worker::message::{Message, Subscribed};
use std::time::Instant;

impl Engine {
    /// A publisher is the live one from now on: the workers with viewers are subscribed at once.
    pub(crate) fn take_over(&mut self, key: Key, takeover: Takeover, was_standby: bool, now: Instant) {
        let Takeover { workers, replaced, stood_down, .. } = takeover;
        let Some(publisher) = self.sessions.publisher_mut(key) else { return };
        publisher.subscribers = workers;
        let stream = publisher.stream.clone();
        self.publisher_by_stream.insert(stream.clone(), key);
        self.shared.events.send(NodeEvent::Published { stream: stream.clone() });
        if let Some(snapshot) = publisher.snapshot(self.id) {
            publisher.send_subscribed(&mut self.mailbox, &Subscribed { was_standby, ..snapshot });
        }
        if was_standby || replaced.is_some() || stood_down.is_some() {
            let by = if was_standby { By::Standby } else { By::Publisher };
            self.shared.metrics.takeovers[by].inc();
            tracing::info!(%stream, by = by.as_str(), "another publisher has the stream");
        }
        if let Some(Live { worker, session, .. }) = stood_down.filter(|live| Some(live) != replaced.as_ref()) {
            self.mailbox.send_command(worker, Message::StandDown { session });
        }
        self.end_replaced(replaced, now);
    }

    /// A publisher is the standby of the live one from now on.
    pub(crate) fn stand_by(&mut self, key: Key, replaced: Option<Live>, now: Instant) {
        let Some(publisher) = self.sessions.publisher_mut(key) else { return };
        publisher.stand_by(now);
        self.end_replaced(replaced, now);
    }

    /// A standby takes the stream over if the live publisher has left or fallen silent.
    pub(crate) fn check_takeover(&mut self, key: Key, now: Instant) {
        let Some(publisher) = self.sessions.publisher_mut(key) else { return };
        if let Some(takeover) = publisher.take_over(self.shared.config.standby_after, now) {
            self.take_over(key, takeover, true, now);
        }
    }

    /// Another publisher has taken the stream over from this one, which is the standby from now on.
    pub(crate) fn on_stand_down(&mut self, session: &SessionId, now: Instant) {
        let Some(key) = self.sessions.key(session) else { return };
        let Some(publisher) = self.sessions.publisher_mut(key) else { return };
        publisher.stand_down(now);
        if self.publisher_by_stream.get(&publisher.stream) == Some(&key) {
            self.publisher_by_stream.remove(&publisher.stream);
        }
        self.timers.set(key, self.sessions.poll_timeout(key));
    }

    /// Ends viewers that have waited for a publisher that has left, for the whole grace period.
    pub(crate) fn end_grace(&mut self, now: Instant) {
        while let Some(viewers) = self.feeds.pop_abandoned(now) {
            for key in viewers {
                if self.sessions.viewer_mut(key).is_some_and(|viewer| viewer.had_publisher) {
                    self.end(key, EndReason::PublisherGone, now);
                }
            }
        }
    }

    fn end_replaced(&mut self, replaced: Option<Live>, now: Instant) {
        let Some(Live { worker, session, .. }) = replaced else { return };
        if worker == self.id
            && let Some(key) = self.sessions.key(&session)
        {
            return self.end(key, EndReason::Replaced, now);
        }
        self.mailbox.send_command(worker, Message::End { session, reason: EndReason::Replaced });
    }
}
