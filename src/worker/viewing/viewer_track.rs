//! One outbound track of a viewer, and how its video begins: with the cached frames, or at a requested keyframe.
//!
//! A publisher that answers keyframe requests is asked when the way from its last keyframe to live is long, and is
//! given half a second. From one that does not, or of which it is not known, the viewer gets the pictures since the
//! last keyframe. The rules: what is replayed to a viewer that has begun costs no more than what is live, so after a
//! replay the next one waits for as long as the pictures lasted; and a viewer that has got everything is not shown it
//! again because nothing follows. Browsers ask for a keyframe after 3 s without a frame, which is no sign of loss: the
//! publisher is asked, if there is one, and nothing is replayed.

use std::time::{Duration, Instant};

use super::stream_feed::FeedTrack;
use crate::forward::codec::Kind;
use crate::forward::{
    ANSWER_TIME, CachedFrames, Counts, DelayRamp, OutboundTrack, PlayoutDelay, TrackState, catch_up_time,
};
use crate::rtcp::RoundTrip;
use crate::worker::stats::meter::Meter;
use crate::worker::stats::sent::Volume;

/// A replay that takes longer to come to live than this is worse than a keyframe that is asked for.
const LONG_REPLAY: Duration = Duration::from_millis(150);

/// Between two replays at least, however little they contain.
const REPLAY_INTERVAL: Duration = Duration::from_secs(1);

/// The same where frames are few, however long each was shown.
const FEW_INTERVAL: Duration = Duration::from_secs(5);

/// Packets of a replay that one serving sends: other viewers come between.
const REPLAY_BURST: u64 = 64;

/// How long a viewer that loses too much waits for a keyframe.
const SKIP_TIME: Duration = Duration::from_secs(1);

/// How long after its connection a viewer is sent its first frame: some clients lose packets that follow the handshake at
/// once.
const READY: Duration = Duration::from_millis(10);

/// The round trip assumed until the viewer's reports give one.
const UNKNOWN_RTT: Duration = Duration::from_millis(50);

/// What a repair takes beyond the round trip: browsers look for what they miss every 20 ms.
const REPAIR: Duration = Duration::from_millis(40);

/// A keyframe request that comes so soon after a replay, and a round trip, was sent before the replay was seen.
const UNSEEN: Duration = Duration::from_millis(100);

/// One outbound track and its place in the history that it reads.
pub(crate) struct ViewerTrack {
    pub(crate) kind: Kind,
    pub(crate) outbound_track: OutboundTrack,
    /// The outbound track's counts that the worker has taken over.
    pub(crate) counted: Counts,
    /// What has been sent, resends included.
    pub(crate) sent: Volume,
    pub(crate) meter: Meter,
    /// What the viewer said last about how it arrives.
    pub(crate) heard: Option<Reception>,
    pub(crate) round_trip: RoundTrip,
    /// The viewer's round-trip time.
    rtt: Option<Duration>,
    playout_delay: PlayoutDelay,
    glide: DelayRamp,
    /// The viewer has a playout delay, or is to have one.
    holds_back: bool,
    keyframe_wanted: Option<KeyframeWanted>,
    /// When the last replay ended, as far as it has come.
    replayed: Option<Instant>,
    next_replay: Option<Instant>,
}

/// How a viewer receives, by its own words (RFC 3550 6.4.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reception {
    /// Packets that it has not got.
    pub(crate) lost: u64,
    /// In ticks of the codec.
    pub(crate) jitter: u32,
}

impl Reception {
    /// How unevenly packets arrive, on this clock.
    pub(crate) fn jitter(&self, clock_rate: u32) -> Duration {
        Duration::from_secs(1).mul_f64(f64::from(self.jitter) / f64::from(clock_rate.max(1)))
    }
}

/// A keyframe is waited for.
#[derive(Clone, Copy, Debug)]
struct KeyframeWanted {
    /// What comes from this position on fulfils it.
    since: u64,
    /// When it is given up for a replay.
    until: Instant,
}

/// What a track asks of the worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Begun {
    /// The publisher should be asked for a keyframe.
    pub(crate) demands: bool,
    /// A replay has begun.
    pub(crate) replays: bool,
}

impl Begun {
    /// What two tracks ask together.
    pub(crate) fn add(&mut self, other: Self) {
        self.demands |= other.demands;
        self.replays |= other.replays;
    }
}

impl ViewerTrack {
    /// A track that has sent nothing yet.
    pub(crate) fn new(kind: Kind, outbound_track: OutboundTrack) -> Self {
        Self {
            kind,
            outbound_track,
            counted: Counts::default(),
            sent: Volume::default(),
            meter: Meter::default(),
            heard: None,
            round_trip: RoundTrip::default(),
            rtt: None,
            playout_delay: PlayoutDelay::default(),
            glide: DelayRamp::default(),
            holds_back: false,
            keyframe_wanted: None,
            replayed: None,
            next_replay: None,
        }
    }

    /// Lets an outbound track that waits begin: audio at the live end, video with the cached frames or at a keyframe.
    pub(crate) fn begin(&mut self, track: &FeedTrack, now: Instant) -> Begun {
        if self.kind == Kind::Audio {
            self.outbound_track.seek(track.history.head());
            return Begun::default();
        }
        let pictures = track.history.cached_frames();
        let is_long = pictures.is_some_and(|pictures| catch_up_time(&pictures) > LONG_REPLAY);
        let asks = is_long && track.keyframe_responsive == Some(true);
        if !asks && self.replay(track, now) {
            return Begun { demands: is_long && track.keyframe_responsive.is_none(), replays: true };
        }
        self.outbound_track.seek(track.history.head());
        if pictures.is_some() {
            self.keyframe_wanted(track, self.next_replay.filter(|_| !asks).unwrap_or(now).max(now + ANSWER_TIME));
        }
        Begun { demands: self.outbound_track.wants_keyframe(), replays: false }
    }

    /// Lets an outbound track that has not begun wait for the next packets, while there is no publisher.
    pub(crate) fn wait(&mut self, track: &FeedTrack) {
        if self.outbound_track.state() == TrackState::Waiting {
            self.outbound_track.seek(track.history.head());
        }
    }

    /// The viewer's round-trip time, as far as it is known.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// The next replay waits for none before it: another publisher's, or one before a long pause.
    pub(crate) fn forget_replays(&mut self) {
        self.next_replay = None;
        self.keyframe_wanted = None;
    }

    /// There is no publisher any more that is heard: the viewer is not sent what was sent before.
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

    /// The viewer lacks this number of packets. Ignored during a replay, which repeats the publisher's reordering and says
    /// nothing about the viewer's path.
    pub(crate) fn on_losses(&mut self, packets: u64, now: Instant) {
        if self.is_unseen(now) {
            return;
        }
        self.playout_delay.on_losses(packets, self.rtt.unwrap_or(UNKNOWN_RTT) + REPAIR, now);
        self.holds_back = true;
    }

    /// Tells the viewer how long repairs on its way take. The publisher's are over before a packet comes here.
    #[inline]
    pub(crate) fn hold_back(&mut self, now: Instant) {
        if self.holds_back {
            self.set_hold_back(now);
        }
    }

    #[cold]
    fn set_hold_back(&mut self, now: Instant) {
        let least = self.playout_delay.need(now);
        let shown = self.outbound_track.counts().packets > 0;
        let held = if shown { self.glide.toward(least, now) } else { self.glide.begin(least, now) };
        self.outbound_track.set_playout_delay(held);
        self.holds_back = !held.is_zero();
    }

    /// The viewer says that it cannot decode what it gets.
    pub(crate) fn refresh(&mut self, track: &FeedTrack, now: Instant) -> Begun {
        if self.is_unseen(now) {
            return Begun::default();
        }
        if self.outbound_track.state() != TrackState::Live || self.keyframe_wanted.is_some() {
            return Begun { demands: true, replays: false };
        }
        if track.is_still(now) {
            return Begun { demands: true, replays: false };
        }
        if track.keyframe_responsive == Some(true) {
            self.keyframe_wanted(track, now + ANSWER_TIME);
            return Begun { demands: true, replays: false };
        }
        if self.replay(track, now) {
            return Begun { demands: track.keyframe_responsive.is_none(), replays: true };
        }
        self.keyframe_wanted(track, self.next_replay.unwrap_or(now).max(now + ANSWER_TIME));
        Begun { demands: true, replays: false }
    }

    /// Repair cannot keep up with what the viewer loses: frames are left out until the next keyframe, for which it waits
    /// longer than for an answer, because a replay would load its path even more.
    pub(crate) fn skip(&mut self, track: &FeedTrack, now: Instant) -> Begun {
        if self.outbound_track.is_replaying() || self.outbound_track.state() != TrackState::Live {
            return Begun::default();
        }
        self.outbound_track.skip();
        self.keyframe_wanted(track, self.next_replay.unwrap_or(now).max(now + SKIP_TIME));
        Begun { demands: true, replays: false }
    }

    /// Does what is due before the viewer is served; how many packets it may be sent now.
    pub(crate) fn tick(&mut self, track: &FeedTrack, now: Instant) -> (u64, Begun) {
        let mut begun = Begun::default();
        if let Some(keyframe_wanted) = self.keyframe_wanted {
            if track.history.keyframe() >= Some(keyframe_wanted.since) {
                self.keyframe_wanted = None;
            } else if keyframe_wanted.until <= now {
                self.keyframe_wanted = None;
                let misses_nothing = self.outbound_track.state() == TrackState::Live && track.is_still(now);
                begun.replays = !misses_nothing && self.replay(track, now);
            }
        }
        self.outbound_track.tick(now);
        if self.outbound_track.is_replaying() {
            self.replayed = Some(now);
            return (REPLAY_BURST, begun);
        }
        (u64::MAX, begun)
    }

    /// When this track has something to do although nothing arrives; `sent` packets were sent of those that [`Self::tick`]
    /// allowed.
    pub(crate) fn next_serving(&self, sent: u64, now: Instant) -> Option<Instant> {
        let burst = (self.outbound_track.is_replaying() && sent >= REPLAY_BURST).then_some(now);
        let keyframe_wanted = self.keyframe_wanted.map(|keyframe_wanted| keyframe_wanted.until);
        burst.or(self.outbound_track.replay_due()).into_iter().chain(keyframe_wanted).min()
    }

    /// True when it has something to do at a time of its own: [`Self::tick`] and [`Self::next_serving`].
    #[inline]
    pub(crate) fn is_busy(&self) -> bool {
        self.keyframe_wanted.is_some() || self.outbound_track.is_replaying()
    }

    /// Lets an outbound track begin again that has no keyframe, because it fell behind, and waits for none.
    pub(crate) fn unstick(&mut self, track: &FeedTrack, now: Instant) -> Begun {
        if self.keyframe_wanted.is_some() || self.outbound_track.state() != TrackState::Waiting {
            return Begun::default();
        }
        self.begin(track, now)
    }

    /// True while what the viewer says may be older than a replay.
    fn is_unseen(&self, now: Instant) -> bool {
        let ended = |ended| now < ended + self.rtt.unwrap_or(UNSEEN) + UNSEEN;
        self.outbound_track.is_replaying() || self.replayed.is_some_and(ended)
    }

    fn keyframe_wanted(&mut self, track: &FeedTrack, until: Instant) {
        self.keyframe_wanted = Some(KeyframeWanted { since: track.history.head(), until });
    }

    fn replay(&mut self, track: &FeedTrack, now: Instant) -> bool {
        let Some(CachedFrames { span, still_frames, .. }) = track.history.cached_frames() else { return false };
        let span = if still_frames.is_some() { span.min(FEW_INTERVAL) } else { span };
        let is_first = self.outbound_track.counts().packets == 0;
        let from = if is_first { now + READY } else { now };
        if self.next_replay.is_some_and(|next| now < next) || !self.outbound_track.replay(&track.history, from) {
            return false;
        }
        self.keyframe_wanted = None;
        // The first one is not counted: some viewers lose its beginning and ask for it again.
        self.next_replay = Some(now + if is_first { REPLAY_INTERVAL } else { span.max(REPLAY_INTERVAL) });
        true
    }
}
