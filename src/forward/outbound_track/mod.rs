//! One viewer's leg of one track: it draws packets from a history, places them on the viewer's line and writes them out.
//!
//! Pictures begin at a keyframe, sound at once; a new publisher's line is spliced in at its first keyframe and the old one
//! goes on until then. A viewer that comes between two keyframes is sent the pictures since the last one, faster than they
//! were made ([`replay`]). The rules: per packet no allocation; and a number of the line is written with one content only,
//! so the header has no field that is not a function of the source packet and its segment. A resend without RTX repeats
//! the first sending bit for bit; one with RTX has an SSRC and numbers of its own (RFC 4588).

mod config;
mod pull;
mod repair;
mod replay;
mod replay_clock;
mod resends;
mod routes;
mod sent;
mod track;
mod write;

#[cfg(test)]
mod tests;

pub use config::{FirstNumbers, Negotiated, OutboundTrackConfig};
pub use replay_clock::catch_up_time;
pub use resends::{BURST_OCTETS, RESENDS_PER_PACKET};
pub use track::{Counts, OutboundTrack, Resend, TrackState, Written};
