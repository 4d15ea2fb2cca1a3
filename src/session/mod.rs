//! What threads share of sessions: those that wait for their first packet, what is known of each, the limits on how
//! many there are, and the worker that each is assigned to. HTTP adds sessions through `node`; workers take them and
//! write their records, which HTTP reads.

pub(crate) mod assignment;
pub(crate) mod cache_budget;
mod client;
pub(crate) mod client_closed;
pub(crate) mod events;
mod explanation;
pub(crate) mod pending_sessions;
pub(crate) mod quota;
pub(crate) mod random_ids;
mod selection;
pub(crate) mod session_record;
pub(crate) mod steering;
pub(crate) mod unreached;

#[cfg(test)]
mod models;

pub use client::ClientSource;
pub(crate) use client::{ClientGroup, is_readable};
pub(crate) use events::{NodeEvent, PublisherState};
pub use quota::Quota;
pub use selection::Selection;
pub(crate) use selection::{Choosable, size_order};
pub(crate) use session_record::{Checks, LayerSeconds, LegEnd, Rates, SessionRecord, Switches, VideoSection};
pub use session_record::{LayersSent, Network, Report, Stage, TrackReport};
