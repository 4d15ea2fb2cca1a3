//! What nodes of the cluster ask of each other: streams, and requests for sessions, which are sent on to their nodes.

pub(super) mod forward;
pub(super) mod stream;
