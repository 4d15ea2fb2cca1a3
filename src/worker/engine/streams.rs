//! How media passes: from a publisher's datagram to one push for each worker with viewers, and from the inbox to the
//! viewers of this worker.

use std::sync::Arc;
use std::time::Instant;

use super::state::Engine;
use crate::demux::Key;
use crate::five_tuple::FiveTuple;
use crate::forward::codec::Kind;
use crate::metrics::{DropReason, End as Reason};
use crate::name::StreamName;
use crate::rtcp::SenderClock;
use crate::session::Event;
use crate::srtp::{OpenError, Opener, Sealer};
use crate::stream::{Absence, Announcement, Entrance, WorkerId};
use crate::worker::message::{Message, Published, Subscribed};
use crate::worker::net::batch::Outbox;
use crate::worker::publishing::bitrate::BitrateLimit;
use crate::worker::publishing::publisher::{KeyframeResponsive, Publisher};
use crate::worker::session::{Session, State};
use crate::worker::viewing::sender_reports::REPORT_RETRY;
use crate::worker::viewing::stream_feed::Source;
use crate::worker::viewing::viewer::Viewer;
use crate::worker::viewing::viewer_track::Begun;

impl Engine {
    /// A publisher is connected: it takes the stream over, or stands by.
    pub(crate) fn publish(&mut self, key: Key, announcement: Announcement, opener: Opener, now: Instant) {
        let (publication, entrance) = announcement.publish(self.id, now);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let mut publisher = Publisher::new(
            session.stream.clone(),
            publication,
            opener,
            &session.negotiated,
            rand::random(),
            self.shared.config.history_limits(),
            now,
        );
        publisher.bitrate_limit = BitrateLimit::new(self.shared.config.max_publisher_bitrate, now);
        session.state = State::Publishing(Box::new(publisher));
        match entrance {
            Entrance::Live(takeover) => self.take_over(key, takeover, false, now),
            Entrance::Standby { replaced } => self.stand_by(key, replaced, now),
        }
        let due = self.sessions.get_mut(key).and_then(Session::poll_timeout).or(Some(now));
        self.timers.set(key, due);
    }

    /// A publisher is gone: the workers with viewers get what it still sent, and are told.
    pub(crate) fn unpublish(&mut self, key: Key, mut publisher: Publisher, reason: Reason, now: Instant) {
        let (stream, epoch) = (publisher.stream.clone(), publisher.epoch());
        if self.publisher_by_stream.get(&stream) == Some(&key) {
            self.publisher_by_stream.remove(&stream);
        }
        let subscribers = publisher.subscribers.clone();
        publisher.release_all(now);
        self.push_media(&subscribers, publisher.take_pending());
        let absence = Absence::from(reason);
        publisher.publication.leave(absence, now);
        self.shared.events.send(Event::Unpublished { stream: stream.clone(), absence });
        for worker in subscribers {
            self.push(worker, Message::Unpublished { stream: stream.clone(), epoch }, 0);
        }
    }

    /// A viewer is connected: it joins its stream's feed, and the worker subscribes if it is the first here.
    pub(crate) fn watch(&mut self, key: Key, sealer: Sealer, now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let stream = session.stream.clone();
        let (watch, live) = self.shared.registry.watch(&stream, self.id);
        let mut viewer = Viewer::new(watch, sealer, &session.negotiated, stream.to_string(), now);
        let feed = self.feeds.join(&stream, key);
        let begun = viewer.attach(feed, false, now);
        session.state = State::Watching(Box::new(viewer));
        if let Some(live) = live {
            self.push(live.worker, Message::Subscribe { stream: stream.clone(), worker: self.id }, 0);
        }
        self.help(&stream, begun);
        self.feeds.mark_ready(&stream);
    }

    /// Opens a publisher's packet in place and keeps it for the next push.
    pub(crate) fn on_rtp(&mut self, key: Key, path: FiveTuple, datagram: &mut [u8], received: Instant, now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let State::Publishing(publisher) = &mut session.state else { return self.counters.drop(DropReason::NoKeys) };
        let opened = match publisher.opener.open_at(datagram, now) {
            Ok(opened) => opened,
            Err(error) => {
                if error == OpenError::TooManySsrcs {
                    publisher.warn_of_ssrcs(now);
                }
                return self.counters.drop_unopened(error);
            }
        };
        session.facts.packets += 1;
        session.facts.bytes += datagram.len() as u64;
        self.demux.authenticated(key, path, now);
        match publisher.on_packet(datagram, &opened, received) {
            Ok(kind) => self.counters.received(kind, datagram.len()),
            Err(reason) => self.counters.drop(reason),
        }
        session.note_first_media(now, &self.shared.metrics);
        if self.unflushed.last() != Some(&key) && !self.unflushed.contains(&key) {
            self.unflushed.push(key);
        }
    }

    /// Pushes what publishers sent since the last call, once to each worker with viewers.
    pub(crate) fn flush_published(&mut self) {
        for key in std::mem::take(&mut self.unflushed) {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            let State::Publishing(publisher) = &mut session.state else { continue };
            let announced = publisher.take_announcement(self.id);
            let batches = publisher.take_pending();
            let verdicts = publisher.take_verdicts();
            let subscribers = publisher.subscribers.clone();
            let due = session.poll_timeout();
            self.timers.set(key, due);
            if let Some(subscribed) = announced {
                for worker in &subscribers {
                    self.push(*worker, Message::Subscribed(Box::new(subscribed.clone())), 0);
                }
            }
            self.push_media(&subscribers, batches);
            self.tell_verdicts(key, verdicts);
        }
    }

    fn push_media(&mut self, subscribers: &[WorkerId], batches: Vec<Arc<Published>>) {
        for published in batches {
            let packets = published.packets.len() as u64;
            for worker in subscribers {
                self.push(*worker, Message::Media(published.clone()), packets);
            }
        }
    }

    /// Tells the workers with viewers whether a publisher answers keyframe requests.
    pub(crate) fn tell_verdicts(&mut self, key: Key, verdicts: Vec<KeyframeResponsive>) {
        for KeyframeResponsive { kind, keyframe_responsive } in verdicts {
            self.counters.judged(keyframe_responsive);
            let Some(session) = self.sessions.get_mut(key) else { return };
            session.facts.keyframes_answered += u64::from(keyframe_responsive);
            self.tell_subscribers(key, 0, |stream, epoch| Message::KeyframeResponsive {
                stream,
                epoch,
                kind,
                keyframe_responsive,
            });
        }
    }

    /// Tells the workers with viewers what a publisher's clocks show.
    pub(crate) fn tell_clocks(&mut self, key: Key, clocks: Vec<(Kind, SenderClock)>) {
        for (kind, clock) in clocks {
            self.tell_subscribers(key, 0, |stream, epoch| Message::Clock { stream, epoch, kind, clock });
        }
    }

    /// A publisher has answered a keyframe request, or has not.
    pub(crate) fn on_obeys(&mut self, stream: &StreamName, epoch: u32, kind: Kind, keyframe_responsive: bool) {
        let Some(feed) = self.feeds.get_mut(stream) else { return };
        if feed.source.is_some_and(|source| source.epoch == epoch)
            && let Some(track) = feed.track_mut(kind)
        {
            track.keyframe_responsive = Some(keyframe_responsive);
        }
    }

    /// Packets of a stream that has viewers here.
    pub(crate) fn on_media(&mut self, published: &Published) {
        let Some(feed) = self.feeds.get_mut(&published.stream) else { return };
        // What a replaced publisher still sent comes too late.
        if feed.source.is_none_or(|source| source.epoch != published.epoch) {
            return self.counters.drops(DropReason::Replaced, published.packets.len() as u64);
        }
        for packet in &published.packets {
            feed.push(published.kind, packet);
        }
        self.feeds.mark_ready(&published.stream);
    }

    /// The publisher that the viewers here now have.
    pub(crate) fn on_subscribed(&mut self, subscribed: Subscribed, now: Instant) {
        let limits = self.feeds.limits();
        let Some(feed) = self.feeds.get_mut(&subscribed.stream) else { return };
        if feed.source.is_some_and(|source| source.epoch > subscribed.epoch) {
            return;
        }
        let Subscribed { worker, epoch, lost, .. } = subscribed;
        feed.source = Some(Source { worker, epoch, lost });
        feed.abandoned = None;
        feed.forget_demand();
        feed.channels = subscribed.channels;
        for track in subscribed.tracks {
            feed.start_track(track, limits);
        }
        let mut begun = Begun::default();
        let mut cannot_follow = Vec::new();
        for key in &feed.viewers {
            let session = self.sessions.get_mut(*key);
            let Some(State::Watching(viewer)) = session.map(|session| &mut session.state) else { continue };
            let asked = viewer.attach(feed, subscribed.was_standby, now);
            self.counters.add_replays(u64::from(asked.replays));
            begun.demands |= asked.demands;
            if !viewer.can_follow(feed) {
                cannot_follow.push(*key);
            }
        }
        self.help(&subscribed.stream, begun);
        for key in cannot_follow {
            self.end(key, Reason::CodecChanged, now);
        }
        self.feeds.mark_ready(&subscribed.stream);
    }

    /// A publisher's sender report.
    pub(crate) fn on_clock(&mut self, stream: &StreamName, epoch: u32, kind: Kind, clock: SenderClock, now: Instant) {
        let Some(feed) = self.feeds.get_mut(stream) else { return };
        let Some(track) = feed.source.filter(|source| source.epoch == epoch).and_then(|_| feed.track_mut(kind)) else {
            return;
        };
        if track.clock.replace(clock).is_some() {
            return;
        }
        let step = REPORT_RETRY / u32::try_from(feed.viewers.len()).unwrap_or(u32::MAX).max(1);
        for (place, key) in (0..).zip(&feed.viewers) {
            let Some(session) = self.sessions.get_mut(*key) else { continue };
            let State::Watching(viewer) = &mut session.state else { continue };
            viewer.on_first_clock(now + step * place);
            self.timers.set(*key, session.poll_timeout());
        }
    }

    /// The publisher is gone; its viewers wait for the next one.
    pub(crate) fn on_unpublished(&mut self, stream: &StreamName, epoch: u32, now: Instant) {
        let Some(feed) = self.feeds.get_mut(stream) else { return };
        if feed.source.take_if(|source| source.epoch == epoch).is_some() {
            feed.forget_demand();
            self.leave_viewers_alone(stream);
            self.await_return(stream, now);
        }
    }

    /// Another worker, or this one, has its first viewer of a stream that is published here.
    pub(crate) fn on_subscribe(&mut self, stream: &StreamName, worker: WorkerId) {
        let Some(publisher) = self.publisher_of(stream) else { return };
        if !publisher.subscribers.contains(&worker) {
            publisher.subscribers.push(worker);
        }
        let id = self.id;
        let Some(publisher) = self.publisher_of(stream) else { return };
        let subscribed = publisher.snapshot(id);
        self.push(worker, Message::Subscribed(Box::new(subscribed)), 0);
    }

    /// A worker has no viewers of a stream any more.
    pub(crate) fn on_unsubscribe(&mut self, stream: &StreamName, worker: WorkerId) {
        if let Some(publisher) = self.publisher_of(stream) {
            publisher.subscribers.retain(|subscriber| *subscriber != worker);
        }
    }

    /// Viewers of some worker wait for a keyframe.
    pub(crate) fn on_demand(&mut self, stream: &StreamName, now: Instant) {
        let Some(key) = self.publisher_by_stream.get(stream).copied() else { return };
        if let Some(publisher) = self.publisher_of(stream) {
            publisher.demand_keyframe(now);
        }
        self.guard(key, now, |engine| engine.on_session_timeout(key, now));
    }

    /// What a peer reports by RTCP.
    pub(crate) fn on_feedback(&mut self, key: Key, compound: &[u8], now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let stream = session.stream.clone();
        match &mut session.state {
            State::Connecting(_) => {}
            State::Publishing(publisher) => {
                publisher.on_reports(compound, now);
                let clocks = publisher.take_clocks();
                self.tell_clocks(key, clocks);
            }
            State::Watching(viewer) => {
                let heard = viewer.on_feedback(compound, now);
                session.facts.asked_again += heard.asked as u64;
                self.counters.heard(heard.asked as u64, heard.keyframe.into());
                if viewer.has_pending_nacks() && !self.pending_nacks.contains(&key) {
                    self.pending_nacks.push(key);
                }
                if heard.keyframe
                    && let Some(feed) = self.feeds.get(&stream)
                {
                    let begun = viewer.refresh(feed, now);
                    self.turns.set(key, Some(now));
                    self.help(&stream, begun);
                }
            }
        }
    }

    /// Does what legs ask for.
    pub(crate) fn help(&mut self, stream: &StreamName, begun: Begun) {
        self.counters.add_replays(u64::from(begun.replays));
        if begun.demands {
            self.demand(stream);
        }
    }

    /// Sends one viewer what it has not got yet.
    pub(crate) fn serve_viewer(&mut self, key: Key, outbox: &mut impl Outbox, now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let (State::Watching(viewer), Some(path)) = (&mut session.state, session.path) else { return };
        let Some(feed) = self.feeds.get(&session.stream) else { return };
        self.batch.begin(path);
        let serving = viewer.serve(feed, &mut self.batch, outbox, now);
        let served = &serving.sent;
        for volume in &served.volumes {
            session.facts.packets += volume.packets;
            session.facts.bytes += volume.bytes;
        }
        self.counters.served(served, now);
        if serving.reschedules_serving {
            self.turns.set(key, viewer.serve_at);
        }
        if session.facts.first_picture.is_none() && served.received.is_some() {
            let has_picture = served.volumes[Kind::Video as usize].packets > 0;
            session.note_sent(has_picture, now, &self.shared.metrics);
        }
        if serving.reschedules_reports {
            let due = session.poll_timeout();
            self.timers.set(key, due);
        }
        if serving.begun != Begun::default() {
            let stream = feed.stream.clone();
            self.help(&stream, serving.begun);
        }
    }

    /// Sends one viewer what it has asked for again.
    pub(crate) fn answer_viewer(&mut self, key: Key, outbox: &mut impl Outbox, now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let (State::Watching(viewer), Some(path)) = (&mut session.state, session.path) else { return };
        let Some(feed) = self.feeds.get(&session.stream) else { return };
        self.batch.begin(path);
        let answered = viewer.answer(feed, &mut self.batch, outbox, now);
        self.counters.answered(answered);
        if answered.lost || answered.overrun {
            // It would find out by itself, after seconds.
            let begun = if answered.overrun { viewer.skip(feed, now) } else { viewer.refresh(feed, now) };
            let stream = feed.stream.clone();
            self.turns.set(key, Some(now));
            self.help(&stream, begun);
        }
    }

    /// Asks the publisher's worker for a keyframe, once for everybody who waits here.
    fn demand(&mut self, stream: &StreamName) {
        let Some(worker) = self.feeds.get_mut(stream).and_then(|feed| feed.demand()) else { return };
        let pushed = self.push(worker, Message::Demand { stream: stream.clone() }, 0);
        if let (false, Some(feed)) = (pushed, self.feeds.get_mut(stream)) {
            feed.forget_demand();
        }
    }

    fn publisher_of(&mut self, stream: &StreamName) -> Option<&mut Publisher> {
        let key = self.publisher_by_stream.get(stream).copied()?;
        match &mut self.sessions.get_mut(key)?.state {
            State::Publishing(publisher) => Some(publisher),
            State::Connecting(_) | State::Watching(_) => None,
        }
    }
}
