//! Who is let in at the demultiplexer.

use super::credentials::Credentials;

/// What lets a client in: the credentials of both sides, from the answer and the offer.
#[derive(Clone)]
pub struct Admission {
    /// The relay's own.
    pub local: Credentials,
    /// The client's.
    pub remote: Credentials,
}
