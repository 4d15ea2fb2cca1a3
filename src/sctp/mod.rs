//! A filter for decrypted SCTP (RFC 9260) between a client's DTLS and webrtc-rs's SCTP, called by `peer`.
//!
//! A client with the keys of a session can send any SCTP packet, and webrtc-rs 0.21 trusts what it gets: it opens a
//! stream for each identifier and an association for each INIT, counts up to any TSN that a FORWARD-TSN names, and
//! slices error causes by the length that they claim. So each packet goes through this filter first. The filter follows
//! the association in both directions, and passes what a WebRTC client sends within the bounds below.
//!
//! The rules:
//!
//! - No state changes before the checksum (CRC32c), the verification tag and the shape of every chunk hold.
//! - A chunk that passes has the length that webrtc-rs computes for it, or both would see different chunks behind it.
//! - A refused chunk is taken out of its packet, as if the network had lost it. A chunk that SCTP would repeat for ever
//!   ends the session instead, with a [`Violation`].
//! - What a session makes webrtc-rs keep is bounded: associations, streams, chunks out of order, unfinished messages.

mod association;
mod bounds;
mod bytes;
mod dcep;
mod filter;
mod handshake;
mod intake;
mod packet;
mod parameters;
mod piece;
mod rate;
mod streams;
mod violation;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use bounds::MAX_MESSAGE_SIZE;
pub use bounds::{MAX_CHANNELS, MAX_STREAM};
pub use dcep::Reliability;
pub use filter::{Filter, Filtered};
pub use rate::ChannelLimits;
pub use violation::Violation;
