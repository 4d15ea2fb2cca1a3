//! What the relay brings to a negotiation, and why an offer gets no answer.

use std::net::SocketAddr;

use crate::name::StreamName;

use crate::ice::Credentials;

/// Why an offer gets no answer. Both carry a sentence for the person who looks at the client's log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// It is not SDP, or contradicts itself: HTTP 400.
    #[error("{0}")]
    Malformed(String),
    /// It is understood, but asks for what this relay does not do: HTTP 422.
    #[error("{0}")]
    Unsupported(String),
}

impl OfferError {
    pub(super) fn malformed(sentence: impl Into<String>) -> Self {
        Self::Malformed(sentence.into())
    }

    pub(super) fn unsupported(sentence: impl Into<String>) -> Self {
        Self::Unsupported(sentence.into())
    }
}

/// What the relay brings to one session.
#[derive(Clone)]
pub struct Local {
    /// The relay's ICE credentials of this session.
    pub credentials: Credentials,
    /// SHA-256 of the relay's DTLS certificate, as colon-separated hexadecimal octets (RFC 8122 5).
    pub fingerprint: String,
    /// Where clients reach the media port, best first: FFmpeg reads only the first. At most 32 are written.
    pub candidates: Vec<SocketAddr>,
    /// The stream that the session publishes or watches; viewers see it as the id of their MediaStream.
    pub stream: StreamName,
    /// Publishers may leave it to viewers to turn their pictures (video-orientation).
    pub video_orientation: bool,
    /// Bits per second that a publisher may send in all; 0 where nothing limits it.
    pub max_bitrate: u64,
    /// Randomness for the answer's origin and the reserved sources: equal seeds give equal answers.
    pub seed: u64,
}
