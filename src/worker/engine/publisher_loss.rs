//! Publishers that fall silent without a word: a crash, a dead network, a laptop that sleeps.
//!
//! The session of such a publisher lives for 30 s more, because it may come back under the same keys. Its viewers are told
//! sooner: a publisher of which nothing has been heard for [`LOST`], neither media nor RTCP nor STUN, is lost until it is
//! heard again. A publisher that sends no media and is heard is not lost: a screen may stand still. The rule: while no
//! publisher is heard, viewers are sent nothing that was sent before.

use super::state::Engine;
use crate::demux::Key;
use crate::name::StreamName;
use crate::session::Event;
use crate::stream::Absence;
use crate::worker::message::Message;
use crate::worker::presence::Presence;
use crate::worker::publishing::publisher_loss::LOST;
use crate::worker::session::State;
use crate::worker::viewing::viewer_track::Begun;
use std::time::Instant;

impl Engine {
    /// Notices that a publisher has been silent for too long.
    pub(crate) fn look_for_publisher(&mut self, key: Key, now: Instant) {
        let heard = self.demux.heard(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let State::Publishing(publisher) = &mut session.state else { return };
        let Presence::Here { look_at } = publisher.presence else { return };
        if look_at > now {
            return;
        }
        if let Some(heard) = heard.filter(|heard| *heard + LOST > now) {
            publisher.presence = Presence::new(heard, LOST);
            return;
        }
        publisher.presence = Presence::Away { since: now };
        publisher.publication.set_lost(Some(now));
        tracing::info!(session = %session.id, stream = %session.stream, "publisher lost: it was not heard for 4 s");
        self.demux.await_sign(key);
        self.shared.events.send(Event::Unpublished { stream: session.stream.clone(), absence: Absence::Lost });
        self.tell_lost(key, true);
    }

    /// A publisher may be heard again: if it was lost, its viewers go on.
    pub(crate) fn on_publisher_heard(&mut self, key: Key, now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let State::Publishing(publisher) = &mut session.state else { return };
        let Presence::Away { since } = publisher.presence else { return };
        publisher.presence = Presence::new(now, LOST);
        publisher.publication.set_lost(None);
        let lost_ms = now.saturating_duration_since(since).as_millis() as u64;
        tracing::info!(session = %session.id, stream = %session.stream, lost_ms, "publisher heard again");
        self.shared.events.send(Event::Published { stream: session.stream.clone() });
        let due = session.poll_timeout();
        self.timers.set(key, due);
        self.tell_lost(key, false);
    }

    /// A standby has no viewers, so nobody is told of one.
    fn tell_lost(&mut self, key: Key, lost: bool) {
        self.tell_subscribers(key, 0, |stream, epoch| Message::Lost { stream, epoch, lost });
    }

    /// The publisher that the viewers here have is not heard any more, or is heard again.
    pub(crate) fn on_lost(&mut self, stream: &StreamName, epoch: u32, lost: bool, now: Instant) {
        let Some(feed) = self.feeds.get_mut(stream) else { return };
        let Some(source) = feed.source.as_mut().filter(|source| source.epoch == epoch) else { return };
        source.lost = lost;
        if lost {
            return self.leave_viewers_alone(stream);
        }
        let mut begun = Begun::default();
        for key in &feed.viewers {
            let session = self.sessions.get_mut(*key);
            let Some(State::Watching(viewer)) = session.map(|session| &mut session.state) else { continue };
            begun.add(viewer.attach(feed, false, now));
        }
        self.help(stream, begun);
        self.feeds.mark_ready(stream);
    }

    /// Ends what viewers are being sent again: the publisher that sent it is not there any more.
    pub(crate) fn leave_viewers_alone(&mut self, stream: &StreamName) {
        let Some(feed) = self.feeds.get(stream) else { return };
        for key in &feed.viewers {
            let session = self.sessions.get_mut(*key);
            let Some(State::Watching(viewer)) = session.map(|session| &mut session.state) else { continue };
            viewer.lose_publisher(feed);
        }
    }
}
