//! Why a request is denied.

use serde::{Deserialize, Serialize};

/// Why a request is denied.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Denied {
    /// The request carries no token.
    #[error("this needs a token: send it as \"Authorization: Bearer TOKEN\", or as ?token=TOKEN in the address")]
    NoToken,
    /// The token is unknown.
    #[error("this token is unknown: check it")]
    UnknownToken,
    /// The token was valid once.
    #[error("this token has expired: get a new one")]
    Expired,
    /// An administrator has revoked the token.
    #[error("this token was revoked: get a new one")]
    Revoked,
    /// The token will be valid later.
    #[error("this token is not valid yet: wait, or check the clocks of its issuer and of the relay")]
    NotYetValid,
    /// A known key has signed the token, but its claims are not what the relay expects.
    #[error(
        "this token is signed, but its claims are wrong or incomplete: it needs exp, actions and streams, and the issuer \
         and audience that the relay expects"
    )]
    WrongClaims,
    /// The relay does not know the token, and the server that decides about it refuses it.
    #[error("this token is refused: get another one")]
    Refused,
    /// The relay does not know the token, and the server that decides about it, or that has its key, did not answer.
    #[error("whether this token allows that cannot be decided now: try again")]
    Undecided,
    /// The client has sent too many tokens that are unknown.
    #[error("this address has sent too many unknown tokens: wait, and check the token")]
    SlowedDown,
    /// The token is known, but allows something else.
    #[error("this token does not allow that: use one that does")]
    NotAllowed,
    /// The token is no valid one of a node.
    #[error(
        "this is for the nodes of the cluster: it needs a token for this node, method and path, signed by --cluster-secret"
    )]
    NotANode,
    /// The ticket in the URL does not count.
    #[error("this URL has expired, or is for another node: ask again at the address that the stream was found at")]
    NoTicket,
    /// No token allows this.
    #[error("no client may do this: the operator of the relay must set admin-token")]
    NoAdmin,
}
