//! What all viewers of a stream on this worker do when its publisher changes.

use std::time::Instant;

use super::table::Sessions;
use crate::demux::Key;
use crate::forward::LayerSet;
use crate::name::{SessionId, StreamName};
use crate::worker::timers::Timers;
use crate::worker::viewing::sender_reports::REPORT_RETRY;
use crate::worker::viewing::stream_feed::{StreamFeed, StreamFeeds};
use crate::worker::viewing::viewer_track::FollowUp;

/// What the worker has to do for viewers that follow another publisher.
#[derive(Debug, Default)]
pub(crate) struct Attached {
    /// Request a keyframe of these encodings from the publisher.
    pub(crate) needs_keyframe: LayerSet,
    /// Count this number of replays.
    pub(crate) replays: u64,
    /// Viewers that have no payload type for the publisher's codec.
    pub(crate) cannot_follow: Vec<Key>,
}

impl Sessions {
    /// Lets the viewers of a feed follow its publisher.
    pub(crate) fn attach_viewers(&mut self, feed: &StreamFeed, was_standby: bool, now: Instant) -> Attached {
        let mut attached = Attached::default();
        for key in &feed.viewers {
            let Some(viewer) = self.viewer_mut(*key) else { continue };
            let FollowUp { needs_keyframe, replay_started } = viewer.attach(feed, was_standby, now);
            attached.needs_keyframe.add(needs_keyframe);
            attached.replays += u64::from(replay_started);
            if !viewer.can_follow(feed) {
                attached.cannot_follow.push(*key);
            }
        }
        attached
    }

    /// A viewer has selected what it is to be sent, as its record says: it follows the selection at once. `None` before
    /// it is connected.
    pub(crate) fn select(
        &mut self,
        session: &SessionId,
        feeds: &StreamFeeds,
        now: Instant,
    ) -> Option<(StreamName, Attached)> {
        let session = self.key(session).and_then(|key| self.session_mut(key))?;
        let selection = session.record.selection();
        let viewer = session.state.viewer_mut()?;
        viewer.select(selection);
        let FollowUp { needs_keyframe, replay_started } = viewer.attach(feeds.get(&session.stream)?, false, now);
        let attached = Attached { needs_keyframe, replays: u64::from(replay_started), cannot_follow: Vec::new() };
        Some((session.stream.clone(), attached))
    }

    /// Ends replays of a publisher that is lost or has left.
    pub(crate) fn stop_replays(&mut self, feed: &StreamFeed) {
        for key in &feed.viewers {
            if let Some(viewer) = self.viewer_mut(*key) {
                viewer.lose_publisher(feed);
            }
        }
    }

    /// Schedules the sender reports that waited for the publisher's first one, spread over [`REPORT_RETRY`].
    pub(crate) fn schedule_first_reports(&mut self, feed: &StreamFeed, timers: &mut Timers, now: Instant) {
        let step = REPORT_RETRY / u32::try_from(feed.viewers.len()).unwrap_or(u32::MAX).max(1);
        for (place, key) in (0..).zip(&feed.viewers) {
            let Some(viewer) = self.viewer_mut(*key) else { continue };
            viewer.on_first_clock(now + step * place);
            timers.set(*key, self.poll_timeout(*key));
        }
    }
}
