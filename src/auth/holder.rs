//! The holder of a token that is known.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::credential::Credential;
use super::scope::{Action, Scope};
use super::secret::Secret;
use crate::name::StreamName;

/// Where a token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The settings or the token file.
    Static,
    /// A signature of a known key.
    Signed,
    /// The webhook, which is asked again about running sessions.
    Webhook(Arc<Allowed>),
}

/// A question that the webhook has answered with yes, so that it can be asked again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(super) token: Secret,
    pub(super) action: Action,
    /// `None` for administration.
    pub(super) stream: Option<StreamName>,
    pub(super) client: IpAddr,
    pub(super) answered: Instant,
    /// When to ask again, while a session with this token runs.
    pub(super) ask_again: Instant,
}

/// The holder of a token that is known, and what the token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) credential: Credential,
    pub(super) source: Source,
    pub(super) scopes: Vec<Scope>,
    /// Its name: the subject of a JSON Web Token, or the name in the token file.
    pub(super) name: Option<Arc<str>>,
    /// The id of a JSON Web Token (`jti`).
    pub(super) token_id: Option<Arc<str>>,
    /// When the token was made, if it says so.
    pub(super) issued: Option<SystemTime>,
    /// When the token ends.
    pub(super) expires: Option<SystemTime>,
}

impl Holder {
    /// The holder of a token that does not expire.
    pub(super) fn of_static(credential: Credential, scopes: Vec<Scope>, name: Option<Arc<str>>) -> Self {
        Self { credential, source: Source::Static, scopes, name, token_id: None, issued: None, expires: None }
    }

    /// What it may do with a stream.
    pub(super) fn scope(&self, action: Action, stream: &StreamName) -> Option<&Scope> {
        self.scopes.iter().find(|scope| scope.allows(action, stream))
    }

    /// Whether it may administer the relay.
    pub(super) fn administers(&self) -> bool {
        self.scopes.iter().any(|scope| scope.has(Action::Admin))
    }
}
