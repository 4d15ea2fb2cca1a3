//! Why there is no certificate; each text says what to do.

use std::io;
use std::path::PathBuf;

use super::acme::{AcmeError, FailedOrder};
use super::certificate::{ChainFault, KeyFault};
use crate::setting::file_advice;
use crate::state_dir::StateDirError;

/// Why there is no certificate, or why a newer one is not served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path} ({flag}): {}", file_advice(error))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The setting that names it.
        flag: &'static str,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The file of the certificate is not usable.
    #[error("{path} (--tls-cert) {fault}")]
    Chain {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: ChainFault,
    },
    /// The file of the key is not usable.
    #[error("{path} (--tls-key) {fault}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: KeyFault,
    },
    /// The two files are no pair.
    #[error(
        "the key in {key} does not belong to the first certificate in {cert}: write the two that were issued together, \
         the server's own certificate before those of its issuers"
    )]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A changed file has a certificate that is over already.
    #[error("the certificate in {path} expired on {day}: write the renewed one there")]
    Expired {
        /// The file.
        path: PathBuf,
        /// The day of its expiry.
        day: String,
    },
    /// The relay cannot make a certificate.
    #[error("no self-signed certificate can be made: {0}")]
    Generation(String),
    /// The relay cannot order certificates.
    #[error(transparent)]
    Acme(#[from] AcmeError),
    /// An order has failed.
    #[error(transparent)]
    Order(#[from] FailedOrder),
    /// The state directory is not usable.
    #[error(transparent)]
    State(#[from] StateDirError),
}
