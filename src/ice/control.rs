//! Which agent decides on the path of a session (RFC 8445 6.1.1).

use super::stun::{CheckRole, StunMessage};
use crate::five_tuple::FiveTuple;

/// The role of an agent.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Control {
    /// The other side nominates: it is a client.
    Controlled,
    /// This agent nominates, because the relay dials.
    Controlling {
        /// Decides if both sides take the role.
        tie_breaker: u64,
        nomination: Nomination,
    },
}

/// How far the nomination of a path by this agent is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Nomination {
    /// No address has answered yet.
    None,
    /// This path is nominated, and the check that says so has no answer yet.
    Asked(FiveTuple),
    /// That check was answered.
    Done,
}

impl Control {
    /// True while the nomination of this path has no answer.
    pub(super) fn nominates(self, path: FiveTuple) -> bool {
        matches!(self, Self::Controlling { nomination: Nomination::Asked(asked), .. } if asked == path)
    }

    /// The role that a check of this path names.
    pub(super) fn on(self, path: FiveTuple) -> CheckRole {
        match self {
            Self::Controlled => CheckRole::Controlled,
            Self::Controlling { .. } if self.nominates(path) => CheckRole::Nominating,
            Self::Controlling { .. } => CheckRole::Controlling,
        }
    }

    /// True if the sender of a request must give up the role that both have (RFC 8445 7.3.1.1).
    pub(super) fn is_kept_against(self, request: &StunMessage) -> bool {
        match self {
            Self::Controlled => false,
            Self::Controlling { tie_breaker, .. } => request.controlling().is_some_and(|theirs| tie_breaker >= theirs),
        }
    }
}
