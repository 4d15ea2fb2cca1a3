//! What is counted of one viewer, for the metrics and the API.

use std::time::Duration;

use super::bitrate::Bitrate;

/// Counts since they were taken last; the worker adds them to its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Times that the estimate was lowered.
    pub lowered: u32,
    /// Probes that showed that the path carries more.
    pub probes_passed: u32,
    /// Probes that ended without that.
    pub probes_failed: u32,
    /// Octets of padding.
    pub padding: u64,
}

/// What is known of the path now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gauges {
    /// What the path is known to carry.
    pub estimate: Bitrate,
    /// The queue that stands in the path; `None` without transport-wide feedback.
    pub queue: Option<Duration>,
    /// The share of packets that is lost, from 0 to 1.
    pub loss: f64,
}
