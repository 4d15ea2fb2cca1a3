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
//!  demultiplexer: a proven path, or STUN with integrity      seal: header rewrite, AES-GCM
//!      |  DTLS, RTCP, SCTP --> peer (webrtc-rs)     straight into the send arena
//!      v  RTP                                                                    ^
//!  open in place (SRTP), index and replay checked   outbound tracks, viewer by viewer    |
//!      v                                                                         |
//!  packet: parsed once --> inbox of B, one push per worker ----------------------+
//! ```
//!
//! # Modules
//!
//! A module uses only modules below it in this list; those of the first row of `tests/boundary.rs` with several modules
//! (how a relay starts and stops) and of the last (what all others need) may use each other, but never in a circle.
//! That test holds the rule, the order of this list, and that no files use each other in a circle.
//!
//! | module | what it is |
//! | --- | --- |
//! | `cli` | the command line: subcommands, flags and their environment variables |
//! | `config` | gathers the settings of each module: defaults, file, environment, flags |
//! | `reload` | reads the configuration again while the relay runs |
//! | `server` | starts all parts in order and stops them in the reverse order |
//! | `stop` | how a relay is asked to stop |
//! | `http` | WHIP, WHEP, session resources, API, pages and metrics over HTTP |
//! | `load` | synthetic publishers and viewers and their report (`sluice load`) |
//! | `node` | what HTTP talks to: sessions begin, restart and end by its handle |
//! | `worker` | the media threads: one thread, one UDP socket and its peers each |
//! | `session` | what workers share: pending sessions, records, quotas, assignment to workers |
//! | `demux` | which session a datagram belongs to, and which part of it (RFC 7983) |
//! | `peer` | one webrtc-rs peer connection: handshake, keys, RTCP, data channels |
//! | `sdp` | reads offers and trickle fragments, writes answers |
//! | `sctp` | the filter for decrypted SCTP, data channel messages |
//! | `ice` | the STUN codec, credentials and connectivity checks |
//! | `dtls` | DTLS records, ClientHello, the budget of handshakes, alerts |
//! | `rtcp` | reception state of publishers: reports, NACK, transport-cc, keyframe requests |
//! | `srtp` | opens the packets of publishers, seals those of viewers |
//! | `stream` | the registry of streams, publications, and inboxes between workers |
//! | `forward` | packets, codecs, histories and the outbound tracks of viewers |
//! | `auth` | who may publish, watch and administer |
//! | `metrics` | the instruments of `/metrics` |
//! | `client` | a small WHIP and WHEP client |
//! | `five_tuple` | the addresses between which datagrams go |
//! | `health` | asks a relay whether it is healthy (`sluice healthcheck`) |
//! | `log` | what is logged, and how often |
//! | `name` | names of streams and sessions |
//! | `reason` | why packets are dropped |
//! | `setting` | how values of settings are written |
//! | `shared` | the types that threads share, which loom checks |
//! | `systemd` | tells the service manager the state of the relay |

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
