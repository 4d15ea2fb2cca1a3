//! Synthetic publishers and viewers, and a report of what they received and what it cost: `sluice load`.
//!
//! All clients run in this process, separate from the relay's, on one thread with one socket each. They are the
//! [`Client`](crate::peer::client::Client)s of the tests: real offers, ICE, DTLS and RTCP. RTP is counted by its clear
//! header; a few viewers decrypt it, check the payload and read when it was sent. The rules: the load must not be the
//! bottleneck, so it reports its own share of a CPU; it stops by itself; and it ends the sessions that it created.
//!
//! Publishers may send simulcast layers, and viewers may have links of limited capacity: then all viewers decrypt, report
//! arrivals by transport-wide feedback, and the report says which layer each capacity got.

mod command;
mod config;
mod downlink;
mod field;
mod join;
mod layers;
mod link;
mod payload;
mod process;
mod publisher;
mod report;
mod rtp_stream;
mod shown;
mod viewer;

pub use command::run;
pub use config::Config;
pub(crate) use report::Report;
