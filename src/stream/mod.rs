//! Streams: who publishes, who watches, and how workers reach each other.
//!
//! Only two things are shared and mutable: the [`Registry`] map, touched when a session joins or leaves, and the
//! [`Inbox`]es. Nothing here is locked while a packet passes.

mod eviction;
mod inbox;
mod liveness;
#[cfg(test)]
mod models;
mod publication;
mod publisher;
mod registry;

/// Why a session ended: the word that its log line, its metric and its operator see.
pub use eviction::{COOL_DOWN, Identity, Refused, SILENT};
pub use inbox::{Full, Inbox, Sender, inbox};
pub use liveness::Liveness;
pub use publication::{Announced, Announcement, Entrance, Publication, Takeover};
pub use publisher::{Absence, Live, WorkerId};
pub use registry::{Departure, Registry, StreamInfo, Watch};
