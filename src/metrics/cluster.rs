//! Instruments of a cluster, which a relay alone does not have.

use prometheus::core::Collector as _;
use prometheus::{CounterVec, IntCounter, IntGauge};

use super::Metrics;
use super::label::{DirectoryState, Family, Hops, PlacementReason};
use super::register::{counters, gauge, gauges_by_one};
use crate::label::Label as _;

/// Instruments of a node of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct ClusterMetrics {
    /// 1 for how well the directory is followed, 0 for the others.
    states: Family<DirectoryState, IntGauge>,
    /// Live streams that are not claimed.
    provisional: IntGauge,
    /// Legs on which the node sends streams to other relays.
    legs: IntGauge,
    /// Streams that it pulls.
    pulled: Family<Hops, IntGauge>,
    /// Times that it looked for a node to pull from.
    pub(crate) placements: Family<PlacementReason, IntCounter>,
    worker_busy: CounterVec,
}

impl ClusterMetrics {
    /// Sets how well the directory is followed, and how many live streams are not claimed in it.
    pub(crate) fn set(&self, state: DirectoryState, provisional: usize) {
        for other in DirectoryState::ALL.iter().copied() {
            self.states[other].set(i64::from(other == state));
        }
        self.provisional.set(gauged(provisional));
    }

    /// Sets on how many legs the node sends streams to other relays, and how many streams it pulls over one, two, and three legs.
    pub(crate) fn set_legs(&self, served: usize, pulled: [usize; 3]) {
        self.legs.set(gauged(served));
        for (hops, streams) in Hops::ALL.iter().copied().zip(pulled) {
            self.pulled[hops].set(gauged(streams));
        }
    }

    /// The seconds in which workers were not sleeping, summed over them, and the number of workers.
    pub(crate) fn busy(&self) -> (f64, usize) {
        let families = self.worker_busy.collect();
        let workers: Vec<f64> = families
            .iter()
            .flat_map(|family| family.get_metric())
            .map(|worker| worker.get_counter().get_value())
            .collect();
        (workers.iter().sum(), workers.len())
    }
}

fn gauged(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Metrics {
    /// Registers the instruments of a cluster; called once, by a node of one.
    pub(crate) fn cluster(&self) -> ClusterMetrics {
        let into = &self.registry;
        ClusterMetrics {
            states: gauges_by_one(
                into,
                "sluice_directory_state",
                "How well the node follows the directory of its cluster: 1 for the state, 0 for the others.",
            ),
            provisional: gauge(
                into,
                "sluice_provisional_streams",
                "Live streams that are not claimed in the directory of the cluster.",
            ),
            legs: gauge(into, "sluice_cluster_legs", "Legs on which the node sends streams to other relays."),
            pulled: gauges_by_one(
                into,
                "sluice_cluster_pulled_streams",
                "Streams that the node pulls from others of its cluster, by the legs between it and their origin.",
            ),
            placements: counters(
                into,
                "sluice_placements_total",
                "Times that the node looked for a node of its cluster to pull a stream from.",
            ),
            worker_busy: self.worker_busy.clone(),
        }
    }
}
