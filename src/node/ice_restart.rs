//! What a client asks for when it restarts ICE, and what it gets (RFC 9725 4.3.2).

use std::net::{IpAddr, SocketAddr};

use crate::ice::Credentials;
use crate::session::Source;

/// New credentials of a client (RFC 9725 4.3.2).
#[derive(Debug)]
pub struct Restart {
    /// The client's new ICE credentials.
    pub remote: Credentials,
    /// The relay's address on which the HTTP request arrived, if known.
    pub http_local: Option<IpAddr>,
    /// The client's address.
    pub http_remote: IpAddr,
    /// How that address is known.
    pub source: Source,
}

/// A session's new ICE credentials on the relay's side.
#[derive(Debug)]
pub struct Patched {
    /// What the fragment tells the client.
    pub local: Credentials,
    /// The relay's candidates.
    pub candidates: Vec<SocketAddr>,
    /// Entity tag of the new ICE session, with quotes.
    pub etag: String,
}
