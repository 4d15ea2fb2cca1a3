//! The media threads: each worker is one thread, one UDP socket and the peers that live on it.
//!
//! [`Engine`] is the worker without its thread: told the time and the bytes, it answers with values, so that tests and
//! benches drive it in virtual time. `turn` is its event loop. [`Handle`] is all that HTTP, cascade and load see.

mod batch;
mod config;
mod counters;
mod engine;
mod feed;
mod handle;
mod joins;
mod lobby;
mod message;
mod publisher;
mod session;
mod socket;
mod streams;
mod timers;
mod turn;
mod viewer;

pub use batch::{Batch, MAX_DATAGRAM, Outbox, Sent, Tally};
pub use config::{Config, ConfigError};
pub use engine::Engine;
pub use handle::{Create, CreateError, Created, Handle, PatchError, Patched, Restart, SessionInfo};
pub use socket::{BindError, Socket};
pub use turn::{StartError, Workers, start};
