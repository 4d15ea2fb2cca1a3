//! Access: which client may do what.
//!
//! Every request passes through [`Access`]: it identifies the holder of the request's token, and returns a [`Grant`]
//! for one action on one stream. A function that needs a permission takes a `Grant` by value, so it cannot be called
//! without one. Without configured credentials everything is open; as soon as one is configured, what is not granted is
//! closed.
//!
//! A token is looked up among the tokens of the settings, then in the token file. The first that knows it decides alone.

mod config;
mod credential;
mod follow;
mod issue;
mod pattern;
mod rules;
mod scope;
mod settings;
mod token_file;

use std::sync::{Arc, PoisonError, RwLock};

use tracing::{info, warn};

pub use config::{Config, ConfigError};
pub use credential::Credential;
pub use issue::Issue;
pub(crate) use scope::Action;
pub use scope::Limits;
pub(crate) use settings::Settings;

use crate::name::StreamName;
use rules::{Holder, Rules};

/// The permission to list every stream and session, and to end any session. Only [`Access::administer`] creates one.
#[derive(Debug)]
pub(crate) struct Admin(());

/// The permission to do one thing to one stream. Only [`Access::grant`] creates one.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    stream: StreamName,
    credential: Credential,
    limits: Limits,
}

impl Grant {
    /// The stream.
    pub(crate) fn stream(&self) -> &StreamName {
        &self.stream
    }

    /// The holder of the permission. A session stores it, and only the same holder may change or end that session.
    pub(crate) fn credential(&self) -> Credential {
        self.credential
    }

    /// What the session may use.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }
}

/// Why a request is denied.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The request carries no token.
    #[error("this needs a token: send it as \"Authorization: Bearer TOKEN\"")]
    NoToken,
    /// The token is unknown.
    #[error("this token is unknown: check it")]
    UnknownToken,
    /// The token is known, but allows something else.
    #[error("this token does not allow that: use one that does")]
    NotAllowed,
    /// No token allows this.
    #[error("no client may do this: the operator of the relay must set admin-token")]
    NoAdmin,
}

/// Why new credentials are not applied.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ReplaceError {
    /// They are inconsistent.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A configuration file that is read while it is being written must not open the relay.
    #[error(
        "no token is configured any more, which would open the relay to everyone: restart the relay if that is intended"
    )]
    WouldOpen,
}

/// Decides what a request may do, by the configured credentials. All requests read it; it is written only when the
/// configuration is reloaded or a file of it changes.
#[derive(Debug)]
pub(crate) struct Access(RwLock<State>);

#[derive(Debug)]
struct State {
    config: Arc<Config>,
    rules: Arc<Rules>,
}

impl State {
    fn new(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self { config: Arc::new(config.clone()), rules: Arc::new(Rules::new(config)?) })
    }
}

impl Access {
    /// Checks the configuration. No credential at all is valid: everything is open.
    ///
    /// # Errors
    /// [`ConfigError`], when the credentials are inconsistent or a file cannot be used.
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        State::new(config).map(RwLock::new).map(Self)
    }

    /// Replaces the credentials. Existing grants remain valid.
    ///
    /// # Errors
    /// [`ReplaceError`]; the old credentials remain in force.
    pub(crate) fn replace(&self, config: &Config) -> Result<(), ReplaceError> {
        let state = State::new(config)?;
        if state.rules.is_open() && !self.is_open() {
            return Err(ReplaceError::WouldOpen);
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = state;
        Ok(())
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).rules)
    }

    /// Logs what an operator should know about access.
    pub(crate) fn log(&self) {
        if self.is_open() {
            info!("no token is configured: everyone may publish and watch");
        } else if !self.lets_watch() {
            warn!("no client may watch: set watch-token, or public-watch to let everyone watch");
        } else if self.allows_anybody(Action::Watch) {
            info!("publishing needs a token, watching does not");
        } else {
            info!("publishing and watching need tokens");
        }
        if !self.lets_administer() {
            warn!("no client may read /metrics or use /api: set admin-token");
        }
    }

    /// True when no credential is configured: everyone may do everything.
    pub(crate) fn is_open(&self) -> bool {
        self.rules().is_open()
    }

    /// Whether a client without a token may do `action`.
    pub(crate) fn allows_anybody(&self, action: Action) -> bool {
        self.rules().allows_anybody(action)
    }

    /// Whether any client may watch, with or without a token.
    pub(crate) fn lets_watch(&self) -> bool {
        self.rules().lets(Action::Watch)
    }

    /// Whether any client may list and end sessions, with or without a token.
    pub(crate) fn lets_administer(&self) -> bool {
        self.rules().lets(Action::Admin)
    }

    /// Identifies the holder of `token`. Returns an error where a token is needed and missing, or unknown. While
    /// everything is open, tokens are ignored.
    pub(crate) fn identify(&self, token: Option<&str>) -> Result<Credential, Denied> {
        let rules = self.rules();
        Ok(holder(&rules, token)?.map_or(Credential::ANONYMOUS, |holder| holder.credential))
    }

    /// The permission to do `action` to `stream`, for the holder of `token`.
    pub(crate) fn grant(&self, token: Option<&str>, action: Action, stream: &StreamName) -> Result<Grant, Denied> {
        let rules = self.rules();
        let holder = holder(&rules, token)?;
        let credential = holder.as_ref().map_or(Credential::ANONYMOUS, |holder| holder.credential);
        let scope = holder.as_ref().and_then(|holder| holder.scopes.iter().find(|it| it.allows(action, stream)));
        // A token may allow more than everybody has, so its limits count where it allows the action itself.
        let limits = scope.map(|scope| scope.limits).or(rules.allows_anybody(action).then(Limits::default));
        match limits {
            Some(limits) => Ok(Grant { stream: stream.clone(), credential, limits }),
            None if credential.is_anonymous() => Err(Denied::NoToken),
            None => Err(Denied::NotAllowed),
        }
    }

    /// The permission to list and end every session, for the holder of `token`.
    pub(crate) fn administer(&self, token: Option<&str>) -> Result<Admin, Denied> {
        let rules = self.rules();
        if rules.is_open() {
            return Ok(Admin(()));
        }
        if !rules.lets(Action::Admin) {
            return Err(Denied::NoAdmin);
        }
        // Watching may be public; this may not.
        let holder = holder(&rules, Some(token.ok_or(Denied::NoToken)?))?;
        let allowed = holder.is_some_and(|holder| holder.scopes.iter().any(|scope| scope.has(Action::Admin)));
        if allowed { Ok(Admin(())) } else { Err(Denied::NotAllowed) }
    }
}

/// The holder of `token`; `None` for everybody who needs no token.
fn holder(rules: &Rules, token: Option<&str>) -> Result<Option<Holder>, Denied> {
    match token {
        _ if rules.is_open() => Ok(None),
        Some(token) => rules.holder(token).map(Some).ok_or(Denied::UnknownToken),
        None if rules.allows_anybody(Action::Watch) => Ok(None),
        None => Err(Denied::NoToken),
    }
}

#[cfg(test)]
mod tests;
