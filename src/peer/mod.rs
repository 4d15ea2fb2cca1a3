//! One webrtc-rs peer connection and what the relay keeps beside it: DTLS keys, RTCP, data channels, and the client for
//! tests and `sluice load`. Workers open a [`Peer`] for each session; no other module names webrtc-rs's connection.

mod association;
mod certificate;
mod channels;
pub mod client;
mod connection;
mod keys;
mod observed_crypto;
mod rtcp_intake;
mod rtcp_tap;
mod sctp_filter;
mod selected_pair;
mod trials;

#[cfg(test)]
mod tests;

pub use association::PeerEvent;
pub use certificate::Certificate;
pub(crate) use certificate::CertificateError;
pub(crate) use channels::Unsent;
pub use channels::{Channel, ChannelMessage};
pub(crate) use connection::{Config, Peer};
pub use observed_crypto::{AeadObserver, ObservedCrypto, Observer};
