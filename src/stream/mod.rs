//! Streams: their publishers and viewers, and how workers reach each other.
//!
//! Three things are shared and mutable: the [`Registry`] map, used when a session joins, changes or leaves; the
//! [`Inbox`]es, which are lock-free; and the time at which each publisher was last received, which is atomic. No lock
//! is taken while a packet passes.

mod eviction;
mod inbox;
mod liveness;
#[cfg(test)]
mod models;
mod publication;
mod publisher;
mod registry;

pub use eviction::COOL_DOWN;
pub(crate) use eviction::{Identity, SILENT, TakeoverRefused};
pub(crate) use inbox::{Inbox, InboxFull, Sender, inbox};
pub(crate) use publication::{Announced, Announcement, Entrance, Publication, Takeover};
pub(crate) use publisher::{Absence, Live, WorkerId};
pub(crate) use registry::{Departure, Registry, StreamInfo, Watch};
