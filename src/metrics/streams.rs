//! Metrics of single streams. Anyone may name streams, so their number is limited: the first `limit` streams at a time
//! are exposed by name, and all others are summed under [`OTHERS`]. A stream keeps its own series until its last
//! session leaves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::label::{Direction, Family, Medium};
use super::register::{VALID, register};
use crate::label::Label as _;
use crate::name::StreamName;

/// The label of all streams that are not exposed by name; no stream's name has parentheses.
const OTHERS: &str = "(other)";

/// The metrics of all streams. Workers write when sessions join and leave and once per second; a scrape reads.
pub(super) struct Streams {
    families: Families,
    limit: usize,
    named: Mutex<HashMap<StreamName, Weak<StreamMetrics>>>,
    others: Arc<StreamMetrics>,
}

#[derive(Clone)]
struct Families {
    viewers: IntGaugeVec,
    bytes: IntCounterVec,
    lost: IntCounterVec,
    repaired: IntCounterVec,
    jitter: GaugeVec,
    keyframe_interval: GaugeVec,
    layers: GaugeVec,
    paused_layers: GaugeVec,
}

/// The metrics of one stream, or those that all others share. Its series exist as long as this.
pub struct StreamMetrics {
    /// Connected viewers.
    pub(crate) viewers: IntGauge,
    /// Bytes of RTP packets, header to authentication tag, from its publisher (in) and to its viewers (out).
    pub(crate) bytes: Family<Direction, IntCounter>,
    /// Packets of its publisher that were lost.
    pub(crate) lost: Family<Medium, IntCounter>,
    /// Packets of its publisher that arrived after a NACK, or as copies in later packets.
    pub(crate) repaired: Family<Medium, IntCounter>,
    /// `None` for what the others share, because neither jitter nor keyframe intervals can be summed.
    own: Option<Own>,
}

struct Own {
    name: StreamName,
    families: Families,
    streams: Weak<Streams>,
}

impl Streams {
    /// Metrics in which at most `limit` streams have their own series.
    pub(super) fn new(registry: &Registry, limit: usize) -> Arc<Self> {
        let counters = |name: &str, help: &str, label: &str| {
            register(registry, IntCounterVec::new(Opts::new(name, help), &["stream", label]).expect(VALID))
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            register(registry, GaugeVec::new(Opts::new(name, help), labels).expect(VALID))
        };
        let viewers = Opts::new("sluice_stream_viewers", "Connected viewers of a stream.");
        let families = Families {
            viewers: register(registry, IntGaugeVec::new(viewers, &["stream"]).expect(VALID)),
            bytes: counters("sluice_stream_bytes_total", "Bytes of a stream's RTP packets.", Direction::NAME),
            lost: counters("sluice_stream_lost_packets_total", "A publisher's packets that were lost.", Medium::NAME),
            repaired: counters(
                "sluice_stream_repaired_packets_total",
                "A publisher's packets that arrived after a NACK, or as copies in later packets.",
                Medium::NAME,
            ),
            jitter: gauges(
                "sluice_stream_jitter_seconds",
                "Interarrival jitter of a publisher's packets (RFC 3550).",
                &["stream", Medium::NAME],
            ),
            keyframe_interval: gauges(
                "sluice_stream_keyframe_interval_seconds",
                "Time between the last two keyframes of a publisher.",
                &["stream"],
            ),
            layers: gauges(
                "sluice_stream_layers",
                "Simulcast layers of a publisher's video that it sends now; 1 without simulcast.",
                &["stream"],
            ),
            paused_layers: gauges(
                "sluice_stream_paused_layers",
                "Simulcast layers that a publisher has offered and does not send now.",
                &["stream"],
            ),
        };
        let others = Arc::new(families.of(OTHERS, None));
        Arc::new(Self { families, limit, named: Mutex::default(), others })
    }

    /// The metrics of a stream.
    pub(super) fn of(self: &Arc<Self>, stream: &StreamName) -> Arc<StreamMetrics> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = named.get(stream).and_then(Weak::upgrade) {
            return known;
        }
        if named.len() >= self.limit && !named.contains_key(stream) {
            return Arc::clone(&self.others);
        }
        let own = Own { name: stream.clone(), families: self.families.clone(), streams: Arc::downgrade(self) };
        let metrics = Arc::new(self.families.of(stream.as_str(), Some(own)));
        named.insert(stream.clone(), Arc::downgrade(&metrics));
        metrics
    }

    /// Ends the series of a stream that was left by its last session.
    fn forget(&self, own: &Own) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        // A session may have joined in the meantime; then the series continue.
        if named.get(&own.name).is_some_and(|metrics| metrics.strong_count() == 0) {
            named.remove(&own.name);
            own.families.remove(own.name.as_str());
        }
    }
}

impl Families {
    fn of(&self, stream: &str, own: Option<Own>) -> StreamMetrics {
        let kinds =
            |family: &IntCounterVec| Family::new(|kind: Medium| family.with_label_values(&[stream, kind.as_str()]));
        StreamMetrics {
            viewers: self.viewers.with_label_values(&[stream]),
            bytes: Family::new(|direction: Direction| self.bytes.with_label_values(&[stream, direction.as_str()])),
            lost: kinds(&self.lost),
            repaired: kinds(&self.repaired),
            own,
        }
    }

    /// Removes all series of a stream. A series that never began is not an error.
    fn remove(&self, stream: &str) {
        let _ = self.viewers.remove_label_values(&[stream]);
        for direction in Direction::ALL {
            let _ = self.bytes.remove_label_values(&[stream, direction.as_str()]);
        }
        for kind in Medium::ALL {
            let _ = self.lost.remove_label_values(&[stream, kind.as_str()]);
            let _ = self.repaired.remove_label_values(&[stream, kind.as_str()]);
        }
        self.end_publisher(stream);
    }

    fn end_publisher(&self, stream: &str) {
        for kind in Medium::ALL {
            let _ = self.jitter.remove_label_values(&[stream, kind.as_str()]);
        }
        let _ = self.keyframe_interval.remove_label_values(&[stream]);
        let _ = self.layers.remove_label_values(&[stream]);
        let _ = self.paused_layers.remove_label_values(&[stream]);
    }
}

impl StreamMetrics {
    /// Sets the current interarrival jitter of the publisher's packets of one kind.
    pub fn set_jitter(&self, kind: Medium, jitter: Duration) {
        if let Some(Own { name, families, .. }) = &self.own {
            families.jitter.with_label_values(&[name.as_str(), kind.as_str()]).set(jitter.as_secs_f64());
        }
    }

    /// Sets the time between the last two keyframes.
    pub fn set_keyframe_interval(&self, interval: Duration) {
        if let Some(Own { name, families, .. }) = &self.own {
            families.keyframe_interval.with_label_values(&[name.as_str()]).set(interval.as_secs_f64());
        }
    }

    /// Sets how many simulcast layers of its video the publisher sends now.
    pub fn set_layers(&self, layers: usize) {
        if let Some(Own { name, families, .. }) = &self.own {
            families.layers.with_label_values(&[name.as_str()]).set(layers as f64);
        }
    }

    /// Sets how many simulcast layers of its video the publisher has offered and does not send now.
    pub fn set_paused_layers(&self, layers: usize) {
        if let Some(Own { name, families, .. }) = &self.own {
            families.paused_layers.with_label_values(&[name.as_str()]).set(layers as f64);
        }
    }

    /// Removes the series that exist only while the stream has a publisher.
    pub(crate) fn end_publisher(&self) {
        if let Some(Own { name, families, .. }) = &self.own {
            families.end_publisher(name.as_str());
        }
    }
}

impl Drop for StreamMetrics {
    fn drop(&mut self) {
        if let Some(own) = &self.own
            && let Some(streams) = own.streams.upgrade()
        {
            streams.forget(own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;

    fn name(text: &str) -> StreamName {
        text.parse().unwrap()
    }

    fn shows(metrics: &Metrics, line: &str) -> bool {
        metrics.render().lines().any(|shown| shown == line)
    }

    #[test]
    fn the_first_streams_are_shown_by_name_and_the_rest_as_a_sum() {
        let metrics = Metrics::showing(2);
        let streams: Vec<_> = ["a", "b", "c", "d"].map(|text| metrics.stream(&name(text))).into();
        for stream in &streams {
            stream.viewers.add(2);
            stream.bytes[Direction::Out].inc_by(100);
            stream.lost[Medium::Video].inc();
            stream.set_jitter(Medium::Audio, Duration::from_millis(3));
        }
        assert!(shows(&metrics, "sluice_stream_viewers{stream=\"a\"} 2"));
        assert!(shows(&metrics, "sluice_stream_viewers{stream=\"(other)\"} 4"));
        assert!(shows(&metrics, "sluice_stream_bytes_total{direction=\"out\",stream=\"(other)\"} 200"));
        assert!(shows(&metrics, "sluice_stream_jitter_seconds{kind=\"audio\",stream=\"b\"} 0.003"));
        let text = metrics.render();
        for hidden in ["\"c\"", "\"d\"", "sluice_stream_jitter_seconds{kind=\"audio\",stream=\"(other)\"}"] {
            assert!(!text.contains(hidden), "{hidden} is in\n{text}");
        }
    }

    #[test]
    fn a_streams_series_end_with_it_and_make_room_for_another() {
        let metrics = Metrics::showing(1);
        let (first, again) = (metrics.stream(&name("a")), metrics.stream(&name("a")));
        first.set_keyframe_interval(Duration::from_secs(2));
        drop(first);
        assert!(shows(&metrics, "sluice_stream_viewers{stream=\"a\"} 0"), "somebody is there still");
        again.end_publisher();
        assert!(!metrics.render().contains("sluice_stream_keyframe_interval_seconds{"));
        drop(again);
        assert!(!metrics.render().contains("stream=\"a\""));
        let other = metrics.stream(&name("b"));
        other.viewers.inc();
        assert!(shows(&metrics, "sluice_stream_viewers{stream=\"b\"} 1"));
    }

    #[test]
    fn no_stream_can_be_called_like_the_others() {
        assert!(OTHERS.parse::<StreamName>().is_err());
    }
}
