//! What clients of media use: WHIP and WHEP, the session resource and its event streams.

pub(super) mod events;
pub(super) mod layer;
pub(super) mod offer;
pub(super) mod session;
