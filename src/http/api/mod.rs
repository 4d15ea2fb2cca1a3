//! What operators ask for: streams and sessions as JSON under `/api`, the metrics, and the health of the process.

pub(super) mod operations;
mod sessions;
pub(super) mod streams;
mod tracks;
