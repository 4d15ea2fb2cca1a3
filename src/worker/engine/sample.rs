//! Once a second each session's record is brought up to date, a few sessions at a time, so that thousands of them do not
//! hold a packet up.

use super::state::Engine;
use crate::demux::Key;
use crate::five_tuple::FiveTuple;
use crate::forward::codec::Kind;
use crate::name::StreamName;
use crate::worker::message::Message;
use crate::worker::session::State;
use crate::worker::session_report::{INTERVAL, PROBE_INTERVAL, SLICE};
use std::time::Instant;

impl Engine {
    /// Looks at the sessions whose turn it is.
    pub(crate) fn sample(&mut self, now: Instant) {
        if self.sampler.due.is_none_or(|due| due > now) {
            return;
        }
        let places = self.sessions.places();
        let from = if self.sampler.next >= places { 0 } else { self.sampler.next };
        self.sampler.next = from + SLICE;
        for key in self.sessions.keys_at(from..from + SLICE) {
            self.guard(key, now, |engine| {
                engine.report(key, now);
                engine.probe(key, now);
            });
        }
        self.take_door_output(now);
        let looks = places.div_ceil(SLICE).max(1) as u32;
        self.sampler.due = (!self.sessions.is_empty()).then(|| now + INTERVAL / looks);
    }

    /// Asks a publisher how far away it is, if it is time. Viewers tell by themselves.
    fn probe(&mut self, key: Key, now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let is_due = session.probed.is_none_or(|before| now >= before + PROBE_INTERVAL);
        if let (true, State::Publishing(publisher)) = (is_due, &mut session.state) {
            session.probed = Some(now);
            publisher.reception.on_sent(now);
            self.demux.probe(key, now);
        }
    }

    /// A check was answered: a publisher that reads little has that to read, too.
    pub(crate) fn on_check(&mut self, path: FiveTuple, now: Instant) {
        let Some(session) = self.demux.owner(&path).and_then(|key| self.sessions.get_mut(key)) else { return };
        if let State::Publishing(publisher) = &mut session.state {
            publisher.reception.on_sent(now);
        }
    }

    /// Brings the record of one session up to date.
    pub(crate) fn report(&mut self, key: Key, now: Instant) {
        let demux = self.demux.facts(key).unwrap_or_default();
        let Some(session) = self.sessions.get_mut(key) else { return };
        let feed = self.feeds.get(&session.stream);
        session.report(&demux, feed, now);
        self.expire_pictures(key, now);
    }

    /// Lets go what a publisher's tracks keep for too long, or for more memory than there is for all.
    fn expire_pictures(&mut self, key: Key, now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let State::Publishing(publisher) = &mut session.state else { return };
        let (mut octets, mut since) = (0, now);
        for track in &mut publisher.tracks {
            track.history.expire(now);
            let Some((cost, received)) = track.history.cost_of_pictures().filter(|_| track.kind == Kind::Video) else {
                continue;
            };
            octets += cost;
            since = since.min(received);
        }
        let makes_room = self.shared.cache_budget.report(session.id, octets, since);
        if makes_room {
            for track in publisher.tracks.iter_mut().filter(|track| track.kind == Kind::Video) {
                track.history.give_up_pictures(now);
            }
            self.shared.metrics.fast_start_evictions.inc();
            self.tell_subscribers(key, 0, |stream, epoch| Message::GiveUpPictures { stream, epoch });
        }
        self.shared.metrics.fast_start_bytes.set(self.shared.cache_budget.total() as i64);
    }

    /// The pictures since a publisher's last keyframe make room for others.
    pub(crate) fn on_give_up_pictures(&mut self, stream: &StreamName, epoch: u32, now: Instant) {
        let Some(feed) = self.feeds.get_mut(stream) else { return };
        if feed.source.is_some_and(|source| source.epoch == epoch)
            && let Some(track) = feed.track_mut(Kind::Video)
        {
            track.history.give_up_pictures(now);
        }
    }
}
