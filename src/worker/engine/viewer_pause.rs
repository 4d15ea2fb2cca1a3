//! Viewers that are paused while nothing is heard of them, and resumed.

use super::state::Engine;
use crate::demux::Key;
use crate::metrics::DropReason;
use crate::worker::presence::{Presence, SILENCE};
use crate::worker::session::{Session, State};
use std::time::Instant;

impl Engine {
    /// Pauses a viewer that has been silent for too long.
    pub(crate) fn look_after(&mut self, key: Key, now: Instant) {
        let heard = self.demux.heard(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let State::Watching(viewer) = &mut session.state else { return };
        let Presence::Here { look_at } = viewer.presence else { return };
        if look_at > now {
            return;
        }
        if let Some(heard) = heard.filter(|heard| *heard + SILENCE > now) {
            viewer.presence = Presence::new(heard, SILENCE);
            return;
        }
        viewer.pause(now);
        tracing::debug!(session = %session.id, "viewer paused: it was not heard for 7 s");
        self.turns.set(key, None);
        self.demux.await_sign(key);
        self.shared.metrics.pauses.inc();
        self.report(key, now);
    }

    /// A client may be heard again: a viewer that was paused goes on, and viewers learn of a publisher.
    pub(crate) fn on_return(&mut self, key: Key, now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let State::Watching(viewer) = &mut session.state else { return self.on_publisher_heard(key, now) };
        let Presence::Away { since } = viewer.presence else { return };
        let Some(feed) = self.feeds.get(&session.stream) else { return };
        let (begun, missed) = viewer.resume(feed, now);
        let away = now.saturating_duration_since(since);
        tracing::debug!(session = %session.id, paused_ms = away.as_millis() as u64, missed, "viewer resumed");
        let stream = session.stream.clone();
        self.counters.drops(DropReason::Paused, missed);
        self.turns.set(key, Some(now));
        let due = self.sessions.get_mut(key).and_then(Session::poll_timeout);
        self.timers.set(key, due);
        self.help(&stream, begun);
        self.report(key, now);
    }
}
