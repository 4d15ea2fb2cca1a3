//! Viewers that go away and come back.
//!
//! A UDP socket never tells that nobody is there, so a viewer that has not been heard for [`SILENCE`], by STUN or RTCP, is
//! paused: it gets nothing, and its lines stand still, no number given away. As soon as it is heard again where its media
//! goes, its lines go on by a splice, with sound at what is live and with a picture at once. A silence of 30 s ends the
//! session, which is the door's to say.

use std::time::{Duration, Instant};

use super::engine::Engine;
use super::session::{Session, State};
use crate::demux::Key;
use crate::metrics::DropReason;

/// A viewer is paused that has not been heard for so long. The slowest clients send receiver reports each 6 s.
pub(super) const SILENCE: Duration = Duration::from_secs(7);

/// Whether a client is there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Presence {
    /// It was heard lately.
    Here {
        /// When it may have been silent for too long.
        look_at: Instant,
    },
    /// It is not heard.
    Away {
        /// When that was noticed.
        since: Instant,
    },
}

impl Presence {
    /// A client that was heard at that moment, and may be silent for `silence`.
    pub(super) fn new(heard: Instant, silence: Duration) -> Self {
        Self::Here { look_at: heard + silence }
    }

    #[inline]
    pub(super) fn is_away(self) -> bool {
        matches!(self, Self::Away { .. })
    }

    /// When it is to be looked after.
    pub(super) fn look_at(self) -> Option<Instant> {
        match self {
            Self::Here { look_at } => Some(look_at),
            Self::Away { .. } => None,
        }
    }
}

impl Engine {
    /// Pauses a viewer that has been silent for too long.
    pub(super) fn look_after(&mut self, key: Key, now: Instant) {
        let heard = self.door.heard(key);
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
        self.door.await_sign(key);
        self.shared.metrics.pauses.inc();
        self.report(key, now);
    }

    /// A client may be heard again: a viewer that was paused goes on, and viewers learn of a publisher.
    pub(super) fn on_return(&mut self, key: Key, now: Instant) {
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
