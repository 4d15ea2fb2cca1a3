//! What a worker writes into the record of each session, about once a second: a few sessions at a time, so that
//! thousands of them do not delay a packet.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::session::{Session, State};
use crate::demux::DemuxFacts;
use crate::forward::codec::Kind;
use crate::forward::{SetsSource, TrackState};
use crate::metrics::{LayerPlace, Metrics};
use crate::sdp::{Negotiated, Section};
use crate::session::{Checks, LayersSent, Network, Stage, TrackReport};
use crate::worker::publishing::publisher::Publisher;
use crate::worker::publishing::track::Track;
use crate::worker::viewing::stream_feed::{FeedTrack, StreamFeed};
use crate::worker::viewing::viewer::Viewer;
use crate::worker::viewing::viewer_track::ViewerTrack;

/// How often a session's record is updated.
const INTERVAL: Duration = Duration::from_secs(1);

/// How often a publisher's round-trip time is measured.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// Sessions updated at a time; more sessions take more steps, spread over the interval.
const SLICE: usize = 64;

/// The highest estimate that is observed, in bytes per second.
const HIGHEST_ESTIMATE: f64 = 125e6;

/// Which sessions are updated next, and when.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    next: usize,
    due: Option<Instant>,
}

impl Sampler {
    /// When the engine has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The places of the sessions to update, of this number of sessions, if it is time.
    pub(crate) fn take_due(&mut self, sessions: usize, now: Instant) -> Option<Range<usize>> {
        self.due.take_if(|due| *due <= now)?;
        let from = if self.next >= sessions { 0 } else { self.next };
        self.next = from + SLICE;
        Some(from..self.next)
    }

    /// Sets when the next ones are updated, so that all of this number are within [`INTERVAL`].
    pub(crate) fn schedule(&mut self, sessions: usize, now: Instant) {
        let looks = sessions.div_ceil(SLICE).max(1) as u32;
        self.due = (sessions > 0).then(|| now + INTERVAL / looks);
    }

    /// There is a session: updates begin if they had stopped.
    pub(crate) fn start(&mut self, now: Instant) {
        self.due.get_or_insert(now + INTERVAL);
    }
}

impl Session {
    pub(crate) fn report(&mut self, demux: &DemuxFacts, feed: Option<&StreamFeed>, metrics: &Metrics, now: Instant) {
        let mut viewed = None;
        let (mut keyframe_responsive, mut round_trip, mut stands_by, mut estimate) =
            (None, demux.round_trip, false, None);
        let (mut network, mut paused_layers) = (None, None);
        let (stage, mut tracks) = match &mut self.state {
            State::Connecting(_) => (Stage::Connecting, Vec::new()),
            State::Publishing(publisher) => {
                keyframe_responsive = publisher.keyframe_responsive();
                stands_by = publisher.publication.is_standby();
                paused_layers = (!stands_by).then(|| publisher.paused_layers());
                (if stands_by { Stage::Waiting } else { Stage::Live }, publisher.reports(now))
            }
            State::Watching(viewer) => {
                round_trip = viewer.round_trip();
                estimate = viewer.estimate(now);
                network = viewer
                    .is_network_followed()
                    .then(|| Network { is_video_paused: viewer.is_audio_only(), ..self.facts.network });
                viewed = feed.and_then(|feed| viewer.layer_place(feed));
                (viewer.stage(feed), viewer.reports(&self.negotiated, feed, now))
            }
        };
        if let Some(share) = &mut self.share {
            share.update(&tracks, !stands_by);
            share.view(viewed, metrics, now);
            if let Some(paused_layers) = paused_layers {
                share.set_paused_layers(paused_layers);
            }
            let video = tracks.iter_mut().find(|track| track.kind == Kind::Video.as_str());
            if let (Some(seconds), Some(video)) = (share.layer_seconds(), video) {
                video.layers.get_or_insert_default().seconds = seconds;
            }
        }
        if let Some(estimate) = estimate {
            // A viewer's REMB may name any rate.
            metrics.estimates.observe((f64::from(estimate) / 8.0).min(HIGHEST_ESTIMATE));
        }
        let facts = &self.facts;
        self.record.update(|report| {
            report.stage = stage;
            report.path = self.path;
            report.srtp_profile = facts.profile.map(|profile| profile.name());
            report.round_trip = round_trip;
            report.estimate = estimate;
            report.network = network;
            report.opened = facts.opened;
            report.connected = facts.connected;
            report.first_media = facts.first_media;
            report.first_frame = facts.first_frame;
            report.tracks = tracks;
            report.keyframe_responsive = keyframe_responsive;
            report.checks = Checks {
                authentic: demux.checks,
                first: demux.first.map(|path| path.remote),
                first_by: demux.first.map(|path| path.protocol),
                addresses: demux.paths,
                moves: demux.moves,
                refused: demux.dropped + demux.forged,
            };
            report.failure.clone_from(&facts.failure);
        });
    }
}

impl Publisher {
    /// Whether it answers keyframe requests, as far as it is known.
    fn keyframe_responsive(&self) -> Option<bool> {
        self.tracks.iter().find_map(|track| track.keyframe_responsive.filter(|_| track.kind == Kind::Video))
    }

    /// Encodings of its video that it has offered and does not send at present.
    fn paused_layers(&self) -> usize {
        self.tracks.iter().filter(|track| track.kind == Kind::Video && !track.is_active()).count()
    }

    fn reports(&mut self, now: Instant) -> Vec<TrackReport> {
        self.examine(now);
        let (reception, hold) = (&self.reception, self.repair_delay.length());
        let report = |track: &mut Track| {
            track.layer_rates.turn();
            let rates = track.meter.rates(now);
            let quality = track.ssrc.and_then(|ssrc| reception.quality(ssrc)).unwrap_or_default();
            TrackReport {
                kind: track.kind.as_str(),
                codec: track.format.codec.name(),
                profile: track.format.profile().name(),
                rid: track.simulcast.as_ref().map(|own| own.rid.clone()),
                target: None,
                layers: None,
                is_active: track.is_active(),
                size: track.size(),
                ssrc: track.ssrc,
                packets: track.meter.volume.packets,
                bytes: track.meter.volume.bytes,
                temporal_bits: track.layer_rates.shares().temporal_bits(rates.bits),
                rates,
                hold,
                keyframe_interval: track.meter.keyframe_interval(now),
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
    /// The smallest round-trip time of its tracks, which contains the least delay in the client.
    fn round_trip(&self) -> Option<Duration> {
        self.tracks.iter().filter_map(|viewer_track| viewer_track.rtt()).min()
    }

    /// The place of the encoding that it is sent, of a video that has several. `None` if it has selected audio alone.
    fn layer_place(&self, feed: &StreamFeed) -> Option<LayerPlace> {
        if self.has_selected_audio() {
            return None;
        }
        let own = self.tracks.iter().find(|viewer_track| viewer_track.kind == Kind::Video)?;
        let own = feed.layer(Kind::Video, own.layer).filter(|own| own.rid.is_some())?;
        if self.is_audio_only() {
            return Some(LayerPlace::None);
        }
        let size = |track: &FeedTrack| track.state.size_order();
        let mut others = feed.layers(Kind::Video).filter(|other| other.layer != own.layer);
        Some(match (others.clone().any(|other| size(other) > size(own)), others.any(|other| size(other) < size(own))) {
            (false, _) => LayerPlace::Largest,
            (true, true) => LayerPlace::Between,
            (true, false) => LayerPlace::Smallest,
        })
    }

    fn stage(&self, feed: Option<&StreamFeed>) -> Stage {
        if self.tracks.iter().all(|viewer_track| viewer_track.outbound_track.state() == TrackState::Paused) {
            return Stage::Paused;
        }
        if feed.is_some_and(|feed| feed.source.is_some()) { Stage::Live } else { Stage::Waiting }
    }

    fn reports(&mut self, negotiated: &Negotiated, feed: Option<&StreamFeed>, now: Instant) -> Vec<TrackReport> {
        let selection = self.selection.as_deref();
        let is_audio_only = self.is_audio_only();
        let report = |viewer_track: &mut ViewerTrack| {
            let is_own = |section: &&Section| section.ssrc == viewer_track.outbound_track.ssrc();
            let agreed = negotiated.sections.iter().find(is_own).and_then(|section| section.payloads.first());
            let track = feed.and_then(|feed| feed.layer(viewer_track.kind, viewer_track.layer));
            let format = track.map(|track| &track.format).or(agreed.map(|payload| &payload.format))?;
            let counts = *viewer_track.outbound_track.counts();
            let switches = viewer_track.switches.as_deref();
            Some(TrackReport {
                kind: viewer_track.kind.as_str(),
                codec: format.codec.name(),
                profile: format.profile().name(),
                rid: track.and_then(|track| track.rid.clone()).filter(|_| !is_audio_only),
                target: feed.and_then(|feed| viewer_track.wanted(feed, selection)?.rid.clone()),
                layers: switches.map(|switches| Box::new(LayersSent { switches: *switches, ..LayersSent::default() })),
                is_active: true,
                size: None,
                ssrc: Some(viewer_track.outbound_track.ssrc()),
                packets: viewer_track.sent.packets,
                bytes: viewer_track.sent.bytes,
                temporal_bits: Vec::new(),
                rates: viewer_track.meter.rates(viewer_track.sent, 0, now),
                hold: Duration::ZERO,
                keyframe_interval: None,
                sets: None,
                lint: Vec::new(),
                lost_packets: viewer_track.heard.map_or(0, |heard| heard.lost),
                repaired_packets: counts.resent,
                jitter: viewer_track.heard.map(|heard| heard.jitter(format.clock_rate)),
            })
        };
        self.tracks.iter_mut().filter_map(report).collect()
    }
}
