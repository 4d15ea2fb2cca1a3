//! The directory of a cluster: the same cases against the store in memory and against a NATS server, then what only a
//! server can show: it ends, its bucket is lost, it refuses.
//!
//! `SLUICE_NATS_SERVERS=3 cargo test --test directory` runs the same against clusters of three servers, which elect a leader
//! for some seconds whenever one ends.

#![expect(clippy::unwrap_used, reason = "the functions that tests share may end a test, as tests may")]

mod black_hole;
mod cases;
mod late_writes;
#[path = "../support/nats_server.rs"]
mod nats_server;
mod node;
mod refused;
mod restarts;
mod servers;
mod storm;
