//! A relay as a process: the binary's command line, log and end, and what `sluice load` finds, over real sockets.

#![expect(clippy::unwrap_used, reason = "the functions that tests share may end a test, as tests may")]

mod binary;

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "../support/nats_server.rs"]
mod nats_server;
#[path = "../support/node_token.rs"]
mod node_token;

mod cluster;
mod command_line;
mod drain;
mod edges;
mod legs;
mod load;
mod log;
mod session_urls;
mod stuck;
