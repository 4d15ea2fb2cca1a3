//! The client end of a session: a publisher or a viewer, for `sluice load` and for tests.
//!
//! Offer, answer, ICE and DTLS are webrtc-rs's own; RTP is sealed and opened outside with the keys, as the relay does
//! it, so that hundreds of clients fit into one process. The rule: it uses nothing of the relay's own negotiation,
//! because the same mistake on both ends would not be found.

mod config;
mod connection;
mod media;

pub use config::Config;
pub use connection::Client;
pub use media::{EXTENSIONS, Track};
