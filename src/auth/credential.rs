//! Who holds a token: what a session stores of it, and what later requests for that session are compared with.

use std::fmt;

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq as _;

/// Identifies the sender of a request by its token: anonymous, or the digest of the token, so that neither memory nor
/// logs hold a secret.
#[derive(Clone, Copy)]
pub struct Credential(Option<[u8; 32]>);

impl Credential {
    /// No token.
    pub const ANONYMOUS: Self = Self(None);

    /// The holder of `token`.
    pub(crate) fn of_token(token: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(Some(bytes))
    }

    /// The holder of the token with this SHA-256 digest.
    pub(crate) fn of_digest(digest: [u8; 32]) -> Self {
        Self(Some(digest))
    }

    /// True without a token.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.0.is_none()
    }
}

impl PartialEq for Credential {
    /// Constant time, wherever two digests differ.
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(own), Some(other)) => bool::from(own.ct_eq(other)),
            _ => false,
        }
    }
}

impl Eq for Credential {}

impl std::hash::Hash for Credential {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_anonymous() { "Credential(anonymous)" } else { "Credential(token)" })
    }
}
