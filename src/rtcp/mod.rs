//! RTCP both ways: what a publisher is told of what arrives from it, and what a viewer says and is told.
//!
//! RTP passes the peer connection by, so webrtc-rs cannot know what arrived or was sent; its RTCP is ours to write and to
//! read. Everything here is pure: it is told arrivals and times, and asked for packets. RTCP is only ever about SSRCs of
//! the transport that it came on; what it says of others has no effect, and no BYE ends anything, because a session ends
//! by DELETE, by DTLS or by silence.

mod arrivals;
mod clocks;
mod compound;
mod missing;
mod ntp;
mod packets;
mod reader;
mod reception;
mod sender;
mod sender_clock;
mod source;

pub use compound::Compound;
pub use packets::{Block, Blocks, Packet, Sequences, Sources, packets};
pub use reception::{Quality, Reception, Tally};
pub use sender::{Outgoing, RoundTrip, keyframe_request, sender_report};
pub use sender_clock::SenderClock;
