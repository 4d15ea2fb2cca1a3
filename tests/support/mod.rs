//! What the integration tests share: a relay inside the test's process, and the async `webrtc` crate as its clients.

pub(crate) mod client;
pub(crate) mod keyframe_requests;
pub(crate) mod media;
pub(crate) mod relay;
