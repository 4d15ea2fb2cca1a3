//! What all requests share: the node with the media behind it, the event streams of viewers, and the last text
//! of the metrics.

pub(super) mod children;
pub(super) mod event_stream;
pub(super) mod event_streams;
pub(super) mod leases;
pub(super) mod node;
pub(super) mod rendered;
pub(super) mod stream_layers;
