//! Reads requests: where they come from, which stream or session they name, which headers and types, and a body that is
//! bounded in size and time.

mod mistakes;
mod parts;

pub(super) use parts::*;
