//! What a worker counts: plain integers, added to the metrics once a turn. Publishing, viewing and the engine write
//! here.

pub(crate) mod counters;
pub(crate) mod layer_rates;
pub(crate) mod meter;
pub(crate) mod sent;
pub(crate) mod stream_share;
