//! JSON Web Tokens (RFC 7519): whose keys sign them, what they claim, and whether they are valid now.
//!
//! A token is checked with keys that the operator named, by a file or by the URL of a JWK Set; whatever a token says of
//! keys itself (`jku`, `x5u`, `jwk`) is ignored. Four algorithms are known: HS256, RS256, ES256 and EdDSA.

mod claims;
mod keys;
mod provider;
mod remote;
mod shared_secrets;
mod sign;
mod verifier;

pub(super) use claims::ClaimedLimits;
pub(super) use remote::{InvalidUrl, RemoteKeys, check_url};
pub use shared_secrets::SharedSecretsError;
pub(crate) use shared_secrets::{SharedSecrets, is_of_kind};
pub use sign::SignError;
pub(super) use sign::sign;
pub(super) use verifier::{Unverified, Verifier};
