//! What ICE needs (RFC 8445, RFC 8489): the STUN codec, credentials, and the state of checks.

mod admission;
pub(crate) mod agent;
mod check;
mod credentials;
mod generation;
pub mod stun;

pub use admission::Admission;
pub use credentials::Credentials;
pub use credentials::InvalidCredentials;
