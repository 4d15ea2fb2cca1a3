//! RTCP in both directions (RFC 3550, RFC 4585): reports, NACKs, transport-wide feedback and keyframe requests to
//! publishers; sender reports to viewers; and what both send. Workers call it for each received RTP and RTCP packet.
//!
//! RTP does not go through the peer connection, so webrtc-rs cannot know what was received or sent, and the relay
//! writes and reads RTCP itself. Everything here is pure: it gets arrivals and times, and answers with packets. RTCP
//! has an effect only for SSRCs of the transport that it came on. BYE is ignored: a session ends by DELETE, by DTLS or
//! without consent.

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

pub(crate) use arrivals::Arrivals;
pub use compound::Compound;
pub use packets::{Block, RtcpPacket, packets};
pub(crate) use packets::{Blocks, Sequences, SsrcList};
pub use reception::Reception;
pub(crate) use sender::{Outgoing, RoundTrip, sender_report};
pub(crate) use sender_clock::{Basis, SenderClock};
