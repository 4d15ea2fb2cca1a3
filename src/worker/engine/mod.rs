//! A worker without its thread: it is given the time and the bytes, and answers with values. It sequences the steps of
//! `publishing`, `viewing` and `sessions`; the event loop and, in virtual time, tests call it.

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
