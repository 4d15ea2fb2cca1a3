//! HTTPS: which certificate the public listener serves, and how it stays current while the relay runs.
//!
//! Handshakes are TLS 1.2 or 1.3 of rustls with ring, and ALPN allows HTTP/1.1 only. [`Tls`] holds one certificate at a
//! time. Each new handshake takes the one of that moment, so a renewed certificate ends neither connections nor
//! sessions. The rule: a certificate that is worse than the one in use (unreadable, without its key, expired) never
//! replaces it; the log says what to do instead.

mod acme;
#[cfg(test)]
#[path = "../../../tests/support/any_certificate.rs"]
mod any_certificate;
mod certificate;
mod config;
mod error;
mod expiry;
mod files;
mod names_asked;
#[cfg(test)]
mod place;
mod self_signed;
mod served;
mod settings;
mod source;

pub use acme::AcmeConfig;
pub(crate) use config::ConfigError;
pub use config::{CertificateSource, Config, PlainHttp};
pub(crate) use error::TlsError;
pub(crate) use served::Tls;
pub(crate) use settings::Settings;
