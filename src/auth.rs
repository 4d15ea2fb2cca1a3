//! Who may do what.
//!
//! Every request passes through [`Access`]: it names the holder of the request's token, and hands out a [`Grant`] for
//! one action on one stream. A function that needs a permission takes a `Grant` by value, so it cannot be called
//! without one. No credential configured means that everything is open; as soon as one is configured, what is not
//! granted is closed.

mod settings;

use std::fmt;
use std::sync::{PoisonError, RwLock};

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq as _;
use tracing::{info, warn};

pub use settings::Settings;

use crate::name::StreamName;

/// What a token can allow on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send a stream to the relay.
    Publish,
    /// Receive a stream from the relay.
    Watch,
}

/// The permission to see every stream and session, and to end the sessions of others. Only [`Access::administer`] makes
/// one.
#[derive(Debug)]
pub struct Admin(());

/// The permission to do one thing to one stream. Only [`Access::grant`] makes one.
#[derive(Clone, Debug)]
pub struct Grant {
    action: Action,
    stream: StreamName,
    credential: Credential,
}

impl Grant {
    /// What is allowed.
    pub fn action(&self) -> Action {
        self.action
    }

    /// On which stream it is allowed.
    pub fn stream(&self) -> &StreamName {
        &self.stream
    }

    /// Who holds the permission: a session remembers it, and only the same holder may change or end that session.
    pub fn credential(&self) -> Credential {
        self.credential
    }
}

/// Who a request comes from, as far as its token tells: nobody in particular, or the digest of the token, so that
/// neither memory nor logs hold a secret.
#[derive(Clone, Copy)]
pub struct Credential(Option<[u8; 32]>);

impl Credential {
    /// The holder of no token.
    pub const ANONYMOUS: Self = Self(None);

    /// The holder of `token`.
    pub fn of_token(token: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(Some(bytes))
    }

    /// True for the holder of no token.
    pub fn is_anonymous(&self) -> bool {
        self.0.is_none()
    }
}

impl PartialEq for Credential {
    /// Takes the same time wherever two digests differ.
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

/// The configured credentials; all absent means open.
#[derive(Clone, Default)]
pub struct Config {
    /// Who holds it may publish any stream.
    pub publish_token: Option<String>,
    /// Who holds it may watch any stream.
    pub watch_token: Option<String>,
    /// Who holds it may see and end every session, and read what is measured.
    pub admin_token: Option<String>,
    /// Anybody may watch, also without a token.
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

/// Why the configured credentials make no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// A token without a character protects nothing.
    #[error("{0} is empty: give it a value or leave it out")]
    EmptyToken(&'static str),
    /// HTTP clients cannot send such a token.
    #[error("{0} may contain visible ASCII characters only, no spaces: choose another token")]
    UnsendableToken(&'static str),
    /// The token would protect nothing.
    #[error("public-watch lets everybody watch, so watch-token would protect nothing: leave one of the two out")]
    PublicWatchToken,
    /// Nobody could publish.
    #[error("{0} alone lets nobody publish: set publish-token too")]
    NobodyPublishes(&'static str),
}

/// Why a request may not do what it asks for.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Denied {
    /// The request carries no token.
    #[error("this needs a token: send it as \"Authorization: Bearer TOKEN\"")]
    NoToken,
    /// The request carries a token that is good for nothing here.
    #[error("this token is not known here: check it")]
    UnknownToken,
    /// The token is known, and good for something else.
    #[error("this token does not allow that: use one that does")]
    NotAllowed,
    /// No token would do.
    #[error("nobody may do this here: the relay's operator must set admin-token")]
    NoAdmin,
}

/// Why other credentials are not taken up.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReplaceError {
    /// They make no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file that is read while it is written must not open the relay.
    #[error("no token is configured any more, which would open the relay to everybody: restart it if that is meant")]
    WouldOpen,
}

/// Decides what a request may do, from the credentials of the configuration. All requests read it; it is written only
/// when the configuration is read again.
#[derive(Debug)]
pub struct Access(RwLock<Rules>);

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
    /// Checks the configuration. No credential at all is a valid one: open.
    ///
    /// # Errors
    /// [`ConfigError`], when the credentials make no sense.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Rules::new(config).map(RwLock::new).map(Self)
    }

    /// From here on these credentials count. What was granted before stays granted.
    ///
    /// # Errors
    /// [`ReplaceError`]; the old ones go on counting.
    pub fn replace(&self, config: &Config) -> Result<(), ReplaceError> {
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

    /// Logs what an operator should know of who may do what.
    pub fn tell(&self) {
        if self.is_open() {
            info!("no token is configured: everybody may publish and watch");
        } else if !self.lets_watch() {
            warn!("nobody may watch: set watch-token, or public-watch to let everybody");
        } else if self.allows_anybody(Action::Watch) {
            info!("publishing needs the token, watching needs none");
        } else {
            info!("publishing and watching need their tokens");
        }
        if !self.lets_administer() {
            warn!("nobody may read /metrics or use /api: set admin-token");
        }
    }

    /// True when no credential is configured: everything is allowed to everybody.
    pub fn is_open(&self) -> bool {
        self.rules().is_open()
    }

    /// Whether somebody without a token may do `action`.
    pub fn allows_anybody(&self, action: Action) -> bool {
        self.is_open() || (action == Action::Watch && self.rules().public_watch)
    }

    /// Whether anybody at all may watch, with or without a token.
    pub fn lets_watch(&self) -> bool {
        self.allows_anybody(Action::Watch) || self.rules().watch.is_some()
    }

    /// Whether anybody at all may see and end sessions, with or without a token.
    pub fn lets_administer(&self) -> bool {
        self.is_open() || self.rules().admin.is_some()
    }

    /// Names the holder of `token`. An error where a token is needed and missing, or where it is none of ours. While
    /// everything is open, tokens are not looked at.
    pub fn identify(&self, token: Option<&str>) -> Result<Credential, Denied> {
        if self.is_open() {
            return Ok(Credential::ANONYMOUS);
        }
        let Some(token) = token else {
            return if self.rules().public_watch { Ok(Credential::ANONYMOUS) } else { Err(Denied::NoToken) };
        };
        let credential = Credential::of_token(token);
        // All are always compared, so that time does not tell which one a guess is close to.
        let known = [self.rules().publish, self.rules().watch, self.rules().admin]
            .map(|configured| configured == Some(credential));
        if known.contains(&true) { Ok(credential) } else { Err(Denied::UnknownToken) }
    }

    /// The permission to do `action` to `stream`, for the holder of `token`.
    pub fn grant(&self, token: Option<&str>, action: Action, stream: &StreamName) -> Result<Grant, Denied> {
        let credential = self.identify(token)?;
        let configured = match action {
            Action::Publish => self.rules().publish,
            Action::Watch => self.rules().watch,
        };
        if self.allows_anybody(action) || configured == Some(credential) {
            return Ok(Grant { action, stream: stream.clone(), credential });
        }
        Err(if credential.is_anonymous() { Denied::NoToken } else { Denied::NotAllowed })
    }

    /// The permission to see and end every session, for the holder of `token`.
    pub fn administer(&self, token: Option<&str>) -> Result<Admin, Denied> {
        if self.is_open() {
            return Ok(Admin(()));
        }
        let admin = self.rules().admin.ok_or(Denied::NoAdmin)?;
        // Watching may be public; this is not.
        let token = token.ok_or(Denied::NoToken)?;
        if self.identify(Some(token))? == admin { Ok(Admin(())) } else { Err(Denied::NotAllowed) }
    }
}

#[cfg(test)]
mod tests;
