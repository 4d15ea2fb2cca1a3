//! How values are written that settings of several modules have in common. A module's `Settings` are its flags, their
//! environment twins and its section of the TOML file in one struct; `config` gathers them.

use std::net::SocketAddr;

/// Reads an address with its port, or says how one is written.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, for example 0.0.0.0:8080 or [::]:8080".to_owned())
}
