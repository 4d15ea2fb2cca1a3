//! The way from the last keyframe to live: a viewer that comes between two keyframes gets what was sent since the last one
//! at once, several times as fast as it was made, and sees it played as fast, so that it is live when it gets there.
//!
//! Timestamps are squeezed by the speed at which packets leave, and a packet leaves when the viewer's clock has come to its
//! timestamp. So the receiver finds every picture on time and has no reason to buffer more than for live, and the line
//! needs no other pace. Live begins at the first picture that was due when it arrived, with the timestamp that the
//! viewer's clock shows then.

use std::time::{Duration, Instant};

use super::replay_clock::{LONGEST_STILL, Replay, speed_of};
use super::track::{OutboundTrack, TrackState};
use super::write::carries_media;
use crate::forward::history::{Get, History, Pictures};
use crate::forward::packet::Packet;
use crate::forward::rtp_header::HEADER_LEN;
use crate::forward::splice::Place;

/// A packet that would have to wait for longer than this has a timestamp that tells no time: the replay is given up.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long a replay that has come to live waits for a picture with nothing missing before it.
const PATIENCE: Duration = Duration::from_millis(200);

impl OutboundTrack {
    /// Begins again at the newest keyframe, which has been, and catches up with live from there; not before the moment
    /// `from`. False, with nothing changed, when the history has no keyframe that this viewer can decode, or the outbound track is
    /// paused.
    pub fn replay(&mut self, history: &History, from: Instant) -> bool {
        let Some(pictures) = history.pictures().filter(|_| self.leg != TrackState::Paused) else { return false };
        let Get::Packet(packet) = history.kept(pictures.position) else { return false };
        let fits = HEADER_LEN + packet.payload.len() <= self.max_size && !packet.payload.is_empty();
        let newest = self.splice.line().is_none_or(|(epoch, _)| packet.epoch >= epoch);
        let Some(route) = self.routes.of(packet).filter(|_| fits && newest) else { return false };
        self.leg = TrackState::Waiting;
        self.seek(pictures.position);
        self.replay = Some(Box::new(Replay {
            speed: speed_of(&pictures),
            clock_rate: route.clock_rate,
            hurries: pictures.few.is_some(),
            keyframe: pictures.position,
            from,
            now: from,
            began: None,
            due: None,
        }));
        true
    }

    /// Tells a replay the time: what is due by now can be pulled.
    pub fn tick(&mut self, now: Instant) {
        if let Some(replay) = &mut self.replay {
            replay.now = now;
        }
    }

    /// True on the way from a keyframe that has been to live.
    #[inline]
    pub fn is_replaying(&self) -> bool {
        self.replay.is_some()
    }

    /// When a replay's next packet is due, if it waits for its time.
    pub fn replay_due(&self) -> Option<Instant> {
        self.replay.as_ref()?.due
    }

    /// What stands at the cursor of a replay; `None` while it is not due.
    #[cold]
    pub(crate) fn next_of_replay<'a>(&mut self, history: &'a History) -> Option<Get<'a>> {
        let under_way = self.replay.as_mut()?;
        under_way.due = None;
        let replay = **under_way;
        if replay.now < replay.from {
            under_way.due = Some(replay.from);
            return None;
        }
        let newer = |pictures: Pictures| pictures.position > replay.keyframe.max(self.cursor);
        if history.pictures().is_some_and(newer) && self.replay(history, replay.now) {
            // Another keyframe came meanwhile: what lies before it need not be shown.
            return Some(history.kept(self.cursor));
        }
        let got = history.kept(self.cursor);
        let Get::Packet(packet) = got else { return Some(got) };
        if replay.began.is_none() || self.cursor < self.begun || !self.follows(packet) {
            return Some(got);
        }
        let Some(place) = self.splice.place_of(packet.source(), packet.timestamp) else { return Some(got) };
        let due = replay.moment_of(place.timestamp);
        if due <= packet.received {
            self.go_live(packet, place, &replay);
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

    /// Ends the replay with this packet, if a picture begins with it and nothing before it is missing. After [`PATIENCE`] with
    /// holes, at any picture.
    fn go_live(&mut self, packet: &Packet, place: Place, replay: &Replay) {
        let late = packet.received > replay.moment_of(place.timestamp) + PATIENCE;
        if !self.begins_picture(packet, place, late) {
            return;
        }
        let newest = self.splice.newest_timestamp();
        let gap = replay.timestamp_at(packet.received).wrapping_sub(newest) as i32;
        self.splice.resqueeze(packet.source(), place, packet.timestamp, gap.max(1) as u32, None);
        self.replay = None;
    }

    /// Lets a picture follow soon that would have to wait for long. False where it cannot.
    fn hurry(&mut self, packet: &Packet, place: Place, replay: &Replay) -> bool {
        if !self.begins_picture(packet, place, replay.now > packet.received + PATIENCE) {
            return false;
        }
        let (newest, soon) = (self.splice.newest_timestamp(), replay.now + LONGEST_STILL);
        let gap = (replay.timestamp_at(soon).wrapping_sub(newest) as i32).max(1) as u32;
        let timestamp = self.splice.resqueeze(packet.source(), place, packet.timestamp, gap, Some(replay.speed));
        if let Some(replay) = &mut self.replay {
            replay.began = Some((soon, timestamp));
        }
        true
    }

    /// Whether a picture begins with this packet that nothing before keeps from having another clock: two timestamps in one
    /// picture would be two pictures to the receiver. When it is late, holes before it are not waited for.
    fn begins_picture(&self, packet: &Packet, place: Place, late: bool) -> bool {
        let is_new =
            place.timestamp.wrapping_sub(self.splice.newest_timestamp()) as i32 > 0 && self.splice.is_ahead(place);
        is_new && (late || self.splice.hole_before(place) == 0) && carries_media(packet, place)
    }
}
