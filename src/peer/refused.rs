//! Why a peer dropped a datagram. None of it ends a session.

use crate::sctp::Loss;

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Neither DTLS nor RTCP, which is all that a peer takes (RFC 7983 7).
    #[error("the datagram is neither DTLS nor RTCP")]
    Foreign,
    /// SRTCP that does not authenticate, was seen before, or came before the keys.
    #[error("the RTCP packet is not authentic")]
    Unauthentic,
    /// Authentic SRTCP beyond what is read of one client within a second.
    #[error("the client sends more RTCP than is read")]
    RtcpFlood,
    /// DTLS that anybody could have written: an alert in clear, or after the handshake anything in clear.
    #[error("the DTLS datagram holds nothing but records in clear that are not acted on")]
    ClearDtls,
    /// After the handshake, encrypted DTLS that the keys do not open or that was seen before.
    #[error("the DTLS datagram is not authentic")]
    UnauthenticDtls,
    /// Authentic SCTP of which the filter let not all through; the rest was taken.
    #[error("the SCTP packet does not pass whole: {0:?}")]
    Sctp(Loss),
    /// The session has ended.
    #[error("the session has ended")]
    Ended,
}

impl Refused {
    /// The label value of the metric that counts it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Foreign => "not_dtls_or_rtcp",
            Self::Unauthentic => "rtcp_unauthentic",
            Self::RtcpFlood => "rtcp_flood",
            Self::ClearDtls => "clear_dtls",
            Self::UnauthenticDtls => "unauthentic_dtls",
            Self::Sctp(_) => "sctp",
            Self::Ended => "session_ended",
        }
    }
}
