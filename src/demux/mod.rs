//! The demultiplexer (RFC 7983): which session a datagram belongs to, whether it passes, and where a session's
//! datagrams go. Workers call it for each received datagram.
//!
//! One port serves all sessions. The rules it keeps:
//!
//! - STUN is matched by USERNAME, and answered only with a valid MESSAGE-INTEGRITY (RFC 8445 7.3). With `--stun`,
//!   requests without credentials are answered with the address that they came from; they belong to no session.
//! - Anything else passes only on a five-tuple that sent such a check. After DTLS has completed, SRTP and SRTCP pass on
//!   each of those, because a client may change to a path as soon as it has checked it (RFC 8445 12.2) and each packet
//!   is authenticated; DTLS passes only on a proven one.
//! - The relay sends media only to an address that has proven to receive, and never sends to a candidate from an offer.
//!   Where it dials another relay, it sends checks to a few candidates from the answer.
//! - What reaches a peer before it is connected is bounded, and a ClientHello reaches it in one piece.
//!
//! It gets the time and the bytes and answers with values: no socket, no clock.

mod counts;
mod demultiplexed;
mod demultiplexer;
mod dtls;
mod legs;
mod session;

#[cfg(test)]
mod tests;

pub(crate) use demultiplexed::{Demultiplexed, DemuxEvent, DemuxFacts, Key, Over};
pub(crate) use demultiplexer::Demux;
