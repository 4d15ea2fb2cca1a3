//! A worker without its thread: told the time and the bytes, it answers with values. It sequences the steps of the other rooms; the
//! event loop and, in virtual time, tests call it.

mod assignment;
mod channels;
mod handed_over;
mod held;
mod joins;
mod mailbox;
mod publisher_loss;
mod sample;
mod standby;
pub(crate) mod state;
mod steering;
mod streams;
mod timers;
mod viewer_pause;
