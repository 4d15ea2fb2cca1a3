//! What nodes of the cluster ask of each other: streams, and requests for sessions, which are sent on to their nodes; and
//! where clients are sent when this node is full, and whether an encoder may take a stream back.

pub(super) mod farewell;
pub(super) mod forward;
pub(super) mod redirect;
pub(super) mod stream;
pub(super) mod takeover;
