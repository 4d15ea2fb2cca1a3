//! The media threads: each worker is one thread, one UDP socket and the peers that live on it.
//!
//! `engine` is the worker without its thread: it is given the time and the bytes, and answers with values. It sequences
//! the steps of `publishing`, `viewing` and `sessions`, which count in `stats`. `event_loop` runs it on the socket of
//! `net`; tests and benches drive it in virtual time. The node reaches it by messages alone.

pub(crate) mod config;
pub(crate) mod engine;
pub(crate) mod event_loop;
mod held;
mod liveness;
mod mailbox;
pub(crate) mod message;
pub(crate) mod net;
mod presence;
pub(crate) mod publishing;
pub(crate) mod sessions;
mod settings;
pub(crate) mod shared;
pub(crate) mod stats;
mod timers;
pub(crate) mod viewing;

pub use config::Config;
pub(crate) use config::ConfigError;
pub(crate) use event_loop::turn::{StartError, Workers, start};
pub(crate) use held::Held;
pub use net::batch::{Batch, Outbox, SendOutcome};
pub use net::own_socket::OwnSocket;
pub(crate) use settings::Settings;
