//! How a viewer's tracks begin, and begin again: with each publisher, and when the viewer cannot decode what it gets.
//!
//! The rule: they begin only with a publisher that is connected and not lost.

use std::time::Instant;

use super::{QUIET, Viewer};
use crate::forward::LayerSet;
use crate::forward::codec::Kind;
use crate::session::Selection;
use crate::worker::viewing::stream_feed::StreamFeed;
use crate::worker::viewing::viewer_track::{FollowUp, ViewerTrack};

impl Viewer {
    /// Takes what the viewer has selected: [`Self::attach`] follows it.
    pub(crate) fn select(&mut self, selection: Selection) {
        self.selection = (!selection.is_unrestricted()).then(|| Box::new(selection));
        self.update_rests();
    }

    /// Gives each outbound track the format of the feed's publisher, and lets those that wait begin. Live outbound
    /// tracks switch to a new publisher by themselves, at its keyframe. If the publisher was a standby, that keyframe
    /// may have arrived already, so they begin again. While there is no publisher, or it is lost, nothing begins:
    /// viewers that join then get what the next publisher sends, not the last seconds of the one before.
    pub(crate) fn attach(&mut self, feed: &StreamFeed, was_standby: bool, now: Instant) -> FollowUp {
        let mut all = FollowUp::default();
        self.had_publisher |= feed.source.is_some();
        self.need_bandwidth(feed, now);
        let rests = self.rests;
        let is_sent = |viewer_track: &&mut ViewerTrack| !rests || viewer_track.kind == Kind::Audio;
        for viewer_track in self.tracks.iter_mut().filter(is_sent) {
            all.add(viewer_track.choose_layer(feed, self.selection.as_deref(), now));
            let Some(track) = feed.layer(viewer_track.kind, viewer_track.layer) else { continue };
            let Some(source) = feed.source else {
                viewer_track.wait(track);
                continue;
            };
            if viewer_track.select(track).is_none() {
                tracing::debug!(stream = %feed.stream, codec = ?track.format.codec, "viewer cannot decode the track");
            }
            if was_standby {
                viewer_track.outbound_track.restart();
                viewer_track.forget_replays();
            }
            if source.lost {
                viewer_track.wait(track);
            } else if !viewer_track.has_begun(track) {
                all.add(viewer_track.begin(track, now));
            }
        }
        if let Some(bandwidth) = &mut self.bandwidth {
            // Before it is served: nothing else is to be chosen until the replay is done.
            bandwidth.set_replaying(self.tracks.iter().any(|track| track.outbound_track.is_replaying()), now);
        }
        for viewer_track in self.tracks.iter_mut().filter(is_sent) {
            all.needs_keyframe.add(LayerSet::of(viewer_track.layer, viewer_track.outbound_track.wants_keyframe()));
        }
        all
    }

    /// False when a track that the viewer has received continues in a codec for which it negotiated no payload type.
    /// Its video would stay frozen, so its session must end: a new offer negotiates the new codec.
    pub(crate) fn can_follow(&self, feed: &StreamFeed) -> bool {
        if feed.source.is_none() {
            return true;
        }
        self.tracks.iter().all(|viewer_track| {
            let has_begun = viewer_track.outbound_track.counts().packets > 0;
            !has_begun
                || feed
                    .layer(viewer_track.kind, viewer_track.layer)
                    .is_none_or(|track| viewer_track.outbound_track.takes(track.epoch.generation(), track.payload_type))
        })
    }

    /// The publisher has left or is lost: packets that have arrived are still sent, but replays end.
    pub(crate) fn lose_publisher(&mut self, feed: &StreamFeed) {
        for viewer_track in &mut self.tracks {
            if let Some(track) = feed.layer(viewer_track.kind, viewer_track.layer) {
                viewer_track.stop_replay(track);
            }
        }
    }

    /// Helps a viewer that cannot decode what it gets, which is then served at once.
    pub(crate) fn refresh(&mut self, feed: &StreamFeed, now: Instant) -> FollowUp {
        self.serve_at = Some(now);
        let mut all = FollowUp::default();
        if feed.live().is_none() || self.rests {
            return all;
        }
        for viewer_track in self.tracks.iter_mut().filter(|viewer_track| viewer_track.kind == Kind::Video) {
            if let Some(track) = feed.layer(viewer_track.kind, viewer_track.layer) {
                all.add(viewer_track.refresh(track, now));
            }
        }
        all
    }

    /// Helps a viewer that loses more than resends can repair. If it was silent before, it had no network and needs a
    /// frame that it can decode. Otherwise its path carries too little, so it is sent less.
    pub(crate) fn skip(&mut self, feed: &StreamFeed, now: Instant) -> FollowUp {
        if self.back.is_some_and(|back| now.saturating_duration_since(back) < QUIET) {
            return self.refresh(feed, now);
        }
        self.serve_at = Some(now);
        let mut all = FollowUp::default();
        if feed.live().is_none() || self.rests {
            return all;
        }
        for viewer_track in self.tracks.iter_mut().filter(|viewer_track| viewer_track.kind == Kind::Video) {
            if let Some(track) = feed.layer(viewer_track.kind, viewer_track.layer) {
                all.add(viewer_track.skip(track, now));
            }
        }
        all
    }
}
