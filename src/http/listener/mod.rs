//! Accepts connections, counts them by client, and serves HTTP/1.1 on them within deadlines.

mod accept;
mod body;
mod limits;
mod place;
mod places;
mod socket;

pub use accept::Timing;
pub(super) use accept::{Entry, is_for_operators, serve};
pub use limits::Limits;
pub(super) use place::Place;
