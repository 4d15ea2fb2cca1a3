//! One session's part in the instruments of its stream, added when its record is brought up to date, never for a
//! packet.

use std::sync::Arc;
use std::time::Instant;

use prometheus::{Counter, IntGauge};

use crate::label::Label as _;
use crate::metrics::{Direction, LayerPlace, Medium, Metrics, StreamMetrics};
use crate::name::{Role, SessionClass};
use crate::session::{LayerSeconds, TrackReport};

/// What a connected session adds; dropping it takes it out of the gauges.
pub(crate) struct Share {
    role: Role,
    class: SessionClass,
    metrics: Arc<StreamMetrics>,
    /// Counts a viewer with the encoding that it is sent.
    viewed: Option<Viewed>,
    /// For how long it was sent each encoding.
    seconds: LayerSeconds,
    bytes: u64,
    /// By kind.
    lost: [u64; 2],
    repaired: [u64; 2],
}

/// A viewer that is counted with the encoding that it is sent; dropping it takes it out of the gauge.
struct Viewed {
    place: LayerPlace,
    viewers: IntGauge,
    seconds: Counter,
    /// Until when its time is counted.
    until: Instant,
}

impl Drop for Viewed {
    fn drop(&mut self) {
        self.viewers.dec();
    }
}

impl Share {
    /// A session that has just connected.
    pub(crate) fn new(role: Role, class: SessionClass, metrics: Arc<StreamMetrics>) -> Self {
        if class == SessionClass::Viewer {
            metrics.viewers.inc();
        }
        Self {
            role,
            class,
            metrics,
            viewed: None,
            seconds: LayerSeconds::default(),
            bytes: 0,
            lost: [0; 2],
            repaired: [0; 2],
        }
    }

    /// Counts a viewer with the encoding that it is sent, of a video that has several, and the time since the last call
    /// for the one before.
    pub(crate) fn view(&mut self, place: Option<LayerPlace>, metrics: &Metrics, now: Instant) {
        if let Some(before) = self.viewed.take() {
            let seconds = now.saturating_duration_since(before.until).as_secs_f64();
            before.seconds.inc_by(seconds);
            self.seconds[before.place.position()] += seconds;
        }
        self.viewed = place.map(|place| {
            metrics.layer_viewers[place].inc();
            Viewed {
                place,
                viewers: metrics.layer_viewers[place].clone(),
                seconds: metrics.layer_seconds[place].clone(),
                until: now,
            }
        });
    }

    /// For how many seconds a viewer was sent each encoding, until the last [`Self::view`]; `None` until then.
    pub(crate) fn layer_seconds(&self) -> Option<LayerSeconds> {
        Some(self.seconds).filter(|seconds| *seconds != LayerSeconds::default())
    }

    /// Sets how many encodings of its video a live publisher has offered and does not send at present.
    pub(crate) fn set_paused_layers(&self, paused: usize) {
        self.metrics.set_paused_layers(paused);
    }

    /// Adds what has been counted since the last call; nothing for a standby, whose packets are not the stream's.
    pub(crate) fn update(&mut self, tracks: &[TrackReport], is_live: bool) {
        let direction = if self.role == Role::Publisher { Direction::In } else { Direction::Out };
        let bytes = tracks.iter().map(|track| track.bytes).sum();
        add(&mut self.bytes, bytes, is_live.then_some(&self.metrics.bytes[direction]));
        if self.role == Role::Viewer {
            return;
        }
        let videos = || tracks.iter().filter(|track| track.kind == Medium::Video.as_str());
        if is_live && videos().next().is_some() {
            self.metrics.set_layers(videos().filter(|track| track.is_active).count());
        }
        for kind in [Medium::Audio, Medium::Video] {
            // Several, where the video has several encodings.
            let own = || tracks.iter().filter(|track| track.kind == kind.as_str());
            let (lost, repaired) = (&mut self.lost[kind.position()], &mut self.repaired[kind.position()]);
            add(lost, own().map(|track| track.lost_packets).sum(), is_live.then_some(&self.metrics.lost[kind]));
            let repairs = own().map(|track| track.repaired_packets).sum();
            add(repaired, repairs, is_live.then_some(&self.metrics.repaired[kind]));
            if let Some(jitter) = own().filter_map(|track| track.jitter).max().filter(|_| is_live) {
                self.metrics.set_jitter(kind, jitter);
            }
            if let Some(interval) = own()
                .filter(|track| track.is_active)
                .filter_map(|track| track.keyframe_interval)
                .max()
                .filter(|_| is_live)
            {
                self.metrics.set_keyframe_interval(interval);
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        match (self.role, self.class) {
            (Role::Publisher, _) => self.metrics.end_publisher(),
            (Role::Viewer, SessionClass::Viewer) => self.metrics.viewers.dec(),
            (Role::Viewer, _) => {}
        }
    }
}

/// Adds what is new in `count`. A count that falls, because a packet arrived that had been given up, adds nothing until
/// it exceeds its old value.
fn add(counted: &mut u64, count: u64, counter: Option<&prometheus::IntCounter>) {
    if let Some(counter) = counter {
        counter.inc_by(count.saturating_sub(*counted));
    }
    *counted = count.max(*counted);
}
