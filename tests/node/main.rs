//! A relay as a process: the binary's command line, log and end, and what `sluice load` finds, over real sockets.

#![expect(clippy::unwrap_used, reason = "the functions that tests share may end a test, as tests may")]

mod binary;

mod command_line;
mod drain;
mod load;
mod log;
mod stuck;
