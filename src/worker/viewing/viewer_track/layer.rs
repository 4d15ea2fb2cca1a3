//! Which encoding of a publisher's video a viewer is sent: the best of those that are sent now, or the one that the
//! viewer has selected.
//!
//! The rule: a viewer that is shown an encoding goes to another one at a keyframe of that, and is shown the present one
//! until then. It leaves one at once that is not sent any more.

use std::time::Duration;

use super::{FollowUp, NextLayer, ViewerTrack};
use crate::forward::{CachedFrames, TrackState};
use crate::session::Selection;
use crate::worker::viewing::stream_feed::{FeedTrack, StreamFeed};

/// A keyframe that has arrived so lately is begun with at once, without waiting for the next one.
const CLOSE: Duration = Duration::from_millis(300);

impl ViewerTrack {
    /// Chooses the encoding again, because the publisher or what it sends has changed.
    pub(crate) fn choose_layer(&mut self, feed: &StreamFeed, selection: Option<&Selection>) -> FollowUp {
        let before = self.next_layer.take();
        let Some(best) = feed.choose(self.kind, selection).filter(|best| best.layer != self.layer) else {
            return FollowUp::default();
        };
        let is_shown = self.outbound_track.state() == TrackState::Live;
        let shown = feed.layer(self.kind, self.layer).filter(|own| is_shown && own.state.is_active);
        let Some(shown) = shown else {
            self.enter(best, best.history.head());
            return FollowUp::default();
        };
        // Of two encodings with frames of one size neither is worth the change.
        if selection.is_none() && best.state.pixels() <= shown.state.pixels() {
            return FollowUp::default();
        }
        let close = best.history.cached_frames().filter(|CachedFrames { span, .. }| *span <= CLOSE);
        let since = match (before.filter(|next| next.layer == best.layer), close) {
            (Some(next), _) => next.since,
            (None, Some(CachedFrames { position, .. })) => position,
            (None, None) => best.history.head(),
        };
        self.next_layer = Some(NextLayer { layer: best.layer, since });
        FollowUp::of(best, close.is_none(), false)
    }

    /// True while it waits for a keyframe of another encoding: [`Self::enter_next_layer`].
    #[inline]
    pub(crate) fn has_next_layer(&self) -> bool {
        self.next_layer.is_some()
    }

    /// Goes on with the next encoding if its keyframe has arrived.
    #[cold]
    pub(crate) fn enter_next_layer(&mut self, feed: &StreamFeed) -> FollowUp {
        let Some(next) = self.next_layer else { return FollowUp::default() };
        let Some(track) = feed.layer(self.kind, next.layer) else { return FollowUp::default() };
        let keyframe = track.history.keyframe().filter(|keyframe| *keyframe >= next.since);
        if let Some(keyframe) = keyframe {
            self.enter(track, keyframe);
        }
        FollowUp::of(track, keyframe.is_none(), false)
    }

    /// Reads another encoding's history from this position on.
    fn enter(&mut self, track: &FeedTrack, position: u64) {
        self.layer = track.layer;
        self.next_layer = None;
        self.forget_replays();
        self.outbound_track.restart();
        self.outbound_track.seek(position);
        self.outbound_track.select(track.epoch.generation(), &track.format, track.payload_type);
    }
}
