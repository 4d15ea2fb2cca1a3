//! One webrtc-rs peer connection and what the relay keeps beside it: negotiation, keys, feedback, channels.

/// One side's ICE credentials (RFC 8445 5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `a=ice-ufrag`
    pub ufrag: String,
    /// `a=ice-pwd`; never logged.
    pub pwd: String,
}
