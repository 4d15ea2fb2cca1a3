//! The other end of a session: a publisher or a viewer as an independent WebRTC client is one, for `sluice load` and
//! for tests.
//!
//! Offer, answer, ICE and DTLS are webrtc-rs's own; RTP is sealed and opened outside with the keys, as the relay does
//! it, so that hundreds of clients fit into one process. The rule: it takes nothing from the relay's own negotiation,
//! else a mistake on both ends would cancel out.

mod config;
mod connection;
mod media;

pub use config::Config;
pub use connection::{Client, ClientError};
pub use media::{EXTENSIONS, Track};
