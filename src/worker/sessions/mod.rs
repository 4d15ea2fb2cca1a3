//! The sessions of one worker: the table of them, and each one's way from its first check to its last log line. The
//! engine calls it; `node` and `event_loop` call `ended` for sessions that never sent a packet.

pub(crate) mod ended;
pub(crate) mod feed_viewers;
mod media;
mod peer;
pub(crate) mod report;
pub(crate) mod session;
pub(crate) mod setup;
pub(crate) mod table;
