//! Which encoding of the video a viewer's network carries, and the padding that finds out whether it carries a larger one.

use std::time::Instant;

use super::{Viewer, seal};
use crate::bwe::Sent;
use crate::forward::TrackState;
use crate::forward::codec::Kind;
use crate::worker::net::batch::{Batch, Outbox};
use crate::worker::stats::sent::Volume;
use crate::worker::viewing::bandwidth::{Bandwidth, Measured};
use crate::worker::viewing::stream_feed::StreamFeed;
use crate::worker::viewing::viewer_track::{FollowUp, ViewerTrack};

impl Viewer {
    /// Begins to measure the network if the video has several encodings, and chooses one of them for what begins next.
    pub(super) fn need_bandwidth(&mut self, feed: &StreamFeed, now: Instant) {
        let is_needed = feed.layers(Kind::Video).nth(1).is_some();
        let Some(video) = self.tracks.iter().find(|track| track.kind == Kind::Video) else { return };
        match &mut self.bandwidth {
            Some(bandwidth) => bandwidth.set_needed(is_needed),
            None if is_needed => {
                self.bandwidth = Some(Box::new(Bandwidth::new(&video.outbound_track, self.start, now)))
            }
            None => return,
        }
        self.measure(feed, now);
        self.set_target(now);
    }

    /// Sends another encoding from here on if the network carries more or less than before.
    pub(super) fn follow_bandwidth(&mut self, feed: &StreamFeed, now: Instant) -> FollowUp {
        let Some(bandwidth) = &mut self.bandwidth else { return FollowUp::default() };
        bandwidth.handle_timeout(now);
        if bandwidth.is_measuring_due(now) {
            self.measure(feed, now);
        }
        let was_audio_only = self.is_audio_only();
        if !self.set_target(now) {
            return FollowUp::default();
        }
        let is_audio_only = self.is_audio_only();
        if is_audio_only != was_audio_only {
            for video in self.tracks.iter_mut().filter(|track| track.kind == Kind::Video) {
                video.rest();
            }
        }
        match (was_audio_only, is_audio_only) {
            (_, true) => FollowUp::default(),
            (true, false) => self.attach(feed, false, now),
            (false, false) => {
                let mut follow_up = FollowUp::default();
                for video in self.tracks.iter_mut().filter(|track| track.kind == Kind::Video) {
                    follow_up.add(video.choose_layer(feed, self.selection.as_deref(), now));
                }
                follow_up
            }
        }
    }

    /// True while the network carries no encoding of the video.
    pub(crate) fn is_audio_only(&self) -> bool {
        self.bandwidth.as_ref().is_some_and(|bandwidth| bandwidth.is_audio_only())
    }

    /// Tells the estimator what there is to choose from.
    fn measure(&mut self, feed: &StreamFeed, now: Instant) {
        let Some(bandwidth) = &mut self.bandwidth else { return };
        let audio = self.tracks.iter().find(|track| track.kind == Kind::Audio);
        let has_begun = self.tracks.iter().any(|track| track.kind == Kind::Video && track.sent.packets > 0);
        bandwidth.measure(
            feed,
            Measured {
                audio: audio.map_or(0, |audio| audio.sent.bytes),
                most: feed.choose(Kind::Video, self.selection.as_deref()).map(|most| most.layer),
                has_begun,
            },
            now,
        );
    }

    /// Sets what the network carries as the target of the video; false if it is as before.
    fn set_target(&mut self, now: Instant) -> bool {
        let Some(change) = self.bandwidth.as_mut().and_then(|bandwidth| bandwidth.take_change(now)) else {
            return false;
        };
        for video in self.tracks.iter_mut().filter(|track| track.kind == Kind::Video) {
            video.set_target(change.target);
        }
        true
    }

    /// Notes what is sent now, and sends the padding that is due.
    pub(super) fn end_serving(
        &mut self,
        feed: &StreamFeed,
        batch: &mut Batch,
        outbox: &mut impl Outbox,
        now: Instant,
    ) -> Volume {
        let mut volume = Volume::default();
        let is_audio_only = self.is_audio_only();
        let Some(bandwidth) = self.bandwidth.as_deref_mut() else { return volume };
        let Some(video) = self.tracks.iter_mut().find(|track| track.kind == Kind::Video) else { return volume };
        let is_shown = !is_audio_only && is_shown(video);
        bandwidth.set_sending(is_shown.then_some(video.layer), now);
        let Some(padding) = bandwidth.padding() else { return volume };
        let mut left = padding.octets;
        while left > 0 && !batch.is_blocked() {
            let histories = feed.histories(Kind::Video);
            bandwidth.number(&mut video.outbound_track);
            let Some(written) = video.outbound_track.pad(padding.packet, &histories, batch.room()) else { break };
            let Some(len) = seal(&mut self.sealer, batch.room(), &written) else { break };
            bandwidth.on_sent(Sent::Padding, (&video.outbound_track, &written), len, now);
            volume.packets += 1;
            volume.bytes += len as u64;
            left = left.saturating_sub(len);
            batch.commit(len, outbox, now);
        }
        video.sent.packets += volume.packets;
        video.sent.bytes += volume.bytes;
        volume
    }
}

fn is_shown(video: &ViewerTrack) -> bool {
    video.outbound_track.state() == TrackState::Live || video.outbound_track.is_replaying()
}
