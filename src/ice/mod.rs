//! ICE (RFC 8445) and STUN (RFC 8489): the agent of one session with its five-tuples and their proof, consent and
//! restarts; the STUN codec; credentials. `demux` gives each agent the STUN messages of its session. For clients the
//! relay is ICE-lite; where it dials another relay, its agent is the controlling one of a full implementation.

mod admission;
pub(crate) mod agent;
pub(crate) mod binding;
mod check;
mod control;
mod credentials;
mod dialling;
mod generation;
mod leg;
pub(crate) mod public_stun;
pub mod stun;

pub(crate) use admission::Admission;
pub use credentials::Credentials;
pub(crate) use credentials::InvalidCredentials;
pub(crate) use leg::{Leg, MAX_DIALLED};
