//! Why a session ended: the word that its log line, its metric and its operator see.

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The client sent DELETE.
    Deleted,
    /// The client closed its DTLS connection.
    PeerClosed,
    /// The DTLS handshake or connection failed.
    DtlsFailed,
    /// No valid STUN check came within 10 s of the answer.
    NeverConnected,
    /// A check came, but DTLS did not complete within 10 s of the answer.
    HandshakeTimeout,
    /// 30 s without a valid STUN check, SRTP or SRTCP packet.
    Silent,
    /// The client sent more before it was connected than the budget of a handshake allows.
    Flooded,
    /// A newer publisher of the stream took over.
    Replaced,
    /// The relay stops.
    Shutdown,
    /// A fault of the relay in this session; the log has the place.
    Panicked,
}

impl Reason {
    /// Every reason, in the order of the enum.
    pub const ALL: [Self; 10] = [
        Self::Deleted,
        Self::PeerClosed,
        Self::DtlsFailed,
        Self::NeverConnected,
        Self::HandshakeTimeout,
        Self::Silent,
        Self::Flooded,
        Self::Replaced,
        Self::Shutdown,
        Self::Panicked,
    ];

    /// The label value of metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::PeerClosed => "peer_closed",
            Self::DtlsFailed => "dtls_failed",
            Self::NeverConnected => "never_connected",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Silent => "silent",
            Self::Flooded => "flooded",
            Self::Replaced => "replaced",
            Self::Shutdown => "shutdown",
            Self::Panicked => "panicked",
        }
    }
}
