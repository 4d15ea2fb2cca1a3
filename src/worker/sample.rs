//! Once a second each session's record is brought up to date, a few sessions at a time, so that thousands of them do not
//! hold a packet up.

use std::time::{Duration, Instant};

use super::engine::Engine;
use super::feed::Feed;
use super::leg::Leg;
use super::message::Message;
use super::publisher::Publisher;
use super::record::{Checks, Stage, TrackReport};
use super::session::{Session, State};
use super::track::Track;
use super::viewer::Viewer;
use crate::demux::{Facts as DoorFacts, Key};
use crate::five_tuple::Path;
use crate::forward::codec::Kind;
use crate::forward::{Leg as Stand, SetsSource};
use crate::name::StreamName;
use crate::sdp::{Negotiated, Section};

/// How often a session is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// How often a publisher is asked for its round trip.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// Sessions that one look takes; more take more looks, spread over the interval.
const SLICE: usize = 64;

/// Which sessions are looked at next, and when.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    next: usize,
    due: Option<Instant>,
}

impl Sampler {
    /// When [`Engine::sample`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// There is a session: looks begin if they had stopped.
    pub(super) fn start(&mut self, now: Instant) {
        self.due.get_or_insert(now + INTERVAL);
    }
}

impl Engine {
    /// Looks at the sessions whose turn it is.
    pub(super) fn sample(&mut self, now: Instant) {
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
            self.door.probe(key, now);
        }
    }

    /// A check was answered: a publisher that reads little has that to read, too.
    pub(super) fn on_check(&mut self, path: Path, now: Instant) {
        let Some(session) = self.door.owner(&path).and_then(|key| self.sessions.get_mut(key)) else { return };
        if let State::Publishing(publisher) = &mut session.state {
            publisher.reception.on_sent(now);
        }
    }

    /// Brings the record of one session up to date.
    pub(super) fn report(&mut self, key: Key, now: Instant) {
        let door = self.door.facts(key).unwrap_or_default();
        let Some(session) = self.sessions.get_mut(key) else { return };
        let feed = self.feeds.get(&session.stream);
        session.report(&door, feed, now);
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
    pub(super) fn on_give_up_pictures(&mut self, stream: &StreamName, epoch: u32, now: Instant) {
        let Some(feed) = self.feeds.get_mut(stream) else { return };
        if feed.source.is_some_and(|source| source.epoch == epoch)
            && let Some(track) = feed.track_mut(Kind::Video)
        {
            track.history.give_up_pictures(now);
        }
    }
}

impl Session {
    fn report(&mut self, door: &DoorFacts, feed: Option<&Feed>, now: Instant) {
        let (mut obeys, mut round_trip, mut stands_by, mut estimate) = (None, door.round_trip, false, None);
        let (stage, tracks) = match &mut self.state {
            State::Connecting(_) => (Stage::Connecting, Vec::new()),
            State::Publishing(publisher) => {
                obeys = publisher.obeys();
                stands_by = publisher.publication.is_standby();
                (if stands_by { Stage::Waiting } else { Stage::Live }, publisher.reports(now))
            }
            State::Watching(viewer) => {
                round_trip = viewer.round_trip();
                estimate = viewer.estimate;
                (viewer.stage(feed), viewer.reports(&self.negotiated, feed, now))
            }
        };
        if let Some(share) = &mut self.share {
            share.tell(&tracks, !stands_by);
        }
        let facts = &self.facts;
        self.record.update(|report| {
            report.stage = stage;
            report.path = self.path;
            report.srtp_profile = facts.profile.map(|profile| profile.name());
            report.round_trip = round_trip;
            report.estimate = estimate;
            report.opened = facts.opened;
            report.connected = facts.connected;
            report.first_media = facts.first_media;
            report.first_picture = facts.first_picture;
            report.tracks = tracks;
            report.obeys = obeys;
            report.checks = Checks {
                authentic: door.checks,
                first: door.first.map(|path| path.remote),
                addresses: door.paths,
                moves: door.moves,
                refused: door.dropped + door.forged,
            };
            report.failure.clone_from(&facts.failure);
        });
    }
}

impl Publisher {
    /// Whether it answers keyframe requests, as far as it is known.
    fn obeys(&self) -> Option<bool> {
        self.tracks.iter().find_map(|track| track.obeys.filter(|_| track.kind == Kind::Video))
    }

    fn reports(&mut self, now: Instant) -> Vec<TrackReport> {
        self.examine(now);
        let (reception, hold) = (&self.reception, self.hold.length());
        let report = |track: &mut Track| {
            let quality = track.ssrc.and_then(|ssrc| reception.quality(ssrc)).unwrap_or_default();
            TrackReport {
                kind: track.kind.as_str(),
                codec: track.format.codec.name(),
                profile: track.format.profile().name(),
                size: track.size(),
                ssrc: track.ssrc,
                packets: track.intake.volume.packets,
                bytes: track.intake.volume.bytes,
                rates: track.intake.look(now),
                hold,
                keyframe_interval: track.intake.keyframe_interval(now),
                sets: track.sets_source().map(SetsSource::as_str),
                lint: track.lint.lines().collect(),
                lost_packets: track.lost_before + quality.lost,
                repaired_packets: track.repaired_before + quality.repaired,
                jitter: Some(quality.jitter),
            }
        };
        self.tracks.iter_mut().filter(|track| track.is_settled).map(report).collect()
    }
}

impl Viewer {
    /// The smallest round trip of its tracks: what the network takes, without what the client does.
    fn round_trip(&self) -> Option<Duration> {
        self.legs.iter().filter_map(|leg| leg.rtt()).min()
    }

    fn stage(&self, feed: Option<&Feed>) -> Stage {
        if self.legs.iter().all(|leg| leg.outlet.leg() == Stand::Paused) {
            return Stage::Paused;
        }
        if feed.is_some_and(|feed| feed.source.is_some()) { Stage::Live } else { Stage::Waiting }
    }

    fn reports(&mut self, negotiated: &Negotiated, feed: Option<&Feed>, now: Instant) -> Vec<TrackReport> {
        let report = |leg: &mut Leg| {
            let is_own = |section: &&Section| section.ssrc == leg.outlet.ssrc();
            let agreed = negotiated.sections.iter().find(is_own).and_then(|section| section.payloads.first());
            let format = feed.and_then(|feed| feed.track(leg.kind)).map(|track| &track.format);
            let format = format.or(agreed.map(|payload| &payload.format))?;
            let counts = *leg.outlet.counts();
            Some(TrackReport {
                kind: leg.kind.as_str(),
                codec: format.codec.name(),
                profile: format.profile().name(),
                size: None,
                ssrc: Some(leg.outlet.ssrc()),
                packets: leg.sent.packets,
                bytes: leg.sent.bytes,
                rates: leg.meter.look(leg.sent, 0, now),
                hold: Duration::ZERO,
                keyframe_interval: None,
                sets: None,
                lint: Vec::new(),
                lost_packets: leg.heard.map_or(0, |heard| heard.lost),
                repaired_packets: counts.resent,
                jitter: leg.heard.map(|heard| heard.jitter(format.clock_rate)),
            })
        };
        self.legs.iter_mut().filter_map(report).collect()
    }
}
