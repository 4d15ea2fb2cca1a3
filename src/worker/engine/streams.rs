//! How media passes: from a publisher's datagram to one push for each worker with viewers, and from the inbox to the
//! viewers of this worker.

use std::time::Instant;

use super::state::Engine;
use crate::demux::Key;
use crate::five_tuple::FiveTuple;
use crate::forward::LayerId;
use crate::forward::codec::Kind;
use crate::name::StreamName;
use crate::reason::EndReason;
use crate::rtcp::SenderClock;
use crate::session::NodeEvent;
use crate::srtp::{Opener, Sealer};
use crate::stream::{Absence, Announcement, Entrance};
use crate::worker::message::{LayerState, Message, Subscribed};
use crate::worker::net::batch::Outbox;
use crate::worker::publishing::publisher::Publisher;
use crate::worker::sessions::feed_viewers::Attached;
use crate::worker::viewing::viewer_track::FollowUp;

impl Engine {
    /// A publisher is connected: it takes the stream over, or stands by.
    pub(crate) fn publish(&mut self, key: Key, announcement: Announcement, opener: Opener, now: Instant) {
        let (publication, entrance) = announcement.publish(self.id, now);
        let Some(session) = self.sessions.session_mut(key) else { return };
        session.publish(publication, opener, &self.shared.config, now);
        match entrance {
            Entrance::Live(takeover) => self.take_over(key, *takeover, false, now),
            Entrance::Standby { replaced } => self.stand_by(key, replaced, now),
            Entrance::Needless => return self.end(key, EndReason::Replaced, now),
        }
        self.timers.set(key, self.sessions.poll_timeout(key).or(Some(now)));
    }

    /// A publisher has ended: the workers with viewers get its last packets and a message.
    pub(crate) fn unpublish(&mut self, key: Key, mut publisher: Publisher, reason: EndReason, now: Instant) {
        if self.publisher_by_stream.get(&publisher.stream) == Some(&key) {
            self.publisher_by_stream.remove(&publisher.stream);
        }
        publisher.release_all(now);
        publisher.send_pending(&mut self.mailbox);
        let Publisher { stream, publication, subscribers, .. } = publisher;
        let (number, absence) = (publication.number(), Absence::from(reason));
        publication.leave(absence, now);
        self.shared.events.send(NodeEvent::Unpublished { stream: stream.clone(), absence });
        // A standby has none.
        let Some(publisher) = number else { return };
        for worker in subscribers {
            self.mailbox.send_command(worker, Message::Unpublished { stream: stream.clone(), publisher });
        }
    }

    /// A viewer is connected: it joins its stream's feed, and the worker subscribes if it is the first here.
    pub(crate) fn watch(&mut self, key: Key, sealer: Sealer, now: Instant) {
        let Some(session) = self.sessions.session_mut(key) else { return };
        let stream = session.stream.clone();
        let (watch, live) = self.shared.registry.watch(&stream, self.id);
        let follow_up = session.watch(watch, sealer, self.feeds.join(&stream, key), &self.shared.config, now);
        if let Some(live) = live {
            self.mailbox.send_command(live.worker, Message::Subscribe { stream: stream.clone(), worker: self.id });
        }
        self.follow_up(&stream, follow_up);
        self.feeds.mark_ready(&stream);
    }

    /// Takes SRTP.
    pub(crate) fn on_rtp(&mut self, key: Key, path: FiveTuple, datagram: &mut [u8], received: Instant, now: Instant) {
        let Some(session) = self.sessions.session_mut(key) else { return };
        if session.on_rtp(datagram, received, &mut self.counters, now) {
            self.demux.authenticated(key, path, now);
            self.flush_later(key);
        }
    }

    /// Marks a publisher whose packets are pushed in this turn.
    pub(crate) fn flush_later(&mut self, key: Key) {
        if self.unflushed.last() != Some(&key) && !self.unflushed.contains(&key) {
            self.unflushed.push(key);
        }
    }

    /// Pushes what publishers sent since the last call, once to each worker with viewers.
    pub(crate) fn flush_published(&mut self) {
        for key in std::mem::take(&mut self.unflushed) {
            let Some(session) = self.sessions.session_mut(key) else { continue };
            let Some(publisher) = session.state.publisher_mut() else { continue };
            publisher.flush(self.id, &mut self.mailbox);
            session.send_keyframe_responses(&mut self.mailbox, &mut self.counters);
            self.timers.set(key, session.poll_timeout());
        }
    }

    /// A publisher's worker sends the state of a stream: the viewers here follow that publisher from now on.
    pub(crate) fn on_subscribed(&mut self, subscribed: Subscribed, now: Instant) {
        let (stream, was_standby) = (subscribed.stream.clone(), subscribed.was_standby);
        let Some(feed) = self.feeds.on_subscribed(subscribed) else { return };
        let attached = self.sessions.attach_viewers(feed, was_standby, now);
        self.on_attached(&stream, attached, now);
    }

    /// A publisher's sender report.
    pub(crate) fn on_clock(
        &mut self,
        stream: &StreamName,
        publisher: u64,
        track: (Kind, LayerId),
        clock: SenderClock,
        now: Instant,
    ) {
        let is_first = self.feeds.on_clock(stream, publisher, track, clock);
        if let Some(feed) = self.feeds.get(stream).filter(|_| is_first) {
            self.sessions.schedule_first_reports(feed, &mut self.timers, now);
        }
    }

    /// What is known of one encoding of a publisher's video has changed: its viewers may go on with another.
    pub(crate) fn on_layer(&mut self, stream: &StreamName, publisher: u64, layer: (LayerId, LayerState), now: Instant) {
        if let Some(feed) = self.feeds.on_layer(stream, publisher, layer) {
            let attached = self.sessions.attach_viewers(feed, false, now);
            self.on_attached(stream, attached, now);
        }
    }

    /// The publisher has left; its viewers wait for the next one.
    pub(crate) fn on_unpublished(&mut self, stream: &StreamName, publisher: u64, now: Instant) {
        if let Some(feed) = self.feeds.on_unpublished(stream, publisher, self.shared.config.grace, now) {
            self.sessions.stop_replays(feed);
        }
    }

    /// Viewers of some worker wait for a keyframe.
    pub(crate) fn on_demand(&mut self, stream: &StreamName, layer: LayerId, now: Instant) {
        let Some(key) = self.publisher_by_stream.get(stream).copied() else { return };
        let Some(publisher) = self.sessions.publisher_mut(key) else { return };
        publisher.demand_keyframe(layer, now);
        self.guard(key, now, |engine| engine.on_session_timeout(key, now));
    }

    /// Takes RTCP of a client.
    pub(crate) fn on_feedback(&mut self, key: Key, compound: &[u8], now: Instant) {
        let Some(session) = self.sessions.session_mut(key) else { return };
        if let Some(publisher) = session.state.publisher_mut() {
            publisher.on_reports(compound, now);
            publisher.send_clocks(&mut self.mailbox);
            return self.timers.set(key, session.poll_timeout());
        }
        let wants_keyframe = session.on_viewer_feedback(compound, &mut self.counters, now).keyframe;
        let Some(viewer) = session.state.viewer_mut() else { return };
        if viewer.has_pending_nacks() && !self.pending_nacks.contains(&key) {
            self.pending_nacks.push(key);
        }
        let feed = self.feeds.get(&session.stream).filter(|_| wants_keyframe);
        let refreshed = feed.map(|feed| (viewer.refresh(feed, now), feed.stream.clone()));
        self.serving_timers.set(key, viewer.serve_at);
        if let Some((follow_up, stream)) = refreshed {
            self.follow_up(&stream, follow_up);
        }
    }

    /// Does what a viewer's tracks need.
    pub(crate) fn follow_up(&mut self, stream: &StreamName, follow_up: FollowUp) {
        self.counters.add_replays(u64::from(follow_up.replay_started));
        if let Some(feed) = self.feeds.get_mut(stream).filter(|_| !follow_up.needs_keyframe.is_empty()) {
            feed.demand_keyframe(follow_up.needs_keyframe, &mut self.mailbox);
        }
    }

    /// Does what viewers need that follow a stream's publisher, and serves them.
    pub(crate) fn on_attached(&mut self, stream: &StreamName, attached: Attached, now: Instant) {
        self.counters.add_replays(attached.replays);
        self.follow_up(stream, FollowUp { needs_keyframe: attached.needs_keyframe, replay_started: false });
        for key in attached.cannot_follow {
            self.end(key, EndReason::CodecChanged, now);
        }
        self.feeds.mark_ready(stream);
    }

    /// Sends one viewer the packets that it does not have yet.
    pub(crate) fn serve_viewer(&mut self, key: Key, outbox: &mut impl Outbox, now: Instant) {
        let Some(session) = self.sessions.session_mut(key) else { return };
        let Some(feed) = self.feeds.get(&session.stream) else { return };
        let Some(serving) = session.serve(feed, &mut self.batch, outbox, &mut self.counters, now) else { return };
        if serving.reschedules_serving {
            self.serving_timers.set(key, session.state.viewer_mut().and_then(|viewer| viewer.serve_at));
        }
        if serving.reschedules_reports {
            self.timers.set(key, session.poll_timeout());
        }
        if serving.follow_up != FollowUp::default() {
            let stream = session.stream.clone();
            self.follow_up(&stream, serving.follow_up);
        }
    }

    /// Sends one viewer the packets that its NACKs name.
    pub(crate) fn answer_nacks(&mut self, key: Key, outbox: &mut impl Outbox, now: Instant) {
        let Some(session) = self.sessions.session_mut(key) else { return };
        let Some(feed) = self.feeds.get(&session.stream) else { return };
        let follow_up = session.answer_nacks(feed, &mut self.batch, outbox, &mut self.counters, now);
        if let Some(follow_up) = follow_up {
            let stream = session.stream.clone();
            self.serving_timers.set(key, Some(now));
            self.follow_up(&stream, follow_up);
        }
    }

    /// The live publisher of a stream, if it lives here.
    pub(crate) fn publisher_of(&mut self, stream: &StreamName) -> Option<&mut Publisher> {
        self.sessions.publisher_mut(*self.publisher_by_stream.get(stream)?)
    }
}
