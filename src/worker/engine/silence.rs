//! Clients that fall silent and are heard again: viewers are paused and resumed, publishers are lost and heard again.

use super::state::Engine;
use crate::demux::Key;
use crate::name::StreamName;
use crate::reason::DropReason;
use crate::session::NodeEvent;
use crate::stream::Absence;
use crate::worker::presence::SILENCE;
use std::time::Instant;

impl Engine {
    /// Pauses a viewer that has been silent for too long.
    pub(crate) fn check_viewer_silence(&mut self, key: Key, now: Instant) {
        let heard = self.demux.heard(key);
        let Some(session) = self.sessions.session_mut(key) else { return };
        let Some(viewer) = session.state.viewer_mut() else { return };
        if !viewer.presence.is_silent(heard, SILENCE, now) {
            return;
        }
        viewer.pause(now);
        tracing::debug!(session = %session.id, "viewer paused: it was not heard for 7 s");
        self.serving_timers.set(key, None);
        self.demux.report_when_heard(key);
        self.shared.metrics.pauses.inc();
        self.report(key, now);
    }

    /// Notices that a publisher has been silent for too long.
    pub(crate) fn check_publisher_silence(&mut self, key: Key, now: Instant) {
        let heard = self.demux.heard(key);
        let Some(publisher) = self.sessions.publisher_mut(key) else { return };
        if publisher.check_loss(heard, &mut self.mailbox, now) {
            let stream = publisher.stream.clone();
            self.shared.events.send(NodeEvent::Unpublished { stream, absence: Absence::Lost });
            self.demux.report_when_heard(key);
        }
    }

    /// A silent client is heard again: a viewer is resumed; a publisher's viewers continue.
    pub(crate) fn on_heard(&mut self, key: Key, now: Instant) {
        let Some(session) = self.sessions.session_mut(key) else { return };
        let stream = session.stream.clone();
        if let Some(publisher) = session.state.publisher_mut() {
            if publisher.end_loss(&mut self.mailbox, now) {
                self.shared.events.send(NodeEvent::Published { stream });
                self.timers.set(key, session.poll_timeout());
            }
            return;
        }
        let resumed = self.feeds.get(&stream).and_then(|feed| session.resume(feed, now));
        let Some((follow_up, missed)) = resumed else { return };
        self.counters.drops(DropReason::Paused, missed);
        self.serving_timers.set(key, Some(now));
        self.timers.set(key, session.poll_timeout());
        self.follow_up(&stream, follow_up);
        self.report(key, now);
    }

    /// The publisher of viewers here is lost, or heard again.
    pub(crate) fn on_lost(&mut self, stream: &StreamName, publisher: u64, lost: bool, now: Instant) {
        let Some(feed) = self.feeds.of_publisher(stream, publisher) else { return };
        feed.set_lost(lost);
        if lost {
            return self.sessions.stop_replays(feed);
        }
        let attached = self.sessions.attach_viewers(feed, false, now);
        self.on_attached(stream, attached, now);
    }
}
