//! Which encoding of a publisher's video a viewer is sent, and how it goes from one to another.
//!
//! A viewer is sent the encoding that was chosen for it ([`LayerTarget`]), else the one that it has selected, else the
//! best of those that are sent now. The rule: it goes on with another one at a keyframe of that, in one RTP stream, and
//! is shown the one that it has until then. It leaves at once one that is not sent any more. To a smaller one it goes
//! by the frames since the last keyframe of that, if no keyframe comes when it is asked for, or if those frames are
//! there sooner.

use std::time::{Duration, Instant};

use super::layer_target::{LayerTarget, Leaving, NextLayer};
use super::{FollowUp, LONG_REPLAY, ViewerTrack};
use crate::forward::codec::Kind;
use crate::forward::{ANSWER_TIME, CachedFrames, FrameLimit, TrackState, catch_up_time};
use crate::session::Selection;
use crate::worker::viewing::stream_feed::{FeedTrack, StreamFeed};

/// A keyframe that has arrived so lately is begun with at once, without waiting for the next one.
const CLOSE: Duration = Duration::from_millis(300);

/// How long the rest of a frame is waited for before the encoding changes.
const FRAME_PATIENCE: Duration = Duration::from_millis(20);

impl ViewerTrack {
    /// Sets what is chosen for the viewer, until the next call; `None` leaves it to the viewer's selection. It has
    /// its effect at the next [`Self::choose_layer`]. While the encoding is not sent, it counts as none.
    pub(crate) fn set_target(&mut self, target: Option<LayerTarget>) {
        self.target = target;
    }

    /// Chooses the encoding again, because the publisher, what it sends, the target or the selection has changed.
    pub(crate) fn choose_layer(&mut self, feed: &StreamFeed, selection: Option<&Selection>, now: Instant) -> FollowUp {
        self.selected_limit = limit_of(selection.filter(|_| self.kind == Kind::Video));
        let before = self.next_layer.take();
        let Some(next) = self.wanted(feed, selection).filter(|next| next.layer != self.layer) else {
            return self.stay(feed, now);
        };
        let is_shown = self.outbound_track.state() == TrackState::Live;
        let shown = feed.layer(self.kind, self.layer).filter(|own| is_shown && own.state.is_active);
        let Some(shown) = shown else {
            self.enter(next, next.history.head(), feed);
            return FollowUp::default();
        };
        let is_larger = next.state.is_larger_than(&shown.state);
        // Of two encodings of one size neither is worth the change.
        if !self.is_target(next) && selection.is_none() && !is_larger {
            return self.stay(feed, now);
        }
        if let Some(before) = before.filter(|before| before.layer == next.layer) {
            self.next_layer = Some(before);
            return self.enter_next_layer(feed, now);
        }
        self.go_to(next, is_larger, feed, now)
    }

    /// The encoding that the viewer is to be sent: what is chosen for it while that is sent, else what it has selected.
    pub(crate) fn wanted<'a>(&self, feed: &'a StreamFeed, selection: Option<&Selection>) -> Option<&'a FeedTrack> {
        let target = self.target.and_then(|target| feed.layer(self.kind, target.layer));
        target.filter(|target| target.state.is_active).or_else(|| feed.choose(self.kind, selection))
    }

    fn is_target(&self, track: &FeedTrack) -> bool {
        self.target.is_some_and(|target| target.layer == track.layer)
    }

    /// Goes on with the encoding that is sent. If no more of it was sent because it was to be left, it begins again at a
    /// keyframe.
    fn stay(&mut self, feed: &StreamFeed, now: Instant) -> FollowUp {
        self.limit_frames();
        let own = feed.layer(self.kind, self.layer).filter(|_| self.outbound_track.lacks_keyframe());
        let Some(own) = own else { return FollowUp::default() };
        self.keyframe_wanted(own, now + ANSWER_TIME);
        FollowUp::of(own, true, false)
    }

    /// Begins to go to another encoding: at once, if that can be, else at its next keyframe.
    fn go_to(&mut self, next: &FeedTrack, is_larger: bool, feed: &StreamFeed, now: Instant) -> FollowUp {
        if self.target.is_some_and(|target| target.leaving == Leaving::Stopped) {
            self.outbound_track.on_full_path();
        }
        // One application sends all encodings, so what one answers is known of the others.
        let answers = || feed.layers(self.kind).find_map(|track| track.keyframe_responsive);
        let is_responsive = next.keyframe_responsive.or_else(answers);
        let frames = next.history.cached_frames();
        let close = frames.filter(|frames| frames.span <= CLOSE);
        if let (Some(frames), None, false) = (frames, close, is_larger) {
            let is_asked = is_responsive == Some(true) && self.replay_time(&frames) > LONG_REPLAY;
            if !is_asked && self.enter_by_replay(next, feed, now) {
                return FollowUp::of(next, is_responsive.is_none(), true);
            }
        }
        let since = close.map_or(next.history.head(), |frames| frames.position);
        let until = (!is_larger).then_some(now + ANSWER_TIME);
        self.next_layer = Some(NextLayer { layer: next.layer, since, until, arrived: None });
        self.limit_frames();
        FollowUp::of(next, close.is_none(), false)
    }

    /// True while it waits for a keyframe of another encoding: [`Self::enter_next_layer`].
    #[inline]
    pub(crate) fn has_next_layer(&self) -> bool {
        self.next_layer.is_some()
    }

    /// Goes on with the next encoding if its keyframe has arrived, or if that is not waited for any more.
    #[cold]
    pub(crate) fn enter_next_layer(&mut self, feed: &StreamFeed, now: Instant) -> FollowUp {
        let Some(next) = self.next_layer else { return FollowUp::default() };
        let Some(track) = feed.layer(self.kind, next.layer) else { return FollowUp::default() };
        let leaving = self.leaving();
        if leaving != Leaving::Whole {
            self.outbound_track.stop_resends();
        }
        if let Some(keyframe) = track.history.keyframe().filter(|keyframe| *keyframe >= next.since) {
            let arrived = next.arrived.unwrap_or(now);
            let shown = feed.layer(self.kind, self.layer);
            let is_cut = leaving != Leaving::Stopped
                && shown.is_some_and(|shown| !self.outbound_track.is_between_frames(&shown.history));
            if is_cut && now < arrived + FRAME_PATIENCE {
                self.next_layer = Some(NextLayer { arrived: Some(arrived), ..next });
                return FollowUp::default();
            }
            if self.enter_at_keyframe(track, keyframe, feed) {
                return FollowUp::default();
            }
            // The viewer cannot begin there, so the next one is waited for.
            self.next_layer = Some(NextLayer { since: track.history.head(), arrived: None, ..next });
            return FollowUp::of(track, true, false);
        }
        if next.until.is_some_and(|until| until <= now) {
            if self.enter_by_replay(track, feed, now) {
                return FollowUp::of(track, false, true);
            }
            self.next_layer = Some(NextLayer { until: Some(now + ANSWER_TIME), ..next });
        }
        FollowUp::of(track, true, false)
    }

    /// Goes on with another encoding at this keyframe of it. False, with nothing changed, if the viewer cannot begin
    /// there.
    fn enter_at_keyframe(&mut self, track: &FeedTrack, keyframe: u64, feed: &StreamFeed) -> bool {
        self.select(track);
        let begins = self.outbound_track.switch(&track.history, keyframe, &feed.clocks);
        if begins {
            self.keyframe_wanted = None;
            self.entered(track);
        } else {
            self.select_own(feed);
        }
        begins
    }

    /// Goes on with another encoding at its first keyframe from this position of its history on, although no other is
    /// sent until then.
    fn enter(&mut self, track: &FeedTrack, position: u64, feed: &StreamFeed) {
        self.forget_replays();
        self.entered(track);
        self.select(track);
        self.outbound_track.aim(track.epoch.generation(), track.layer, &feed.clocks);
        self.outbound_track.restart();
        self.outbound_track.seek(position);
    }

    /// Goes on with another encoding by the frames since its last keyframe. False, with nothing changed, if there are
    /// none, or if the last replay is too recent.
    fn enter_by_replay(&mut self, track: &FeedTrack, feed: &StreamFeed, now: Instant) -> bool {
        self.select(track);
        let rate = self.target.and_then(|target| target.rate);
        let begins = self.replay_by(track, now, |outbound_track, from| {
            outbound_track.switch_with_replay(&track.history, from, rate, &feed.clocks)
        });
        if begins {
            self.entered(track);
        } else {
            self.select_own(feed);
        }
        begins
    }

    fn entered(&mut self, track: &FeedTrack) {
        self.layer = track.layer;
        self.next_layer = None;
        self.limit_frames();
    }

    /// The format of the encoding that is sent now is the one that counts again.
    fn select_own(&mut self, feed: &StreamFeed) {
        if let Some(own) = feed.layer(self.kind, self.layer) {
            self.select(own);
        }
    }

    /// How long the viewer takes to get these frames.
    fn replay_time(&self, frames: &CachedFrames) -> Duration {
        let by_rate = |rate: u64| Duration::from_millis(frames.octets as u64 * 1000 / rate.max(1));
        let by_rate = self.target.and_then(|target| target.rate).map(by_rate);
        by_rate.unwrap_or_default().max(catch_up_time(frames))
    }

    /// How the encoding that is sent now is left.
    fn leaving(&self) -> Leaving {
        self.target.filter(|_| self.next_layer.is_some()).map_or(Leaving::Whole, |target| target.leaving)
    }

    /// Sets which frames are sent of the encoding that is sent now.
    fn limit_frames(&mut self) {
        let limit = match (self.leaving(), self.target) {
            (Leaving::Thinned, _) => FrameLimit::Reference,
            (Leaving::Stopped, _) => FrameLimit::Nothing,
            (Leaving::Whole, Some(target)) if target.layer == self.layer => target.limit,
            (Leaving::Whole, _) => FrameLimit::ALL,
        };
        self.outbound_track.limit_frames(limit.min(self.selected_limit));
    }
}

/// Which frames a viewer's selection allows.
fn limit_of(selection: Option<&Selection>) -> FrameLimit {
    selection.and_then(Selection::highest_temporal).map_or(FrameLimit::ALL, FrameLimit::Temporal)
}

#[cfg(test)]
mod tests;
