//! Streams: who publishes, who watches, and how workers reach each other.
//!
//! Only two things are shared and mutable: the [`Registry`] map, touched when a session joins or leaves, and the
//! [`Inbox`]es. Nothing here is locked while a packet passes.

mod inbox;
mod reason;
mod registry;

pub use inbox::{Full, Inbox, Sender, inbox};
pub use reason::Reason;
pub use registry::{Announcement, Departure, Live, Publication, Registry, StreamInfo, Takeover, Watch, WorkerId};
