//! The configured credentials, and why they are refused.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::token_file::TokenFileError;

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
    /// A file of tokens, each with what it allows.
    pub token_file: Option<PathBuf>,
    /// Files of keys that sign JSON Web Tokens.
    pub jwt_keys: Vec<PathBuf>,
    /// Where a server publishes keys that sign JSON Web Tokens (JWK Set).
    pub jwks_url: Option<String>,
    /// The issuer that JSON Web Tokens must name.
    pub jwt_issuer: Option<String>,
    /// The audience that JSON Web Tokens must name.
    pub jwt_audience: Option<String>,
    /// Whether sessions end when their token expires or is removed.
    pub end_with_token: bool,
    /// The URL of a server that decides about tokens that are not known otherwise.
    pub webhook: Option<String>,
    /// What that server knows the relay by.
    pub webhook_secret: Option<String>,
    /// How long after an answer that server is asked again about a running session; a minute if unset.
    pub webhook_again: Option<Duration>,
    /// A file with the root certificates that sign for these servers.
    pub access_ca: Option<PathBuf>,
}

impl Config {
    /// Every file that the settings name.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.token_file.iter().chain(&self.jwt_keys).chain(&self.access_ca).map(PathBuf::as_path)
    }
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
            .field("token_file", &self.token_file)
            .field("jwt_keys", &self.jwt_keys)
            .field("jwks_url", &self.jwks_url)
            .field("jwt_issuer", &self.jwt_issuer)
            .field("jwt_audience", &self.jwt_audience)
            .field("end_with_token", &self.end_with_token)
            .field("webhook", &self.webhook)
            .field("webhook_secret", &redacted(&self.webhook_secret))
            .field("webhook_again", &self.webhook_again)
            .field("access_ca", &self.access_ca)
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
    /// The setting has no effect.
    #[error("{0} has no effect without keys: set jwt-key or jwks-url, or remove it")]
    NoKeys(&'static str),
    /// The setting has no effect.
    #[error("access-webhook-secret has no effect without a webhook: set access-webhook, or remove it")]
    NoWebhook,
    /// The setting has no effect.
    #[error("access-ca has no effect without a server to ask: set jwks-url or access-webhook, or remove it")]
    NoServer,
    /// The file of root certificates cannot be used.
    #[error("cannot use {} (access-ca): {complaint}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        complaint: String,
    },
    /// A file of keys cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The file of tokens cannot be used.
    #[error(transparent)]
    TokenFile(#[from] TokenFileError),
}

/// Why a file of keys is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("cannot use the key file {}: {reason}", path.display())]
pub struct KeyFileError {
    pub(super) path: PathBuf,
    pub(super) reason: String,
}
