//! The threads of the workers: the event loop that each runs, and the watchdog that detects a worker that is stuck.
//! `server` starts them.

pub(crate) mod turn;
pub(crate) mod watchdog;
