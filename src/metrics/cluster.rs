//! Instruments of a cluster, which a relay alone does not have.

use prometheus::IntGauge;

use super::Metrics;
use super::label::{DirectoryState, Family};
use super::register::{gauge, gauges_by_one};
use crate::label::Label as _;

/// Instruments of a node of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct ClusterMetrics {
    /// 1 for how well the directory is followed, 0 for the others.
    states: Family<DirectoryState, IntGauge>,
    /// Live streams that are not claimed.
    provisional: IntGauge,
}

impl ClusterMetrics {
    /// Sets how well the directory is followed, and how many live streams are not claimed in it.
    pub(crate) fn set(&self, state: DirectoryState, provisional: usize) {
        for other in DirectoryState::ALL.iter().copied() {
            self.states[other].set(i64::from(other == state));
        }
        self.provisional.set(i64::try_from(provisional).unwrap_or(i64::MAX));
    }
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
        }
    }
}
