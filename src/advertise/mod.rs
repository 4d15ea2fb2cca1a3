//! The public addresses of the media port (`--advertise`): as they are written, looked up by name, or learned from STUN
//! servers.
//!
//! Names and learned addresses are brought up to date every 5 minutes, and every 5 s while one is missing. The rule: an
//! address is replaced only by a newer one. While a name server or a STUN server does not answer, its last address stays.

mod advertised;
pub(crate) mod exchange;
mod learned;
mod value;

pub(crate) use advertised::{Advertised, keep_current};
pub(crate) use value::PublicAddress;
pub use value::{Advertise, StunServer};
