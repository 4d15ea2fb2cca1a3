//! Makes instruments and registers them: one function for each shape of labels.

use prometheus::{Counter, CounterVec, Histogram, HistogramOpts, HistogramVec};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::label::Family;
use crate::label::Label;

/// Why no instrument can fail to be made.
pub(super) const VALID: &str = "names and labels are literals in this module, each registered once";

/// Registers a collector and returns it.
pub(super) fn register<C: prometheus::core::Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    registry.register(Box::new(collector.clone())).expect(VALID);
    collector
}

/// A gauge without labels.
pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    register(registry, IntGauge::new(name, help).expect(VALID))
}

/// A counter without labels.
pub(super) fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    register(registry, IntCounter::new(name, help).expect(VALID))
}

/// A histogram without labels.
pub(super) fn histogram(registry: &Registry, opts: HistogramOpts) -> Histogram {
    register(registry, Histogram::with_opts(opts).expect(VALID))
}

/// Gauges by two labels.
pub(super) fn gauges<A: Label, B: Label>(
    registry: &Registry,
    name: &str,
    help: &str,
) -> Family<A, Family<B, IntGauge>> {
    let family = register(registry, IntGaugeVec::new(Opts::new(name, help), &[A::NAME, B::NAME]).expect(VALID));
    Family::new(|a: A| Family::new(|b: B| family.with_label_values(&[a.as_str(), b.as_str()])))
}

/// Gauges by one label.
pub(super) fn gauges_by_one<L: Label>(registry: &Registry, name: &str, help: &str) -> Family<L, IntGauge> {
    let family = register(registry, IntGaugeVec::new(Opts::new(name, help), &[L::NAME]).expect(VALID));
    Family::new(|label: L| family.with_label_values(&[label.as_str()]))
}

/// Counters by one label.
pub(super) fn counters<L: Label>(registry: &Registry, name: &str, help: &str) -> Family<L, IntCounter> {
    let family = register(registry, IntCounterVec::new(Opts::new(name, help), &[L::NAME]).expect(VALID));
    Family::new(|label: L| family.with_label_values(&[label.as_str()]))
}

/// Counters of seconds by one label.
pub(super) fn seconds<L: Label>(registry: &Registry, name: &str, help: &str) -> Family<L, Counter> {
    let family = register(registry, CounterVec::new(Opts::new(name, help), &[L::NAME]).expect(VALID));
    Family::new(|label: L| family.with_label_values(&[label.as_str()]))
}

/// Counters by two labels.
pub(super) fn counters_by_two<A: Label, B: Label>(
    registry: &Registry,
    name: &str,
    help: &str,
) -> Family<A, Family<B, IntCounter>> {
    let family = register(registry, IntCounterVec::new(Opts::new(name, help), &[A::NAME, B::NAME]).expect(VALID));
    Family::new(|a: A| Family::new(|b: B| family.with_label_values(&[a.as_str(), b.as_str()])))
}

/// Histograms by one label.
pub(super) fn histograms<L: Label>(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: &[f64],
) -> Family<L, Histogram> {
    let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    let family = register(registry, HistogramVec::new(opts, &[L::NAME]).expect(VALID));
    Family::new(|label: L| family.with_label_values(&[label.as_str()]))
}
