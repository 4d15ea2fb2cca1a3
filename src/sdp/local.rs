//! The relay's part of a negotiation, and why an offer is refused.

use super::candidate::Candidates;
use crate::ice::Credentials;
use crate::name::StreamName;

/// Why an offer is refused, with a sentence for a reader of the client's log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// It is not SDP, or contradicts itself: HTTP 400.
    #[error("{0}")]
    Malformed(String),
    /// It is valid, but needs something that this relay does not support: HTTP 422.
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

/// The relay's part of the negotiation of one session.
#[derive(Clone)]
pub struct Local {
    /// The relay's ICE credentials of this session.
    pub credentials: Credentials,
    /// SHA-256 of the relay's DTLS certificate, as colon-separated hexadecimal octets (RFC 8122 5).
    pub fingerprint: String,
    /// The relay's addresses for this client.
    pub candidates: Candidates,
    /// The stream that the session publishes or watches; viewers see it as the id of their MediaStream.
    pub stream: StreamName,
    /// True to accept video-orientation from publishers, so that viewers rotate the video.
    pub video_orientation: bool,
    /// Bits per second that a publisher may send in total; 0 for no limit.
    pub max_bitrate: u64,
    /// Seed of the answer's origin and the reserved SSRCs: equal seeds give equal answers.
    pub seed: u64,
}
