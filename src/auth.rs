//! Access: which client may do what.
//!
//! Every request passes through [`Access`]: it identifies the holder of the request's token, and returns a [`Grant`]
//! for one action on one stream. A function that needs a permission takes a `Grant` by value, so it cannot be called
//! without one. Without configured credentials everything is open; as soon as one is configured, what is not granted is
//! closed.

mod settings;

use std::fmt;
use std::sync::{PoisonError, RwLock};

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq as _;
use tracing::{info, warn};

pub(crate) use settings::Settings;

use crate::name::StreamName;

/// What a token can allow on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Send a stream to the relay.
    Publish,
    /// Receive a stream from the relay.
    Watch,
}

/// The permission to list every stream and session, and to end any session. Only [`Access::administer`] creates one.
#[derive(Debug)]
pub(crate) struct Admin(());

/// The permission to do one thing to one stream. Only [`Access::grant`] creates one.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    stream: StreamName,
    credential: Credential,
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
}

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

/// The configured credentials; without any, everything is open.
#[derive(Clone, Default)]
pub struct Config {
    /// Allows publishing any stream.
    pub publish_token: Option<String>,
    /// Allows watching any stream.
    pub watch_token: Option<String>,
    /// Allows listing and ending every session, and reading metrics.
    pub admin_token: Option<String>,
    /// Anyone may watch, even without a token.
    pub public_watch: bool,
}

impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redacted = |token: &Option<String>| token.as_ref().map(|_| "(secret)");
        formatter
            .debug_struct("Config")
            .field("publish_token", &redacted(&self.publish_token))
            .field("watch_token", &redacted(&self.watch_token))
            .field("admin_token", &redacted(&self.admin_token))
            .field("public_watch", &self.public_watch)
            .finish()
    }
}

/// Why the configured credentials are refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// An empty token protects nothing.
    #[error("{0} is empty: give it a value or remove it")]
    EmptyToken(&'static str),
    /// HTTP clients cannot send such a token.
    #[error("{0} may contain visible ASCII characters only, no spaces: choose another token")]
    UnsendableToken(&'static str),
    /// The token would protect nothing.
    #[error("public-watch lets everyone watch, so watch-token would protect nothing: remove one of the two")]
    PublicWatchToken,
    /// No client could publish.
    #[error("with {0} alone no client can publish: set publish-token too")]
    NobodyPublishes(&'static str),
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
/// configuration is reloaded.
#[derive(Debug)]
pub(crate) struct Access(RwLock<Rules>);

#[derive(Clone, Copy, Debug)]
struct Rules {
    publish: Option<Credential>,
    watch: Option<Credential>,
    admin: Option<Credential>,
    public_watch: bool,
}

impl Rules {
    fn new(config: &Config) -> Result<Self, ConfigError> {
        let credential = |name, token: &Option<String>| match token.as_deref() {
            None => Ok(None),
            Some("") => Err(ConfigError::EmptyToken(name)),
            Some(token) if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Err(ConfigError::UnsendableToken(name))
            }
            Some(token) => Ok(Some(Credential::of_token(token))),
        };
        let publish = credential("publish-token", &config.publish_token)?;
        let watch = credential("watch-token", &config.watch_token)?;
        let admin = credential("admin-token", &config.admin_token)?;
        match (publish, watch, admin) {
            (None, Some(_), _) => Err(ConfigError::NobodyPublishes("watch-token")),
            (None, None, Some(_)) => Err(ConfigError::NobodyPublishes("admin-token")),
            (_, Some(_), _) if config.public_watch => Err(ConfigError::PublicWatchToken),
            _ => Ok(Self { publish, watch, admin, public_watch: config.public_watch }),
        }
    }

    fn is_open(&self) -> bool {
        self.publish.is_none() && self.watch.is_none() && self.admin.is_none()
    }
}

impl Access {
    /// Checks the configuration. No credential at all is valid: everything is open.
    ///
    /// # Errors
    /// [`ConfigError`], when the credentials are inconsistent.
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        Rules::new(config).map(RwLock::new).map(Self)
    }

    /// Replaces the credentials. Existing grants remain valid.
    ///
    /// # Errors
    /// [`ReplaceError`]; the old credentials remain in force.
    pub(crate) fn replace(&self, config: &Config) -> Result<(), ReplaceError> {
        let rules = Rules::new(config)?;
        if rules.is_open() && !self.is_open() {
            return Err(ReplaceError::WouldOpen);
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = rules;
        Ok(())
    }

    fn rules(&self) -> Rules {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
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
        self.is_open() || (action == Action::Watch && self.rules().public_watch)
    }

    /// Whether any client may watch, with or without a token.
    pub(crate) fn lets_watch(&self) -> bool {
        self.allows_anybody(Action::Watch) || self.rules().watch.is_some()
    }

    /// Whether any client may list and end sessions, with or without a token.
    pub(crate) fn lets_administer(&self) -> bool {
        self.is_open() || self.rules().admin.is_some()
    }

    /// Identifies the holder of `token`. Returns an error where a token is needed and missing, or unknown. While
    /// everything is open, tokens are ignored.
    pub(crate) fn identify(&self, token: Option<&str>) -> Result<Credential, Denied> {
        if self.is_open() {
            return Ok(Credential::ANONYMOUS);
        }
        let Some(token) = token else {
            return if self.rules().public_watch { Ok(Credential::ANONYMOUS) } else { Err(Denied::NoToken) };
        };
        let credential = Credential::of_token(token);
        // All tokens are always compared, so that timing does not reveal which one a guess is close to.
        let known = [self.rules().publish, self.rules().watch, self.rules().admin]
            .map(|configured| configured == Some(credential));
        if known.contains(&true) { Ok(credential) } else { Err(Denied::UnknownToken) }
    }

    /// The permission to do `action` to `stream`, for the holder of `token`.
    pub(crate) fn grant(&self, token: Option<&str>, action: Action, stream: &StreamName) -> Result<Grant, Denied> {
        let credential = self.identify(token)?;
        let configured = match action {
            Action::Publish => self.rules().publish,
            Action::Watch => self.rules().watch,
        };
        if self.allows_anybody(action) || configured == Some(credential) {
            return Ok(Grant { stream: stream.clone(), credential });
        }
        Err(if credential.is_anonymous() { Denied::NoToken } else { Denied::NotAllowed })
    }

    /// The permission to list and end every session, for the holder of `token`.
    pub(crate) fn administer(&self, token: Option<&str>) -> Result<Admin, Denied> {
        if self.is_open() {
            return Ok(Admin(()));
        }
        let admin = self.rules().admin.ok_or(Denied::NoAdmin)?;
        // Watching may be public; this may not.
        let token = token.ok_or(Denied::NoToken)?;
        if self.identify(Some(token))? == admin { Ok(Admin(())) } else { Err(Denied::NotAllowed) }
    }
}

#[cfg(test)]
mod tests;
