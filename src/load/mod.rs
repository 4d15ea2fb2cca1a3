//! Synthetic publishers and viewers, and the report of what they saw and what it cost: `sluice load`.
//!
//! All clients live in this process, which is not the relay's, on one thread with a socket each. They are the same
//! [`Client`](crate::peer::client::Client)s as in the tests: real offers, ICE, DTLS and RTCP. RTP is counted from its
//! clear header; a few viewers open it, check what is in it, and read when it was sent. The rules: the load must not be
//! the bottleneck, so it tells its own share of a CPU; it stops by itself; and it ends the sessions it made.

mod command;
mod config;
mod field;
mod join;
mod link;
mod payload;
mod process;
mod publisher;
mod report;
mod rtp_stream;
mod viewer;

pub use command::run;
pub use config::Config;
pub use report::Report;
