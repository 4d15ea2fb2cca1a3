//! Sluice: a headless SFU media relay. One publisher sends a stream by WHIP (RFC 9725), any number of viewers
//! watch it by WHEP (draft-ietf-wish-whep).
//!
//! # Words
//!
//! | word | meaning |
//! | --- | --- |
//! | Stream | a named broadcast: at most one live publisher, any number of viewers |
//! | Publisher, Viewer | the two roles of a session |
//! | Session | the HTTP resource of one publisher or viewer (the `Location` of the 201) |
//! | Peer | one webrtc-rs peer connection and what the relay keeps beside it |
//! | Track, Layer | one published medium; one simulcast encoding of it |
//! | Outlet | one viewer's leg of one track |
//! | Worker | one thread, one UDP socket, the peers that live on it |
//! | Node | one sluice process |
//!
//! # The way of a packet
//!
//! ```text
//!  publisher                                                                  viewers
//!      | UDP      worker A (thread, socket)         worker B (thread, socket)    ^ UDP
//!      v                                                                         |
//!  receive a batch (recvmmsg, GRO)                  GSO runs, one per viewer burst
//!      v                                                                         |
//!  door: a proven path, or STUN with integrity      seal: header rewrite, AES-GCM
//!      |  DTLS, RTCP, SCTP --> peer (webrtc-rs)     straight into the send arena
//!      v  RTP                                                                    ^
//!  open in place (SRTP), index and replay checked   outlets, viewer by viewer    |
//!      v                                                                         |
//!  packet: parsed once --> inbox of B, one push per worker ----------------------+
//! ```
//!
//! # Modules
//!
//! A module uses only modules below it in this list; `tests/boundary.rs` holds that rule.

/// Test support is written for integration tests and used by unit tests too.
#[cfg(test)]
extern crate self as sluice;

pub mod cli;
pub mod config;
pub mod reload;
pub mod server;
pub mod stop;

pub mod http;
pub mod load;

pub mod node;
pub mod session;
pub mod worker;

pub mod demux;
pub mod dtls;
pub mod forward;
pub mod ice;
pub mod peer;
pub mod rtcp;
pub mod sctp;
pub mod sdp;
pub mod srtp;
pub mod stream;

pub mod auth;
pub mod client;
pub mod five_tuple;
pub mod health;
pub mod log;
pub mod metrics;
pub mod name;
pub mod reason;
mod setting;
mod shared;
pub mod systemd;
