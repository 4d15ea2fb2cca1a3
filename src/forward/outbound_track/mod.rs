//! What one viewer is sent of one track: an outbound track reads packets from a history, gives each a place in the
//! viewer's RTP stream and writes it.
//!
//! Video begins at a keyframe, audio at once. A new publisher is spliced in at its first keyframe, and the old one
//! continues until then. A viewer that joins between two keyframes gets the frames since the last one, faster than real
//! time (`replay`). The rules: no allocation per packet; and a packet index is written with one content only, so every
//! header field is a function of the source packet and its segment. A resend without RTX repeats the first sending bit
//! for bit; a resend by RTX has its own SSRC and numbers (RFC 4588).

mod config;
mod frame_limit;
mod pull;
mod repair;
mod replay;
mod replay_clock;
mod resends;
mod routes;
mod sent;
mod switch;
mod timeline;
mod track;
mod write;

#[cfg(test)]
mod tests;

pub use config::{FirstNumbers, NegotiatedFormat, OutboundTrackConfig};
pub(crate) use frame_limit::FrameLimit;
pub(crate) use repair::Histories;
pub(crate) use replay_clock::catch_up_time;
pub use resends::BURST_OCTETS;
pub(crate) use track::{Counts, TrackState};
pub use track::{OutboundTrack, Written};
