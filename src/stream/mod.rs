//! Streams: who publishes, who watches, and how workers reach each other.
//!
//! Only two things are shared and mutable: the [`Registry`] map, touched when a session joins or leaves, and the
//! [`Inbox`]es. Nothing here is locked while a packet passes.

mod inbox;
mod registry;

/// Why a session ended: the word that its log line, its metric and its operator see.
pub use crate::metrics::End as Reason;
pub use inbox::{Full, Inbox, Sender, inbox};
pub use registry::{Announcement, Departure, Live, Publication, Registry, StreamInfo, Takeover, Watch, WorkerId};
