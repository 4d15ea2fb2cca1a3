//! SRTP (RFC 3711, RFC 7714): publishers' packets are opened in place, viewers' are sealed in the send arena, and the
//! RTCP of both is opened in place.
//!
//! Workers call [`Opener`] for received RTP and [`Sealer`] for each RTP packet that they send; [`peer`](crate::peer)
//! calls [`RtcpOpener`] for received RTCP. The few RTCP packets that the relay sends are sealed by the peer connection.
//!
//! The keys are those of the DTLS connection, but RTP does not go through the peer connection, where a packet costs 1.1
//! to 2.6 us in allocations, queues and copies; here it costs 0.3 us. Both transforms use the caller's 48-bit packet
//! index. webrtc-rs's `Context` keeps an index of its own, which would have to agree with resends and splices, makes
//! state for an SSRC before it has authenticated anything, and copies each packet. The tests compare this module with
//! that `Context` in both directions, so that a new `rtc` that derives keys differently fails them. For RTCP that
//! `Context` takes 2,700 instructions a datagram, and with SHA1_80 it accepts packets that claim to be unencrypted
//! without checking their tag.
//!
//! The rules: no allocation for a packet, and an (SSRC, index) is never sealed over two contents.

mod cm_sha1;
mod gcm;
mod header;
pub(crate) mod index;
mod keys;
#[cfg(debug_assertions)]
mod nonce_guard;
mod open;
mod open_rtcp;
mod retired;
mod seal;
mod transform;

pub use header::Clear;
pub(crate) use keys::Keys;
pub use keys::{MasterKey, SrtpProfile};
pub(crate) use open::Opened;
pub use open::Opener;
pub use open_rtcp::RtcpOpener;
pub use seal::Sealer;
