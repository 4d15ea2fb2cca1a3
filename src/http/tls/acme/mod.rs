//! A certificate from an authority that speaks ACME (RFC 8555), such as Let's Encrypt, and its renewal.
//!
//! The relay proves that it has its names by TLS-ALPN-01 alone (RFC 8737), which needs only the port of HTTPS: while an
//! order is pending, a handshake for `acme-tls/1` is answered with the certificate of its challenge. Account,
//! certificate and the times of orders are kept in the state directory. The rule: the relay orders only when a
//! certificate is due, never more often than the authority's limits allow, and not sooner because of a restart.

mod challenges;
mod client;
mod config;
mod error;
mod kept;
mod order;
mod renewal;
mod schedule;

pub(super) use challenges::{ACME_TLS, Challenges};
pub use config::AcmeConfig;
pub(super) use config::{contact, directory, domain};
pub(super) use error::{AcmeError, FailedOrder};
pub(super) use renewal::Acme;
