//! Why something was lost or ended.

/// Why a datagram was refused.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Drop {
    /// Neither STUN, DTLS nor RTP (RFC 7983).
    Unknown,
    /// STUN that is not well-formed.
    StunMalformed,
    /// A check without the integrity of the session that it names.
    StunForged,
    /// STUN that nobody asked for: an answer to nothing, an indication, another method.
    StunUnexpected,
    /// From an address that sent a check, but has not proven to receive.
    Unproven,
    /// DTLS that is not well-formed, or that no client sends.
    DtlsMalformed,
    /// DTLS of a connected session that is not encrypted data: stale or forged.
    DtlsClear {
        /// With a handshake record, encrypted or not.
        is_handshake: bool,
    },
    /// DTLS over the budget of the session; the session ends.
    DtlsFlood,
    /// For a session that is over.
    Over,
}

impl Drop {
    /// The label of the metric.
    pub fn reason(self) -> &'static str {
        match self {
            Drop::Unknown => "unknown",
            Drop::StunMalformed => "stun_malformed",
            Drop::StunForged => "stun_forged",
            Drop::StunUnexpected => "stun_unexpected",
            Drop::Unproven => "unproven",
            Drop::DtlsMalformed => "dtls_malformed",
            Drop::DtlsClear { .. } => "dtls_clear",
            Drop::DtlsFlood => "dtls_flood",
            Drop::Over => "over",
        }
    }
}
