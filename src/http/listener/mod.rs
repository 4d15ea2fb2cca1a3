//! Accepts connections, counts them by client, and serves HTTP/1.1 on them within deadlines.

pub(super) mod accept;
mod body;
mod first_octet;
mod handshake;
pub(super) mod limits;
pub(super) mod place;
mod places;
mod proxy_header;
mod socket;
