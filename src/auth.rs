//! Access: which client may do what.
//!
//! Every request passes through [`Access`]: it identifies the holder of the request's token, and returns a [`Grant`]
//! for one action on one stream. A function that needs a permission takes a `Grant` by value, so it cannot be called
//! without one. Without configured credentials everything is open; as soon as one is configured, what is not granted is
//! closed.
//!
//! A token is looked up among the tokens of the settings, then in the token file, then it is checked as a JSON Web Token.
//! The first that knows it decides alone.

mod config;
mod credential;
mod denied;
mod fetch;
mod follow;
mod holder;
mod issue;
mod jwt;
mod pattern;
mod rules;
mod scope;
mod settings;
mod token_file;

use std::sync::{Arc, PoisonError, RwLock};

use tracing::{info, warn};

pub use config::{Config, ConfigError};
pub use credential::Credential;
pub(crate) use denied::Denied;
pub use issue::Issue;
pub use jwt::SignError;
pub(crate) use scope::Action;
pub use scope::Limits;
pub(crate) use settings::Settings;

use crate::name::StreamName;
use holder::Holder;
use jwt::Unverified;
use rules::Rules;

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
    fn new(config: &Config, before: Option<&Rules>) -> Result<Self, ConfigError> {
        Ok(Self { config: Arc::new(config.clone()), rules: Arc::new(Rules::new(config, before)?) })
    }
}

impl Access {
    /// Checks the configuration. No credential at all is valid: everything is open.
    ///
    /// # Errors
    /// [`ConfigError`], when the credentials are inconsistent or a file cannot be used.
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        State::new(config, None).map(RwLock::new).map(Self)
    }

    /// Replaces the credentials. Existing grants remain valid.
    ///
    /// # Errors
    /// [`ReplaceError`]; the old credentials remain in force.
    pub(crate) fn replace(&self, config: &Config) -> Result<(), ReplaceError> {
        let state = State::new(config, Some(&self.rules()))?;
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

    /// The holder of `token`, if the relay knows the token without asking another server.
    pub(crate) fn known_holder(&self, token: &str) -> Option<Credential> {
        let rules = self.rules();
        if rules.is_open() { None } else { rules.holder(token).ok().map(|holder| holder.credential) }
    }

    /// Identifies the holder of `token`. Returns an error where a token is needed and missing, or does not count. While
    /// everything is open, tokens are ignored.
    pub(crate) async fn identify(&self, token: Option<&str>) -> Result<Credential, Denied> {
        Ok(self.holder(token).await?.map_or(Credential::ANONYMOUS, |holder| holder.credential))
    }

    /// The permission to do `action` to `stream`, for the holder of `token`.
    pub(crate) async fn grant(
        &self,
        token: Option<&str>,
        action: Action,
        stream: &StreamName,
    ) -> Result<Grant, Denied> {
        let holder = self.holder(token).await?;
        let credential = holder.as_ref().map_or(Credential::ANONYMOUS, |holder| holder.credential);
        // A token may allow more than everybody has, so its limits count where it allows the action itself.
        let scope = holder.as_ref().and_then(|holder| holder.scope(action, stream));
        match scope.map(|scope| scope.limits).or(self.allows_anybody(action).then(Limits::default)) {
            Some(limits) => Ok(Grant { stream: stream.clone(), credential, limits }),
            None if credential.is_anonymous() => Err(Denied::NoToken),
            None => Err(Denied::NotAllowed),
        }
    }

    /// The permission to list and end every session, for the holder of `token`.
    pub(crate) async fn administer(&self, token: Option<&str>) -> Result<Admin, Denied> {
        if self.is_open() {
            return Ok(Admin(()));
        }
        if !self.lets_administer() {
            return Err(Denied::NoAdmin);
        }
        // Watching may be public; this may not.
        let holder = self.holder(Some(token.ok_or(Denied::NoToken)?)).await?;
        if holder.is_some_and(|holder| holder.administers()) { Ok(Admin(())) } else { Err(Denied::NotAllowed) }
    }

    /// The holder of `token`; `None` for everybody who needs no token.
    async fn holder(&self, token: Option<&str>) -> Result<Option<Holder>, Denied> {
        let rules = self.rules();
        let token = match token {
            _ if rules.is_open() => return Ok(None),
            Some(token) => token,
            None if rules.allows_anybody(Action::Watch) => return Ok(None),
            None => return Err(Denied::NoToken),
        };
        let mut found = rules.holder(token);
        if found == Err(Unverified::UnknownKey)
            && let Some(remote) = rules.remote_keys()
        {
            // Another request may have fetched the key meanwhile, so the token is checked again in any case.
            remote.look_for_key().await;
            found = rules.holder(token);
        }
        found.map(Some).map_err(|unverified| match unverified {
            Unverified::Refused(denied) => denied,
            Unverified::Foreign | Unverified::UnknownKey => Denied::UnknownToken,
        })
    }
}

#[cfg(test)]
mod tests;
