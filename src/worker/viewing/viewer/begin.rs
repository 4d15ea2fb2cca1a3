//! How a viewer's tracks begin, and begin again: with each publisher, and when the viewer cannot decode what it gets.
//!
//! The rule: they begin with a publisher that is there and heard, and with no other.

use std::time::Instant;

use super::{QUIET, Viewer};
use crate::forward::TrackState;
use crate::forward::codec::Kind;
use crate::worker::viewing::stream_feed::StreamFeed;
use crate::worker::viewing::viewer_track::Begun;

impl Viewer {
    /// Tells each outbound track what the feed's publisher sends, and lets those that wait begin. Outbound tracks that are live go on to
    /// a new publisher by themselves, at its keyframe; where that is one that it has sent already, as a standby, they
    /// begin anew. Without a publisher that is heard nothing begins: who comes then gets what the next one sends, not the
    /// last seconds of the one before.
    pub(crate) fn attach(&mut self, feed: &StreamFeed, was_standby: bool, now: Instant) -> Begun {
        let mut all = Begun::default();
        self.had_publisher |= feed.source.is_some();
        for viewer_track in &mut self.tracks {
            let Some(track) = feed.track(viewer_track.kind) else { continue };
            let Some(source) = feed.source else {
                viewer_track.wait(track);
                continue;
            };
            if viewer_track.outbound_track.select(track.epoch, &track.format, track.payload_type).is_none() {
                tracing::debug!(stream = %feed.stream, codec = ?track.format.codec, "viewer cannot decode the track");
            }
            if was_standby {
                viewer_track.outbound_track.restart();
                viewer_track.forget_replays();
            }
            if source.lost {
                viewer_track.wait(track);
            } else if viewer_track.outbound_track.state() == TrackState::Waiting {
                all.add(viewer_track.begin(track, now));
            }
        }
        all.demands |= self.tracks.iter().any(|viewer_track| viewer_track.outbound_track.wants_keyframe());
        all
    }

    /// False when the publisher sends in another codec what the viewer has had until now, and it has no payload type for
    /// that codec. Its video would freeze for ever, so its session is to end: with a new offer it
    /// gets what is there now.
    pub(crate) fn can_follow(&self, feed: &StreamFeed) -> bool {
        if feed.source.is_none() {
            return true;
        }
        self.tracks.iter().all(|viewer_track| {
            let has_begun = viewer_track.outbound_track.counts().packets > 0;
            !has_begun
                || feed
                    .track(viewer_track.kind)
                    .is_none_or(|track| viewer_track.outbound_track.takes(track.epoch, track.payload_type))
        })
    }

    /// There is no publisher any more that is heard: what has arrived is still sent, and nothing a second time.
    pub(crate) fn lose_publisher(&mut self, feed: &StreamFeed) {
        for viewer_track in &mut self.tracks {
            if let Some(track) = feed.track(viewer_track.kind) {
                viewer_track.stop_replay(track);
            }
        }
    }

    /// Does what helps a viewer that cannot decode what it gets. It is to be served now.
    pub(crate) fn refresh(&mut self, feed: &StreamFeed, now: Instant) -> Begun {
        let mut all = Begun::default();
        if feed.live().is_none() {
            return all;
        }
        for viewer_track in self.tracks.iter_mut().filter(|viewer_track| viewer_track.kind == Kind::Video) {
            if let Some(track) = feed.track(viewer_track.kind) {
                all.add(viewer_track.refresh(track, now));
            }
        }
        self.serve_at = Some(now);
        all
    }

    /// Does what helps a viewer that misses more than repair can make good. One that was not heard for a while has had no
    /// network, and needs a frame that it can decode; the path of another carries too little, and is given less.
    pub(crate) fn skip(&mut self, feed: &StreamFeed, now: Instant) -> Begun {
        if self.back.is_some_and(|back| now.saturating_duration_since(back) < QUIET) {
            return self.refresh(feed, now);
        }
        let mut all = Begun::default();
        if feed.live().is_none() {
            return all;
        }
        for viewer_track in self.tracks.iter_mut().filter(|viewer_track| viewer_track.kind == Kind::Video) {
            if let Some(track) = feed.track(viewer_track.kind) {
                all.add(viewer_track.skip(track, now));
            }
        }
        self.serve_at = Some(now);
        all
    }
}
