//! One webrtc-rs peer connection and what the relay keeps beside it: negotiation, keys, feedback, channels.

mod association;
mod certificate;
mod channels;
pub mod client;
mod connection;
mod keys;
pub mod negotiate;
mod refused;
mod rtcp_sources;
mod rtcp_tap;
mod sctp_filter;
mod selected_pair;
mod trials;

#[cfg(test)]
mod tests;

pub use association::Event;
pub use certificate::{Certificate, CertificateError};
pub use channels::{Channel, ChannelMessage, Unsent};
pub use connection::{Config, MAX_MESSAGE_SIZE, OpenError, Peer};
pub use refused::Refused;
pub use rtcp_tap::Compound;

pub mod feedback;

/// One side's ICE credentials (RFC 8445 5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `a=ice-ufrag`
    pub ufrag: String,
    /// `a=ice-pwd`; never logged.
    pub pwd: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Credentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}
