//! Reads requests: where they come from, which stream or session they name, their headers, and a body that is bounded
//! in size and time.

pub(super) mod asker;
pub(super) mod body;
pub(super) mod connection;
pub(super) mod forwarded;
pub(super) mod headers;
mod mistakes;
pub(super) mod path;
pub(super) mod query;
