//! The node as HTTP sees it: sessions are created, restarted, ended and listed here.
//!
//! Everything here runs on the caller's thread; workers are reached only by messages to their inboxes and by the tables
//! that they share (`worker::shared`).

mod create;
mod create_request;
mod dial;
mod end;
mod events;
mod handle;
mod held;
mod ice_restart;
mod offline;
mod records;
mod select;
mod self_check;

#[cfg(test)]
mod tests;

pub use create_request::{Create, CreateError};
pub(crate) use create_request::{CreatedSession, TurnServer};
pub use dial::Dial;
pub use handle::Handle;
pub(crate) use handle::{PatchError, SessionInfo};
pub use ice_restart::Restart;
pub use offline::Offline;
