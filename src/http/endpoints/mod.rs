//! What clients of media use: WHIP and WHEP, the session resource and its event streams.

pub(super) mod event_streams;
pub(super) mod events;
pub(super) mod ice_servers;
pub(super) mod offer;
pub(super) mod session;
