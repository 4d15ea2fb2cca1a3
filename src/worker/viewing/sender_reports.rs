//! What a viewer is told of the publisher's clock (RFC 3550 6.4.1), so that sound and pictures play together.
//!
//! The rule: what is said holds for the packets that the viewer gets now. Nothing is said while pictures are on their way
//! to live, because then it would be wrong when they get there, nor while only one of sound and pictures has come to
//! another publisher, whose clock is another.

use std::time::{Duration, Instant};

use super::stream_feed::StreamFeed;
use super::viewer::{Serving, Viewer};
use super::viewer_track::ViewerTrack;
use crate::forward::LayerId;
use crate::rtcp::{Compound, Outgoing, sender_report};

/// Between two sender reports of an outbound track.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// How soon a report is tried again that could not be made, and how long reports that had to wait for the publisher's
/// first one are spread over.
pub(crate) const REPORT_RETRY: Duration = Duration::from_millis(200);

/// How long a report about sound waits for one about pictures, and the other way round.
const REPORT_PATIENCE: Duration = Duration::from_secs(4);

impl Viewer {
    /// The first report goes with the first packets, so that sound and picture are in step from the start; but not before
    /// the pictures are live, and at once when they are.
    pub(crate) fn time_reports(&mut self, serving: &mut Serving, replaying: bool, now: Instant) {
        let became_live = std::mem::replace(&mut self.replaying, replaying) && !replaying;
        let is_first = self.next_report.is_none() && serving.sent.received.is_some() && !replaying;
        if became_live || is_first {
            self.next_report = Some(now);
            serving.reschedules_reports = true;
        }
    }

    /// A clock of the publisher's is known now: the report that may have waited for it is due then.
    pub(crate) fn on_first_clock(&mut self, due: Instant) {
        self.next_report = self.next_report.map(|before| before.min(due));
    }

    /// Sender reports that are due, on the viewer's own timestamp lines (RFC 3550 6.4.1).
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
        // Until the publisher's first report there is no clock to tell, and [`Viewer::on_first_clock`] says when there is;
        // sound and picture are out of step until then.
        if !self.legs.iter().any(|leg| feed.track(leg.kind).is_some_and(|track| track.clock.is_some())) {
            self.next_report = Some(now + REPORT_INTERVAL);
            return packets;
        }
        let told = |leg: &ViewerTrack| {
            let track = feed.track(leg.kind).filter(|_| leg.outbound_track.counts().packets > 0)?;
            let clock = track.clock?;
            Some((track, clock, leg.outbound_track.map_timestamp(track.epoch, LayerId::default(), clock.rtp)?))
        };
        // Another publisher has another clock: until both sound and pictures are its own, neither is told of it.
        let is_awaited = |leg: &ViewerTrack| feed.track(leg.kind).is_some() && leg.outbound_track.counts().packets > 0;
        if self.legs.iter().any(|leg| is_awaited(leg) && told(leg).is_none())
            && now < *self.reports_wait.get_or_insert(now) + REPORT_PATIENCE
        {
            return packets;
        }
        self.reports_wait = None;
        for leg in &mut self.legs {
            let Some((track, clock, rtp)) = told(leg) else { continue };
            let counts = leg.outbound_track.counts();
            let outgoing = Outgoing {
                ssrc: leg.outbound_track.ssrc(),
                clock,
                rtp,
                clock_rate: track.format.clock_rate,
                // RFC 3550 6.4.1: both counts are 32 bits that wrap.
                packets: counts.packets as u32,
                octets: counts.octets as u32,
            };
            let (report, named) = sender_report(&outgoing, &self.cname, now);
            leg.round_trip.on_sent(named, now);
            packets.push(report);
            self.next_report = Some(now + REPORT_INTERVAL);
        }
        packets
    }
}
