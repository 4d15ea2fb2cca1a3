//! Offer in, answer out: what a client proposes becomes the values that its session lives by, and the text that says so.
//!
//! WHIP and WHEP know one offer and one answer and no renegotiation, so everything later work needs is promised here on
//! the first day: RTX payload types, header-extension ids, a source for each section that has no media yet,
//! `m=application` where it was offered. Nothing here touches a peer connection: RTP passes it by in both directions, so
//! it negotiates a constant stub and the real answer is this one.
//!
//! The rule: hostile text is an [`OfferError`] with a sentence that says what to do, never a panic. webrtc-rs's parser
//! reads the grammar, `limits` stands before it and the types of this module behind it.
//!
//! # What is promised and why
//!
//! * A publisher gets one payload type of each codec, in its own order (browsers send the first, Pion what its track has;
//!   the packets of a track decide), and of the header extensions only `mid` (which section an undeclared source
//!   belongs to) and transport-wide-cc (its send rate). Not video-orientation: a publisher that has it stops turning its
//!   own picture, and then each viewer that has it not would see it lie on its side.
//! * Redundant sound (RFC 2198) is accepted beside the Opus that it carries, from publishers and for viewers, in the
//!   publisher's order: a browser sends it where it stands first. A viewer gets it of a publisher that sends it.
//! * A viewer of a live stream gets the stream's format first, under its own payload type and format parameters: of
//!   several profiles the publisher's. Behind it stands one payload type of each other codec, so that a publisher with
//!   another codec can take over without a new offer. A viewer that waits for a publisher gets one payload type for each
//!   codec and profile.
//! * A viewer is promised ids for `mid`, abs-capture-time, playout-delay, video-orientation and audio-level although no
//!   packet carries them yet. That is harmless: an extension is optional in each packet (RFC 8285 4.1), sources are
//!   found by `a=ssrc`, and the absence of the others means "unknown", "no limit", "upright" and "unknown".
//!   abs-send-time and transport-wide-cc, which change with each sending, are promised only beside RTX: a resend without
//!   RTX repeats the first sending bit for bit. Where they are promised and not written a receiver sends no
//!   transport-wide feedback, and no bandwidth estimate either since `goog-remb` is never accepted.
//! * `a=extmap-allow-mixed` is not echoed, and ids above 14 are not taken: all headers here have one-byte elements.

mod answer;
mod candidate;
mod credentials;
mod extension;
mod limits;
mod narrow;
mod offer;
mod payload;
mod section;
#[cfg(test)]
mod tests;
mod text;
mod transport;

use std::net::SocketAddr;

use super::Credentials;
use crate::name::StreamName;

pub use answer::{Application, Negotiated, Offered, Section};
pub use candidate::host_candidate;
pub use credentials::InvalidCredentials;
pub use extension::Extension;
pub use offer::Offer;
pub use payload::{Feedback, Payload, Red};

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
    fn malformed(sentence: impl Into<String>) -> Self {
        Self::Malformed(sentence.into())
    }

    fn unsupported(sentence: impl Into<String>) -> Self {
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
    /// Randomness for the answer's origin and the reserved sources: equal seeds give equal answers.
    pub seed: u64,
}
