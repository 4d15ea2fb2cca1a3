//! What operators ask for: streams and sessions as JSON under `/api`, the metrics, and the health of the process.
//!
//! What is shown is read from records that workers write about once a second, so that a request costs no media thread
//! anything. All but health needs the admin grant: it names every stream, client and address.

pub(super) mod administrator;
mod cluster_stream;
pub(super) mod document;
pub(super) mod legs;
pub(super) mod node;
pub(super) mod nodes;
pub(super) mod operations;
pub(super) mod revocations;
pub(super) mod sessions;
pub(super) mod streams;
mod tracks;
