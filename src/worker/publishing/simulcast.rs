//! What a track has as one of several simulcast encodings of its video: its name, and whether it is sent now.
//!
//! An encoding may fall silent while others are sent: browsers stop the largest when their network or processor cannot
//! keep up. Five times a second the encodings are compared, so that viewers of a silent one soon go on with another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sdp::Layer;
use crate::worker::message::LayerState;
use crate::worker::stats::meter::{Meter, TrackMeter};

/// From one comparison of the encodings to the next.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Comparisons from one report of rates to the next.
const LOOKS_A_REPORT: u32 = 5;

/// An encoding is silent when nothing of it has come for this long, nor for [`FRAMES`] times what its frames are usually
/// apart, and [`MISSED_LOOKS`] comparisons have found frames of others meanwhile. At 3 to 30 frames a second this is noticed
/// within 1 s, and one lost frame is no silence.
const SILENCE: Duration = Duration::from_millis(600);
const FRAMES: f64 = 2.1;
const MISSED_LOOKS: u32 = 2;

/// How long a keyframe of an encoding is asked for after a worker reported that its viewers need one; a worker reports so
/// again each second. Viewers go from one encoding to another, and what they have left is not asked for.
const NEED: Duration = Duration::from_millis(2_500);

/// What a track has as one of several encodings.
pub(crate) struct Simulcast {
    pub(crate) rid: Arc<str>,
    /// Packets carry the rid.
    is_named: bool,
    /// The SSRCs of media and retransmissions that the offer declares.
    declared: (Option<u32>, Option<u32>),
    /// The state of it that viewers' workers have last received.
    pub(crate) state: LayerState,
    sent: LayerState,
    /// Viewers' workers are to receive the state again although nothing has changed.
    is_due: bool,
    /// When a worker last reported that its viewers need a keyframe, while one is asked for.
    demanded: Option<Instant>,
    meter: Meter,
    newest: Option<Instant>,
    /// Between its last frames, in a ring.
    intervals: [Interval; 3],
    next_interval: usize,
    /// Its frames at the last comparison, and how many comparisons since its newest packet have found frames of others.
    frames: u64,
    missed: u32,
}

/// The time between two frames of an encoding.
#[derive(Clone, Copy, Debug, Default)]
struct Interval {
    length: Duration,
    /// Others have sent frames meanwhile, so it is the encoding that is slow.
    is_own: bool,
}

/// When the encodings of a publisher are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks {
    due: Instant,
    count: u32,
}

impl Looks {
    /// The first comparison comes soon.
    pub(crate) fn new(now: Instant) -> Self {
        Self { due: now + LOOK_INTERVAL, count: 0 }
    }

    /// When the next one is due.
    pub(crate) fn poll_timeout(&self) -> Instant {
        self.due
    }

    /// If a comparison is due: whether rates are reported with it.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<bool> {
        if now < self.due {
            return None;
        }
        (self.due, self.count) = (now + LOOK_INTERVAL, self.count.wrapping_add(1));
        Some(self.count.is_multiple_of(LOOKS_A_REPORT))
    }
}

impl Simulcast {
    /// An encoding of which nothing has come yet.
    pub(crate) fn new(layer: &Layer) -> Self {
        Self {
            rid: layer.rid.as_str().into(),
            is_named: layer.is_named,
            declared: (layer.ssrc, layer.rtx_ssrc),
            state: LayerState::default(),
            sent: LayerState::default(),
            is_due: false,
            demanded: None,
            meter: Meter::default(),
            newest: None,
            intervals: [Interval::default(); 3],
            next_interval: 0,
            frames: 0,
            missed: 0,
        }
    }

    /// Takes note of a packet, which may begin a frame.
    pub(crate) fn on_packet(&mut self, is_frame: bool, received: Instant) {
        if let Some(before) = self.newest.filter(|_| is_frame) {
            let length = received.saturating_duration_since(before);
            self.intervals[self.next_interval] = Interval { length, is_own: self.missed >= MISSED_LOOKS };
            self.next_interval = (self.next_interval + 1) % self.intervals.len();
        }
        self.newest = Some(received);
        self.missed = 0;
        self.state.is_active = true;
    }

    /// A worker's viewers need a keyframe.
    pub(crate) fn demand(&mut self, now: Instant) {
        self.demanded = Some(now);
    }

    /// True if packets with this rid belong to it.
    pub(super) fn is_named_by(&self, rid: Option<&[u8]>) -> bool {
        self.is_named && rid == Some(self.rid.as_bytes())
    }

    /// The SSRCs of media and retransmissions that the offer declares.
    pub(super) fn declared(&self) -> (Option<u32>, Option<u32>) {
        self.declared
    }

    /// True if frames of it have come since the last comparison.
    pub(super) fn has_sent(&self, meter: &TrackMeter) -> bool {
        meter.frames() != self.frames
    }

    /// Compares it with the others, which may have sent frames since the last comparison. True if its viewers need no
    /// keyframe any more.
    pub(super) fn compare(&mut self, meter: &TrackMeter, others_sent: bool, reports: bool, now: Instant) -> bool {
        if self.is_silent(meter, others_sent, now) {
            self.state.is_active = false;
        }
        if reports {
            let rates = self.meter.rates(meter.volume, meter.frames(), now);
            (self.state.bits, self.state.frames) = (rates.bits as u64, rates.frames as f32);
            // Workers repeat then what their viewers need.
            self.is_due = true;
        }
        self.demanded.take_if(|since| now.saturating_duration_since(*since) >= NEED).is_some()
    }

    /// The state for viewers' workers, if they need it; its frames have this size.
    pub(super) fn take_news(&mut self, size: Option<(u16, u16)>) -> Option<LayerState> {
        self.state.size = size;
        let is_news = std::mem::take(&mut self.is_due) || self.state != self.sent;
        self.sent = self.state;
        is_news.then_some(self.state)
    }

    /// Whether it has fallen silent, although others may have sent frames since the last comparison.
    fn is_silent(&mut self, meter: &TrackMeter, others_sent: bool, now: Instant) -> bool {
        let has_sent = self.has_sent(meter);
        self.frames = meter.frames();
        self.missed = if has_sent { 0 } else { self.missed.saturating_add(others_sent.into()) };
        let silence = self.newest.map_or(Duration::MAX, |newest| now.saturating_duration_since(newest));
        self.missed >= MISSED_LOOKS && silence >= SILENCE.max(self.usual_interval().mul_f64(FRAMES))
    }

    /// What its frames are usually apart: the median of the last intervals, because a publisher may stall once; or the
    /// longest of those in which it was slower than the others.
    fn usual_interval(&self) -> Duration {
        let mut lengths = self.intervals.map(|interval| interval.length);
        lengths.sort_unstable();
        let own = self.intervals.iter().filter(|interval| interval.is_own).map(|interval| interval.length);
        own.chain([lengths[lengths.len() / 2]]).max().unwrap_or_default()
    }
}
