//! The demultiplexer: what reaches a peer, from where, and where its datagrams go (DESIGN: the relay does ICE itself, ICE-lite).
//!
//! One port serves every session, so each datagram first has to say whose it is. The rules the demultiplexer keeps:
//!
//! - STUN is matched by USERNAME and believed, and answered, only with a valid MESSAGE-INTEGRITY (RFC 8445 7.3).
//! - Anything else passes only on a path that sent such a check, and once DTLS has completed only on a proven path.
//! - The relay sends media only to an address that has proven to receive, and never dials a candidate.
//! - What reaches a peer before it is connected is bounded, and a ClientHello reaches it in one piece.
//!
//! Told the time and the bytes, it answers with values: no socket, no clock.

mod counts;
mod demultiplexed;
mod demultiplexer;
mod dtls;
mod session;

#[cfg(test)]
mod tests;

pub use demultiplexed::{Demultiplexed, Event, Facts, Key};
pub use demultiplexer::Demux;
