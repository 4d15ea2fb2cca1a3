//! Which encoding of the video a viewer's network carries, and the padding that finds out whether it carries a larger one.

use std::time::Instant;

use super::{Viewer, seal};
use crate::bwe::{Padding, Sent};
use crate::forward::TrackState;
use crate::forward::codec::Kind;
use crate::worker::net::batch::{Batch, Outbox};
use crate::worker::stats::sent::Volume;
use crate::worker::viewing::bandwidth::{Bandwidth, Measured};
use crate::worker::viewing::stream_feed::StreamFeed;
use crate::worker::viewing::viewer_track::{FollowUp, ViewerTrack};

/// What finds out whether anything arrives: one small packet.
const PROBE: Padding = Padding { octets: 1, packet: 100 };

impl Viewer {
    /// Begins to measure the network if the video has several encodings, and chooses one of them for what begins next.
    pub(super) fn need_bandwidth(&mut self, feed: &StreamFeed, now: Instant) {
        let is_needed = feed.layers(Kind::Video).nth(1).is_some() && !self.has_selected_audio();
        let Some(video) = self.tracks.iter().find(|track| track.kind == Kind::Video) else { return };
        match &mut self.bandwidth {
            Some(bandwidth) => bandwidth.set_needed(is_needed, now),
            None if is_needed => {
                self.bandwidth = Some(Box::new(Bandwidth::new(&video.outbound_track, self.start, now)))
            }
            None => return,
        }
        self.measure(feed, now);
        self.set_target(now);
    }

    /// Sends another encoding from here on, or none, if the network carries more or less than before.
    pub(super) fn follow_network(&mut self, feed: &StreamFeed, now: Instant) -> FollowUp {
        self.downlink.handle_timeout(now);
        let is_back = self.downlink.take_return();
        let mut has_changed = false;
        if let Some(bandwidth) = self.bandwidth.as_mut().filter(|_| !self.downlink.is_dark()) {
            if is_back {
                bandwidth.on_path_change(now);
            }
            bandwidth.handle_timeout(now);
            if bandwidth.is_measuring_due(now) {
                self.measure(feed, now);
            }
            has_changed = self.set_target(now);
        }
        if self.update_rests() {
            return if self.rests { FollowUp::default() } else { self.attach(feed, false, now) };
        }
        let mut follow_up = FollowUp::default();
        if has_changed && !self.rests {
            for video in self.tracks.iter_mut().filter(|track| track.kind == Kind::Video) {
                follow_up.add(video.choose_layer(feed, self.selection.as_deref(), now));
            }
        }
        follow_up
    }

    /// Has it served at once if its feedback changes what it is sent, else when something is due for its network.
    pub(super) fn serve_after_feedback(&mut self, now: Instant) {
        let has_changed = self.bandwidth.as_ref().is_some_and(|bandwidth| bandwidth.has_news(now));
        let due = if has_changed || self.rests || self.downlink.is_dark() { Some(now) } else { self.network_timeout() };
        self.serve_at = self.serve_at.into_iter().chain(due).min();
    }

    /// Ends the video, or lets [`Self::attach`] begin it again; false if it goes on as before.
    pub(super) fn update_rests(&mut self) -> bool {
        let carries_none = self.bandwidth.as_ref().is_some_and(|bandwidth| bandwidth.is_audio_only());
        let rests = carries_none || self.downlink.is_dark() || self.has_selected_audio();
        if std::mem::replace(&mut self.rests, rests) == rests {
            return false;
        }
        for video in self.tracks.iter_mut().filter(|track| track.kind == Kind::Video) {
            video.rest();
        }
        true
    }

    /// True if it has selected to be sent no video.
    pub(crate) fn has_selected_audio(&self) -> bool {
        self.selection.as_ref().is_some_and(|selection| selection.audio_only)
    }

    /// True while it is sent no video: its network carries no encoding, or nothing, or it has selected audio alone.
    pub(crate) fn is_audio_only(&self) -> bool {
        self.rests
    }

    /// When [`Self::follow_network`] or [`Self::end_serving`] has something to do.
    pub(super) fn network_timeout(&self) -> Option<Instant> {
        let bandwidth = self.bandwidth.as_ref().filter(|_| !self.downlink.is_dark());
        bandwidth.and_then(|bandwidth| bandwidth.poll_timeout()).into_iter().chain(self.downlink.poll_timeout()).min()
    }

    /// Gives the estimator the encodings to choose from.
    fn measure(&mut self, feed: &StreamFeed, now: Instant) {
        let Some(bandwidth) = &mut self.bandwidth else { return };
        let audio = self.tracks.iter().find(|track| track.kind == Kind::Audio);
        let has_begun = self.tracks.iter().any(|track| track.kind == Kind::Video && track.sent.packets > 0);
        bandwidth.measure(
            feed,
            Measured {
                audio: audio.map_or(0, |audio| audio.sent.bytes),
                most: feed.choose(Kind::Video, self.selection.as_deref()).map(|most| most.layer),
                most_temporal: self.selection.as_ref().and_then(|selection| selection.highest_temporal()),
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
        is_replaying: bool,
        (batch, outbox): (&mut Batch, &mut impl Outbox),
        now: Instant,
    ) -> Volume {
        let mut volume = Volume::default();
        let Some(video) = self.tracks.iter_mut().find(|track| track.kind == Kind::Video) else { return volume };
        let mut bandwidth = self.bandwidth.as_deref_mut();
        if let Some(bandwidth) = &mut bandwidth {
            bandwidth.set_replaying(is_replaying, now);
            let is_shown = !self.rests && is_shown(video);
            bandwidth.set_sending(is_shown.then_some(video.layer), now);
        }
        let probe = self.downlink.take_probe(now).then_some(PROBE);
        let is_dark = self.downlink.is_dark();
        let padding = || bandwidth.as_ref().filter(|_| !is_dark)?.padding();
        let Some(padding) = probe.or_else(padding) else { return volume };
        let histories = feed.histories(Kind::Video);
        let mut left = padding.octets;
        while left > 0 && !batch.is_blocked() {
            match &bandwidth {
                Some(bandwidth) => bandwidth.number(&mut video.outbound_track),
                // The viewer reports its arrival at once, if it has agreed to these numbers.
                None => video.outbound_track.set_transport_number(Some(self.downlink.next_number())),
            }
            let Some(written) = video.outbound_track.pad(padding.packet, &histories, batch.room()) else { break };
            let Some(len) = seal(&mut self.sealer, batch.room(), &written) else { break };
            if let Some(bandwidth) = &mut bandwidth {
                bandwidth.on_sent(Sent::Padding, (&video.outbound_track, &written), len, now);
            }
            volume.packets += 1;
            volume.bytes += len as u64;
            left = left.saturating_sub(len);
            batch.commit(len, outbox, now);
        }
        if bandwidth.is_none() {
            video.outbound_track.set_transport_number(None);
        }
        video.sent.packets += volume.packets;
        video.sent.bytes += volume.bytes;
        volume
    }
}

fn is_shown(video: &ViewerTrack) -> bool {
    video.outbound_track.state() == TrackState::Live || video.outbound_track.is_replaying()
}
