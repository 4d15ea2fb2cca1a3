//! One outbound track of a viewer, and how its video begins: with the cached frames, or at a requested keyframe.
//!
//! When a replay of the cached frames would take long, a publisher that answers keyframe requests is asked for a
//! keyframe instead and has 500 ms to send it. If the publisher ignores requests, or it is not known yet whether it
//! answers them, the viewer gets the frames since the last keyframe. The rules: replays to a viewer that has received
//! video cost no more than live video, so after a replay the next one waits for as long as the replayed frames lasted;
//! and a viewer that has everything is not sent it again only because no new frames arrive. Browsers request a keyframe
//! after 3 s without a frame, which is no sign of loss: the request goes to the publisher, and nothing is replayed.

mod layer;
pub(crate) mod layer_target;

use std::time::{Duration, Instant};

use self::layer_target::{LayerTarget, NextLayer};
use super::stream_feed::{FeedTrack, StreamFeed};
use crate::forward::codec::Kind;
use crate::forward::{
    ANSWER_TIME, CachedFrames, Counts, DelayRamp, Epoch, FrameLimit, Get, LayerId, LayerSet, OutboundTrack,
    PlayoutDelay, TrackState, catch_up_time,
};
use crate::label::Label as _;
use crate::reason::SwitchReason;
use crate::rtcp::RoundTrip;
use crate::session::Switches;
use crate::worker::stats::meter::Meter;
use crate::worker::stats::sent::{Served, Volume};

/// A replay that takes longer than this to reach live is worse than waiting for a requested keyframe.
const LONG_REPLAY: Duration = Duration::from_millis(150);

/// The minimum time between two replays.
const REPLAY_INTERVAL: Duration = Duration::from_secs(1);

/// The maximum time between two replays of a few still frames, however long each of them was shown.
const FEW_INTERVAL: Duration = Duration::from_secs(5);

/// Packets of a replay sent before other viewers are served.
const REPLAY_BURST: u64 = 64;

/// How long a viewer that loses too much waits for a keyframe.
const SKIP_TIME: Duration = Duration::from_secs(1);

/// A viewer's TCP connection is too slow for the video if the next packet is older than this.
const LATE_BY_TCP: Duration = Duration::from_millis(500);

/// How long after its connection a viewer is sent its first frame: some clients lose packets that follow the handshake
/// at once.
const READY: Duration = Duration::from_millis(10);

/// The round trip assumed until the viewer's reports give one.
const UNKNOWN_RTT: Duration = Duration::from_millis(50);

/// How long a repair takes beyond the round trip: browsers check for missing packets every 20 ms.
const REPAIR: Duration = Duration::from_millis(40);

/// A keyframe request that arrives within this time and a round trip after a replay was sent before the replay arrived.
const UNSEEN: Duration = Duration::from_millis(100);

/// One outbound track and its place in the history that it reads.
pub(crate) struct ViewerTrack {
    pub(crate) kind: Kind,
    /// The encoding that it is sent, whose history it reads.
    pub(crate) layer: LayerId,
    /// What is chosen for the viewer, if anything is.
    target: Option<LayerTarget>,
    /// Which frames the viewer has selected.
    selected_limit: FrameLimit,
    /// The encoding that it goes on with at a keyframe.
    next_layer: Option<NextLayer>,
    /// The publisher and the encoding that it was sent when it was served last.
    shown: Option<(u64, LayerId)>,
    /// How often it was sent another encoding of the same publisher, once it was.
    pub(crate) switches: Option<Box<Switches>>,
    pub(crate) outbound_track: OutboundTrack,
    /// The outbound track's counts that the worker has taken over.
    counted: Counts,
    /// What has been sent, resends included.
    pub(crate) sent: Volume,
    pub(crate) meter: Meter,
    /// The viewer's newest report about its reception.
    pub(crate) heard: Option<ReceptionReport>,
    pub(crate) round_trip: RoundTrip,
    /// The viewer's round-trip time.
    rtt: Option<Duration>,
    playout_delay: PlayoutDelay,
    ramp: DelayRamp,
    /// The viewer has a playout delay, or will have one.
    delays_playout: bool,
    keyframe_wanted: Option<KeyframeWanted>,
    /// When a replay last sent packets.
    replayed: Option<Instant>,
    next_replay: Option<Instant>,
    /// Of what the last replay was.
    replay_of: Option<Epoch>,
}

/// How a viewer receives, as its receiver reports say (RFC 3550 6.4.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceptionReport {
    /// Packets that it did not receive.
    pub(crate) lost: u64,
    /// In ticks of the codec.
    pub(crate) jitter: u32,
}

impl ReceptionReport {
    /// How unevenly packets arrive, on this clock.
    pub(crate) fn jitter(&self, clock_rate: u32) -> Duration {
        Duration::from_secs(1).mul_f64(f64::from(self.jitter) / f64::from(clock_rate.max(1)))
    }
}

/// The track waits for a keyframe.
#[derive(Clone, Copy, Debug)]
struct KeyframeWanted {
    /// A keyframe at this position of the history or later ends the wait.
    since: u64,
    /// When the track stops waiting and a replay begins.
    until: Instant,
}

/// What the worker has to do for a track after one of its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FollowUp {
    /// Request a keyframe of these encodings from the publisher.
    pub(crate) needs_keyframe: LayerSet,
    /// Count a replay, which has begun.
    pub(crate) replay_started: bool,
}

impl FollowUp {
    /// Adds what another track needs.
    pub(crate) fn add(&mut self, other: Self) {
        self.needs_keyframe.add(other.needs_keyframe);
        self.replay_started |= other.replay_started;
    }

    fn of(track: &FeedTrack, needs_keyframe: bool, replay_started: bool) -> Self {
        Self { needs_keyframe: LayerSet::of(track.layer, needs_keyframe), replay_started }
    }
}

impl ViewerTrack {
    /// A track that has sent nothing yet.
    pub(crate) fn new(kind: Kind, outbound_track: OutboundTrack) -> Self {
        Self {
            kind,
            layer: LayerId::default(),
            target: None,
            selected_limit: FrameLimit::ALL,
            next_layer: None,
            shown: None,
            switches: None,
            outbound_track,
            counted: Counts::default(),
            sent: Volume::default(),
            meter: Meter::default(),
            heard: None,
            round_trip: RoundTrip::default(),
            rtt: None,
            playout_delay: PlayoutDelay::default(),
            ramp: DelayRamp::default(),
            delays_playout: false,
            keyframe_wanted: None,
            replayed: None,
            next_replay: None,
            replay_of: None,
        }
    }

    /// Counts a change of the encoding since the last call, and says why it is; `None` without one, or when the
    /// publisher has changed.
    pub(crate) fn take_switch(&mut self, feed: &StreamFeed, is_selected: bool) -> Option<SwitchReason> {
        let now = feed.source.map(|source| (source.publisher, self.layer));
        let before = std::mem::replace(&mut self.shown, now).filter(|before| Some(*before) != now)?;
        if now?.0 != before.0 || self.outbound_track.counts().packets == 0 {
            return None;
        }
        let is_left = feed.layer(self.kind, before.1).is_some_and(|left| left.state.is_active);
        let reason = match self.target {
            _ if !is_left => SwitchReason::Inactive,
            Some(target) if target.layer == self.layer => target.reason,
            Some(_) | None if is_selected => SwitchReason::Selected,
            Some(_) | None => SwitchReason::Chosen,
        };
        self.switches.get_or_insert_default()[reason.position()] += 1;
        Some(reason)
    }

    /// Counts what has become of its packets since the last call; `has_sent` if one was sent.
    #[inline]
    pub(crate) fn take_counts(&mut self, track: &FeedTrack, has_sent: bool, served: &mut Served) {
        if self.outbound_track.counts().left_out() != self.counted.left_out() {
            self.take_left_out(served);
        }
        // Replayed packets are old by intent, so they do not count for the delay.
        if !has_sent || self.outbound_track.is_replaying() {
            return;
        }
        if let Some(position) = track.history.head().checked_sub(1)
            && let Get::Packet(newest) = track.history.get(position)
        {
            served.received = Some(served.received.map_or(newest.received, |other| other.min(newest.received)));
        }
    }

    #[cold]
    fn take_left_out(&mut self, served: &mut Served) {
        let counts = *self.outbound_track.counts();
        let since = std::mem::replace(&mut self.counted, counts);
        served.oversized += counts.oversized - since.oversized;
        served.too_old += counts.late - since.late + counts.fell_behind - since.fell_behind;
        served.codec += counts.undecodable - since.undecodable;
        served.skipped += counts.passed_by - since.passed_by;
    }

    /// Sends nothing until it begins again: what was sent is not resent any more.
    pub(crate) fn rest(&mut self) {
        self.next_layer = None;
        self.forget_replays();
        self.outbound_track.restart();
        self.outbound_track.stop_resends();
    }

    /// Gives the outbound track the format of a track of the feed. Returns the viewer's payload type for it, or `None`
    /// if the viewer cannot decode it.
    pub(crate) fn select(&mut self, track: &FeedTrack) -> Option<u8> {
        self.outbound_track.select(track.epoch.generation(), &track.format, track.payload_type)
    }

    /// Lets an outbound track that waits begin: audio at the live end, video with the cached frames or at a keyframe.
    pub(crate) fn begin(&mut self, track: &FeedTrack, now: Instant) -> FollowUp {
        if self.kind == Kind::Audio {
            self.outbound_track.seek(track.history.head());
            return FollowUp::default();
        }
        let cached = track.history.cached_frames();
        let is_long = cached.is_some_and(|frames| catch_up_time(&frames) > LONG_REPLAY);
        let asks = is_long && track.keyframe_responsive == Some(true);
        if !asks && self.replay(track, now) {
            return FollowUp::of(track, is_long && track.keyframe_responsive.is_none(), true);
        }
        self.outbound_track.seek(track.history.head());
        if cached.is_some() {
            self.keyframe_wanted(track, self.next_replay.filter(|_| !asks).unwrap_or(now).max(now + ANSWER_TIME));
        }
        FollowUp::of(track, self.outbound_track.wants_keyframe(), false)
    }

    /// True if it has begun with what this track sends, although it may not have sent anything of it yet.
    pub(crate) fn has_begun(&self, track: &FeedTrack) -> bool {
        match self.outbound_track.state() {
            TrackState::Waiting => self.outbound_track.is_replaying() && self.replay_of == Some(track.epoch),
            TrackState::Live | TrackState::Paused => true,
        }
    }

    /// Lets an outbound track that has sent nothing wait for the next packets, while there is no publisher.
    pub(crate) fn wait(&mut self, track: &FeedTrack) {
        if self.outbound_track.state() == TrackState::Waiting {
            self.outbound_track.seek(track.history.head());
        }
    }

    /// The viewer's round-trip time, as far as it is known.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Lets the next replay begin at once: the last one was of another publisher, or before a long pause.
    pub(crate) fn forget_replays(&mut self) {
        self.next_replay = None;
        self.keyframe_wanted = None;
    }

    /// The publisher has left or is lost: a running replay ends, so the viewer gets no old frames.
    pub(crate) fn stop_replay(&mut self, track: &FeedTrack) {
        self.keyframe_wanted = None;
        if self.outbound_track.is_replaying() {
            self.outbound_track.restart();
            self.outbound_track.seek(track.history.head());
        }
    }

    /// The viewer's round-trip time, measured.
    pub(crate) fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = Some(rtt);
        self.outbound_track.set_rtt(rtt);
    }

    /// The viewer sent a NACK for this number of packets. Ignored during a replay, which repeats the publisher's
    /// reordering and says nothing about the viewer's path.
    pub(crate) fn on_losses(&mut self, packets: u64, now: Instant) {
        if self.is_unseen(now) {
            return;
        }
        self.playout_delay.on_losses(packets, self.rtt.unwrap_or(UNKNOWN_RTT) + REPAIR, now);
        self.delays_playout = true;
    }

    /// Signals a playout delay that gives repairs between relay and viewer time to arrive. Packets come here after the
    /// repair delay between publisher and relay.
    #[inline]
    pub(crate) fn update_playout_delay(&mut self, now: Instant) {
        if self.delays_playout {
            self.set_playout_delay(now);
        }
    }

    #[cold]
    fn set_playout_delay(&mut self, now: Instant) {
        let least = self.playout_delay.need(now);
        let shown = self.outbound_track.counts().packets > 0;
        let delay = if shown { self.ramp.toward(least, now) } else { self.ramp.begin(least, now) };
        self.outbound_track.set_playout_delay(delay);
        self.delays_playout = !delay.is_zero();
    }

    /// The viewer has requested a keyframe: it cannot decode what it gets.
    pub(crate) fn refresh(&mut self, track: &FeedTrack, now: Instant) -> FollowUp {
        if self.is_unseen(now) {
            return FollowUp::default();
        }
        if self.outbound_track.state() != TrackState::Live || self.keyframe_wanted.is_some() {
            return FollowUp::of(track, true, false);
        }
        if track.is_still(now) {
            return FollowUp::of(track, true, false);
        }
        if track.keyframe_responsive == Some(true) {
            self.keyframe_wanted(track, now + ANSWER_TIME);
            return FollowUp::of(track, true, false);
        }
        if self.replay(track, now) {
            return FollowUp::of(track, track.keyframe_responsive.is_none(), true);
        }
        self.keyframe_wanted(track, self.next_replay.unwrap_or(now).max(now + ANSWER_TIME));
        FollowUp::of(track, true, false)
    }

    /// Repair cannot keep up with the viewer's losses: frames are left out until the next keyframe. The wait for it is
    /// longer than for other keyframe requests, because a replay would load the viewer's path even more.
    pub(crate) fn skip(&mut self, track: &FeedTrack, now: Instant) -> FollowUp {
        if self.outbound_track.is_replaying() || self.outbound_track.state() != TrackState::Live {
            return FollowUp::default();
        }
        self.outbound_track.skip();
        self.keyframe_wanted(track, self.next_replay.unwrap_or(now).max(now + SKIP_TIME));
        FollowUp::of(track, true, false)
    }

    /// Leaves out what waited too long for room on the viewer's TCP connection, up to the next keyframe.
    pub(crate) fn leave_out_late(&mut self, track: &FeedTrack, now: Instant) -> FollowUp {
        let next = track.history.head().saturating_sub(self.outbound_track.behind(&track.history));
        let is_late = match track.history.get(next) {
            Get::Packet(packet) => now.saturating_duration_since(packet.received) > LATE_BY_TCP,
            Get::TooOld => true,
            Get::NotYet => false,
        };
        if is_late { self.skip(track, now) } else { FollowUp::default() }
    }

    /// Does what is due before the viewer is served. Returns how many packets may be sent to it now.
    pub(crate) fn tick(&mut self, track: &FeedTrack, now: Instant) -> (u64, FollowUp) {
        let mut follow_up = FollowUp::default();
        if let Some(keyframe_wanted) = self.keyframe_wanted {
            if track.history.keyframe() >= Some(keyframe_wanted.since) {
                self.keyframe_wanted = None;
            } else if keyframe_wanted.until <= now {
                self.keyframe_wanted = None;
                let misses_nothing = self.outbound_track.state() == TrackState::Live && track.is_still(now);
                follow_up.replay_started = !misses_nothing && self.replay(track, now);
            }
        }
        self.outbound_track.tick(now);
        if self.outbound_track.is_replaying() {
            self.replayed = Some(now);
            return (REPLAY_BURST, follow_up);
        }
        (u64::MAX, follow_up)
    }

    /// When this track needs serving although no packets arrive; `sent` is how many of the packets that [`Self::tick`]
    /// allowed were sent.
    pub(crate) fn next_serving(&self, sent: u64, now: Instant) -> Option<Instant> {
        let burst = (self.outbound_track.is_replaying() && sent >= REPLAY_BURST).then_some(now);
        let keyframe_wanted = self.keyframe_wanted.map(|keyframe_wanted| keyframe_wanted.until);
        let next_layer = self.next_layer.and_then(|next| next.until);
        burst.or(self.outbound_track.replay_due()).into_iter().chain(keyframe_wanted).chain(next_layer).min()
    }

    /// True if it needs [`Self::tick`] and [`Self::next_serving`]: it waits for a keyframe, or replays.
    #[inline]
    pub(crate) fn is_busy(&self) -> bool {
        self.keyframe_wanted.is_some() || self.next_layer.is_some() || self.outbound_track.is_replaying()
    }

    /// Lets an outbound track begin again that lacks a keyframe, because it fell behind, and does not wait for one yet.
    pub(crate) fn unstick(&mut self, track: &FeedTrack, now: Instant) -> FollowUp {
        if self.keyframe_wanted.is_some() || self.outbound_track.state() != TrackState::Waiting {
            return FollowUp::default();
        }
        self.begin(track, now)
    }

    /// True while the viewer's feedback may be older than a replay.
    fn is_unseen(&self, now: Instant) -> bool {
        let ended = |ended| now < ended + self.rtt.unwrap_or(UNSEEN) + UNSEEN;
        self.outbound_track.is_replaying() || self.replayed.is_some_and(ended)
    }

    fn keyframe_wanted(&mut self, track: &FeedTrack, until: Instant) {
        self.keyframe_wanted = Some(KeyframeWanted { since: track.history.head(), until });
    }

    fn replay(&mut self, track: &FeedTrack, now: Instant) -> bool {
        self.replay_by(track, now, |outbound_track, from| outbound_track.replay(&track.history, from))
    }

    /// Begins a replay of a track by `begin`, unless the last one is too recent.
    fn replay_by(
        &mut self,
        track: &FeedTrack,
        now: Instant,
        begin: impl FnOnce(&mut OutboundTrack, Instant) -> bool,
    ) -> bool {
        let Some(CachedFrames { span, still_frames, .. }) = track.history.cached_frames() else { return false };
        let span = if still_frames.is_some() { span.min(FEW_INTERVAL) } else { span };
        let is_first = self.outbound_track.counts().packets == 0;
        let from = if is_first { now + READY } else { now };
        if self.next_replay.is_some_and(|next| now < next) || !begin(&mut self.outbound_track, from) {
            return false;
        }
        self.keyframe_wanted = None;
        self.replay_of = Some(track.epoch);
        // The first one is not counted: some viewers lose its beginning and ask for it again.
        self.next_replay = Some(now + if is_first { REPLAY_INTERVAL } else { span.max(REPLAY_INTERVAL) });
        true
    }
}
