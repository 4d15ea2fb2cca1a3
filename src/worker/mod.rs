//! The media threads: each worker is one thread, one UDP socket and the peers that live on it.
//!
//! `engine` is the worker without its thread: told the time and the bytes, it answers with values. `turn` is its event
//! loop; [`Offline`] lets tests and benches drive it in virtual time. [`Handle`] is all that HTTP, cascade and load see.

mod absence;
mod batch;
mod bitrate;
mod cache_budget;
mod channels;
mod client;
mod config;
mod counters;
mod create;
mod departed;
mod drops;
mod engine;
mod engine_assignment;
mod engine_channels;
mod engine_handed_over;
mod engine_held;
mod engine_mailbox;
mod engine_publisher_loss;
mod engine_sample;
mod engine_standby;
mod engine_steering;
mod engine_viewer_pause;
mod events;
mod feed;
mod foreign;
mod formats;
mod handle;
mod heartbeat;
mod hold;
mod joins;
mod leg;
mod lint;
mod lobby;
mod message;
mod meter;
mod node_events;
mod node_held;
mod node_records;
mod node_slots;
mod offline;
mod placing;
mod post;
#[cfg(target_os = "linux")]
mod program;
mod publisher;
mod publisher_loss;
mod quota;
mod record;
mod redundancy;
mod reports;
mod restart;
mod said;
mod sample;
mod secrets;
mod session;
mod sessions;
mod settings;
mod share;
mod shared;
mod socket;
mod sources;
mod steering;
mod streams;
mod stuck;
mod timers;
mod track;
mod turn;
mod unreached;
mod viewer;
mod watchdog;

#[cfg(test)]
mod models;
#[cfg(test)]
mod tests;

pub use batch::{Batch, MAX_DATAGRAM, Outbox, Sent};
pub(crate) use client::Client;
pub use client::Source;
pub use config::{Config, ConfigError};
pub use create::{Create, CreateError, Created};
pub use events::{Event, PublisherState};
pub use handle::{Handle, PatchError, SessionInfo};
pub use offline::Offline;
pub use quota::Quota;
pub use record::{Checks, ENDED, Rates, Record, Report, Stage, TrackReport};
pub use restart::{Patched, Restart};
pub use settings::Settings;
pub use socket::BindError;
pub use stuck::Held;
pub use turn::{StartError, Workers, start};
