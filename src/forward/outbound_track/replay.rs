//! The replay: a viewer that joins between two keyframes gets the frames since the last one at once, several times
//! faster than real time, and shows them as fast, so that it is live at their end.
//!
//! Timestamps are compressed by the speed at which packets leave, and a packet leaves when the viewer's clock reaches
//! its timestamp. So the receiver gets every frame on time, has no reason to buffer more than for live video, and the
//! packets need no other pacing. The replay ends at the first frame that was due when it arrived, with the timestamp
//! that the viewer's clock shows then.

use std::time::{Duration, Instant};

use super::replay_clock::{LONGEST_STILL, Replay, speed_of, speed_within};
use super::track::{OutboundTrack, TrackState};
use super::write::carries_media;
use crate::forward::history::{CachedFrames, Get, History};
use crate::forward::packet::Packet;
use crate::forward::splice::Place;

/// A packet that would have to wait for longer has a useless timestamp, and the replay is given up.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long a replay that has reached live waits for a frame without a hole before it.
const PATIENCE: Duration = Duration::from_millis(200);

impl OutboundTrack {
    /// Begins again at the newest keyframe, which has already passed, and catches up with live from there, not before
    /// the moment `from`. False, with nothing changed, when the history has no keyframe that this viewer can decode, or
    /// the outbound track is paused.
    pub(crate) fn replay(&mut self, history: &History, from: Instant) -> bool {
        self.begin_replay(history, from, None)
    }

    /// The same within a rate in octets per second, where there is one.
    pub(super) fn begin_replay(&mut self, history: &History, from: Instant, rate: Option<u64>) -> bool {
        let Some(frames) = history.cached_frames().filter(|_| self.state != TrackState::Paused) else { return false };
        let Get::Packet(packet) = history.kept(frames.position) else { return false };
        let Some(route) = self.routes.of(packet).filter(|_| self.can_begin(packet)) else { return false };
        self.state = TrackState::Waiting;
        self.seek(frames.position);
        self.replay = Some(Box::new(Replay {
            speed: rate.map_or_else(|| speed_of(&frames), |rate| speed_within(&frames, rate)),
            rate,
            clock_rate: route.clock_rate,
            hurries: frames.still_frames.is_some(),
            keyframe: frames.position,
            from,
            now: from,
            began: None,
            due: None,
        }));
        true
    }

    /// Sets the time of a replay: packets that are due by now can be pulled.
    pub(crate) fn tick(&mut self, now: Instant) {
        if let Some(replay) = &mut self.replay {
            replay.now = now;
        }
    }

    /// True while the viewer catches up with live.
    #[inline]
    pub(crate) fn is_replaying(&self) -> bool {
        self.replay.is_some()
    }

    /// When the next packet of a replay is due, if it waits for its time.
    pub(crate) fn replay_due(&self) -> Option<Instant> {
        self.replay.as_ref()?.due
    }

    /// What is at the cursor of a replay; `None` while it is not due.
    #[cold]
    pub(crate) fn next_of_replay<'a>(&mut self, history: &'a History) -> Option<Get<'a>> {
        let under_way = self.replay.as_mut()?;
        under_way.due = None;
        let replay = **under_way;
        if replay.now < replay.from {
            under_way.due = Some(replay.from);
            return None;
        }
        let newer = |frames: CachedFrames| frames.position > replay.keyframe.max(self.cursor);
        if history.cached_frames().is_some_and(newer) && self.begin_replay(history, replay.now, replay.rate) {
            // A newer keyframe has arrived: the frames before it can be skipped.
            return Some(history.kept(self.cursor));
        }
        let got = history.kept(self.cursor);
        let Get::Packet(packet) = got else { return Some(got) };
        if replay.began.is_none() || self.cursor < self.begun || !self.follows(packet) {
            return Some(got);
        }
        let Some(place) = self.splice.place_of(packet.source(), packet.timestamp) else { return Some(got) };
        let due = replay.moment_of(place.timestamp);
        let live = self.live_gap(packet, &replay);
        if live.map_or(due <= packet.received, |gap| gap > 0) {
            self.go_live(packet, place, &replay, live);
        } else if replay.hurries && due > replay.now + LONGEST_STILL && self.hurry(packet, place, &replay) {
            return self.next_of_replay(history);
        } else if due > replay.now + LONGEST_WAIT {
            self.restart();
            self.seek(history.head());
            return Some(Get::NotYet);
        } else if due > replay.now {
            self.replay = Some(Box::new(Replay { due: Some(due), ..replay }));
            return None;
        }
        Some(got)
    }

    /// How far after the newest timestamp this packet's is on the clock that all layers share, after a change of layer.
    fn live_gap(&self, packet: &Packet, replay: &Replay) -> Option<i32> {
        let expected = replay.timestamp_at(packet.received);
        let timestamp = self.timeline.as_ref()?.timestamp_of(packet, expected, replay.clock_rate)?;
        Some(timestamp.wrapping_sub(self.splice.newest_timestamp()) as i32)
    }

    /// Ends the replay at this packet, if a frame begins with it and no packet before it is missing; after
    /// [`PATIENCE`], at any frame.
    fn go_live(&mut self, packet: &Packet, place: Place, replay: &Replay, live: Option<i32>) {
        let late = packet.received > replay.moment_of(place.timestamp) + PATIENCE;
        if !self.begins_frame(packet, place, late) {
            return;
        }
        let newest = self.splice.newest_timestamp();
        let gap = live.unwrap_or(replay.timestamp_at(packet.received).wrapping_sub(newest) as i32);
        self.splice.recompress(packet.source(), place, packet.timestamp, gap.max(1) as u32, None);
        self.replay = None;
    }

    /// Advances the clock so that a frame that would have to wait for long follows soon. False where it cannot.
    fn hurry(&mut self, packet: &Packet, place: Place, replay: &Replay) -> bool {
        if !self.begins_frame(packet, place, replay.now > packet.received + PATIENCE) {
            return false;
        }
        let (newest, soon) = (self.splice.newest_timestamp(), replay.now + LONGEST_STILL);
        let gap = (replay.timestamp_at(soon).wrapping_sub(newest) as i32).max(1) as u32;
        let timestamp = self.splice.recompress(packet.source(), place, packet.timestamp, gap, Some(replay.speed));
        if let Some(replay) = &mut self.replay {
            replay.began = Some((soon, timestamp));
        }
        true
    }

    /// Whether a frame begins with this packet, so that the timestamps can jump here: two timestamps within one frame
    /// would be two frames to the receiver. When the packet is late, holes before it are ignored.
    fn begins_frame(&self, packet: &Packet, place: Place, late: bool) -> bool {
        let is_new =
            place.timestamp.wrapping_sub(self.splice.newest_timestamp()) as i32 > 0 && self.splice.is_ahead(place);
        is_new && (late || self.splice.hole_before(place) == 0) && carries_media(packet, place)
    }
}
