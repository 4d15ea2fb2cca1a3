//! The credentials of both sides of a session.

use super::credentials::Credentials;

/// What the checks of a client must prove: the credentials of both sides, from the answer and the offer.
#[derive(Clone)]
pub(crate) struct Admission {
    /// The relay's, from the answer.
    pub(crate) local: Credentials,
    /// The client's, from the offer.
    pub(crate) remote: Credentials,
}
