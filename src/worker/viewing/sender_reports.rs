//! Sender reports to a viewer (RFC 3550 6.4.1): they map its RTP timestamps to the publisher's clock, so that audio and
//! video play in step.
//!
//! The rule: a report is true for the packets that the viewer is sent now. No report is sent while a replay runs,
//! because the mapping changes when it ends, nor while only one of audio and video has switched to another publisher,
//! whose clock differs. However often the layer of the video changes, its reports follow the clock of one layer,
//! because clocks by arrival differ from layer to layer.

use std::time::{Duration, Instant};

use super::stream_feed::{FeedTrack, StreamFeed};
use super::viewer::{Serving, Viewer};
use super::viewer_track::ViewerTrack;
use crate::rtcp::{Compound, Outgoing, SenderClock, sender_report};

/// Between two sender reports of an outbound track.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// How soon a report that could not be made is tried again. Reports that waited for the publisher's first report are
/// spread over the same time.
pub(crate) const REPORT_RETRY: Duration = Duration::from_millis(200);

/// A clock that is older than this may have drifted away from that of audio.
const FRESH: Duration = Duration::from_secs(10);

/// How long reports wait until audio and video both come from the same publisher.
const REPORT_PATIENCE: Duration = Duration::from_secs(4);

impl Viewer {
    /// Schedules the first report with the first packets, so that audio and video are in step from the start; during a
    /// replay, at its end.
    pub(crate) fn time_reports(&mut self, serving: &mut Serving, replaying: bool, now: Instant) {
        let became_live = std::mem::replace(&mut self.replaying, replaying) && !replaying;
        let is_first = self.next_report.is_none() && serving.sent.received.is_some() && !replaying;
        if became_live || is_first {
            self.next_report = Some(now);
            serving.reschedules_reports = true;
        }
    }

    /// The publisher's first sender report has arrived: this viewer's report, if it waited for that, is due at `due`.
    pub(crate) fn on_first_clock(&mut self, due: Instant) {
        self.next_report = self.next_report.map(|before| before.min(due));
    }

    /// Sender reports that are due, with timestamps of the viewer's RTP streams (RFC 3550 6.4.1).
    pub(crate) fn poll(&mut self, feed: Option<&StreamFeed>, now: Instant) -> Vec<Compound> {
        if self.next_report.is_none_or(|due| due > now) {
            return Vec::new();
        }
        if self.replaying {
            self.next_report = None;
            return Vec::new();
        }
        self.next_report = Some(now + REPORT_RETRY);
        let mut packets = Vec::new();
        let Some(feed) = feed.filter(|feed| feed.source.is_some()) else { return packets };
        // Until the publisher's first report there is no clock to report; [`Viewer::on_first_clock`] then sets the
        // timer. Audio and video are out of step until then.
        if !self.tracks.iter().any(|viewer_track| {
            feed.layer(viewer_track.kind, viewer_track.layer).is_some_and(|track| track.clock.is_some())
        }) {
            self.next_report = Some(now + REPORT_INTERVAL);
            return packets;
        }
        let mapped = |viewer_track: &ViewerTrack| {
            let track = feed.layer(viewer_track.kind, viewer_track.layer);
            let track = track.filter(|_| viewer_track.outbound_track.counts().packets > 0)?;
            let (of, clock) = clock_of(viewer_track, feed, now).or(Some((track, track.clock?)))?;
            let generation = of.epoch.generation();
            Some((track, clock, viewer_track.outbound_track.map_timestamp(generation, of.layer, clock.rtp)?))
        };
        // A new publisher has another clock: until both audio and video come from it, neither is reported.
        let is_awaited = |viewer_track: &ViewerTrack| {
            feed.layer(viewer_track.kind, viewer_track.layer).is_some()
                && viewer_track.outbound_track.counts().packets > 0
        };
        if self.tracks.iter().any(|viewer_track| is_awaited(viewer_track) && mapped(viewer_track).is_none())
            && now < *self.reports_wait.get_or_insert(now) + REPORT_PATIENCE
        {
            return packets;
        }
        self.reports_wait = None;
        for viewer_track in &mut self.tracks {
            let Some((track, clock, rtp)) = mapped(viewer_track) else { continue };
            let counts = viewer_track.outbound_track.counts();
            let outgoing = Outgoing {
                ssrc: viewer_track.outbound_track.ssrc(),
                clock,
                rtp,
                clock_rate: track.format.clock_rate,
                // RFC 3550 6.4.1: both counts are 32 bits that wrap.
                packets: counts.packets as u32,
                octets: counts.octets as u32,
            };
            let (report, named) = sender_report(&outgoing, &self.cname, now);
            viewer_track.round_trip.on_sent(named, now);
            packets.push(report);
            self.next_report = Some(now + REPORT_INTERVAL);
        }
        packets
    }
}

/// The clock that the timestamps of a track follow since its layer has changed, if it is known and recent.
fn clock_of<'a>(
    viewer_track: &ViewerTrack,
    feed: &'a StreamFeed,
    now: Instant,
) -> Option<(&'a FeedTrack, SenderClock)> {
    let (generation, layer) = viewer_track.outbound_track.clock_layer()?;
    let track = feed.layer(viewer_track.kind, layer).filter(|track| track.epoch.generation() == generation)?;
    let clock = track.clock.filter(|clock| now.saturating_duration_since(clock.received) <= FRESH)?;
    Some((track, clock))
}
