//! The credentials in force: which tokens are known, and what each allows.

use super::config::{Config, ConfigError};
use super::credential::Credential;
use super::scope::{Action, Scope};
use super::token_file::TokenFile;

/// The credentials in force.
#[derive(Debug)]
pub(super) struct Rules {
    /// The tokens of the settings, each with the action that it allows on every stream.
    settings: Vec<(Credential, Action)>,
    public_watch: bool,
    token_file: Option<TokenFile>,
}

/// The holder of a token that is known.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) credential: Credential,
    pub(super) scopes: Vec<Scope>,
}

impl Rules {
    /// # Errors
    /// [`ConfigError`], when the credentials are inconsistent or a file cannot be used.
    pub(super) fn new(config: &Config) -> Result<Self, ConfigError> {
        let tokens = [
            ("publish-token", &config.publish_token, Action::Publish),
            ("watch-token", &config.watch_token, Action::Watch),
            ("admin-token", &config.admin_token, Action::Admin),
        ];
        let mut settings = Vec::new();
        for (name, token, action) in tokens {
            if let Some(token) = token {
                settings.push((credential(name, token)?, action));
            }
        }
        let token_file = config.token_file.as_deref().map(TokenFile::read).transpose()?;
        let rules = Self { settings, public_watch: config.public_watch, token_file };
        if !rules.lets(Action::Publish) {
            return Err(ConfigError::NobodyPublishes(match config {
                Config { watch_token: Some(_), .. } => "watch-token",
                Config { admin_token: Some(_), .. } => "admin-token",
                _ => "token-file",
            }));
        }
        if config.public_watch && config.watch_token.is_some() {
            return Err(ConfigError::PublicWatchToken);
        }
        Ok(rules)
    }

    /// True when no credential is configured: everyone may do everything.
    pub(super) fn is_open(&self) -> bool {
        self.settings.is_empty() && self.token_file.is_none()
    }

    /// Whether a client without a token may do `action`.
    pub(super) fn allows_anybody(&self, action: Action) -> bool {
        self.is_open() || (action == Action::Watch && self.public_watch)
    }

    /// Whether any client may do `action`, with or without a token.
    pub(super) fn lets(&self, action: Action) -> bool {
        self.allows_anybody(action)
            || self.settings.iter().any(|(_, allowed)| *allowed == action)
            || self.token_file.as_ref().is_some_and(|file| file.has(action))
    }

    /// The digest of the token file's text.
    pub(super) fn file_digest(&self) -> Option<Credential> {
        self.token_file.as_ref().map(TokenFile::digest)
    }

    /// How many tokens the token file has.
    pub(super) fn tokens_in_file(&self) -> usize {
        self.token_file.as_ref().map_or(0, TokenFile::len)
    }

    /// The holder of a token, if it is known.
    pub(super) fn holder(&self, token: &str) -> Option<Holder> {
        let credential = Credential::of_token(token);
        // All tokens are always compared, so that timing does not reveal which one a guess is close to.
        let matching = self.settings.iter().filter(|(configured, _)| *configured == credential);
        let scopes: Vec<Scope> = matching.map(|(_, action)| Scope::of_all_streams(*action)).collect();
        if !scopes.is_empty() {
            return Some(Holder { credential, scopes });
        }
        let found = self.token_file.as_ref()?.find(&credential)?;
        Some(Holder { credential, scopes: found.scopes.clone() })
    }
}

fn credential(name: &'static str, token: &str) -> Result<Credential, ConfigError> {
    match token {
        "" => Err(ConfigError::EmptyToken(name)),
        token if !token.bytes().all(|byte| byte.is_ascii_graphic()) => Err(ConfigError::UnsendableToken(name)),
        token => Ok(Credential::of_token(token)),
    }
}
