//! A worker without its thread: told the time and the bytes, it answers with values. It sequences the steps of the
//! other rooms; the event loop and, in virtual time, tests call it.

mod channels;
mod datagrams;
mod joins;
mod messages;
mod other_workers;
mod sample;
mod silence;
mod standby;
pub(crate) mod state;
mod streams;
pub(crate) mod turn;
