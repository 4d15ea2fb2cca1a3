//! SRTP (RFC 3711, RFC 7714): publishers' packets are opened in place, viewers' are sealed in the send arena.
//!
//! The keys are the DTLS connection's own, but the peer connection never sees RTP: its way costs 1.1 to 2.6 us a packet
//! in allocations, queues and copies, this one 0.3 us. Both transforms are done here over the caller's 48-bit packet
//! index. webrtc-rs's `Context` would do for AES-CM, but it keeps an index of its own, which a resend or a splice would
//! have to agree with, makes state for an SSRC before it has authenticated anything, and copies each packet.
//! The tests hold this module to that `Context`, both ways, so a new `rtc` that derives otherwise does not pass.
//!
//! The rules: nothing is allocated on the way of a packet, and one (SSRC, index) is sealed over one content only.

mod cm_sha1;
mod gcm;
mod header;
pub mod index;
mod keys;
#[cfg(debug_assertions)]
mod nonce_guard;
mod open;
mod retired;
mod seal;
mod transform;

pub use header::{Clear, Extension};
pub use keys::{KeyError, Keys, MasterKey, SrtpProfile};
pub use open::{Opened, Opener};
pub use seal::{SealError, Sealer};
