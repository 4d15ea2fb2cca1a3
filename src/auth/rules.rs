//! The credentials in force: which tokens are known, and what each allows.

use std::sync::Arc;
use std::time::Duration;

use super::config::{Config, ConfigError};
use super::credential::Credential;
use super::fetch::Fetcher;
use super::holder::Holder;
use super::jwt::{RemoteKeys, Unverified, Verifier};
use super::scope::{Action, Scope};
use super::token_file::TokenFile;
use super::webhook::Webhook;

/// How long after an answer the webhook is asked again about a running session, if nothing else is configured.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The credentials in force.
#[derive(Debug)]
pub(super) struct Rules {
    /// The tokens of the settings, each with the action that it allows on every stream.
    settings: Vec<(Credential, Action)>,
    public_watch: bool,
    token_file: Option<TokenFile>,
    jwt: Option<Verifier>,
    webhook: Option<Arc<Webhook>>,
    /// Asks the server of the keys and the webhook.
    fetcher: Fetcher,
}

impl Rules {
    /// What was fetched from other servers is kept of the rules that were in force `before`.
    ///
    /// # Errors
    /// [`ConfigError`], when the credentials are inconsistent or a file cannot be used.
    pub(super) fn new(config: &Config, before: Option<&Self>) -> Result<Self, ConfigError> {
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
        let jwt = Verifier::new(config, before.and_then(|before| before.jwt.as_ref()))?;
        let needs_keys = [("jwt-issuer", &config.jwt_issuer), ("jwt-audience", &config.jwt_audience)];
        if let (None, Some((name, _))) = (&jwt, needs_keys.iter().find(|(_, value)| value.is_some())) {
            return Err(ConfigError::NoKeys(name));
        }
        let webhook = webhook(config, before)?;
        if config.access_ca.is_some() && config.jwks_url.is_none() && webhook.is_none() {
            return Err(ConfigError::NoServer);
        }
        let fetcher = Fetcher::new(config.access_ca.as_deref())?;
        let rules = Self { settings, public_watch: config.public_watch, token_file, jwt, webhook, fetcher };
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
        self.settings.is_empty() && self.token_file.is_none() && self.jwt.is_none() && self.webhook.is_none()
    }

    /// Whether a client without a token may do `action`.
    pub(super) fn allows_anybody(&self, action: Action) -> bool {
        self.is_open() || (action == Action::Watch && self.public_watch)
    }

    /// Whether any client may do `action`, with or without a token.
    pub(super) fn lets(&self, action: Action) -> bool {
        // What tokens that are made elsewhere allow is not known.
        self.allows_anybody(action)
            || self.jwt.is_some()
            || self.webhook.is_some()
            || self.settings.iter().any(|(_, allowed)| *allowed == action)
            || self.token_file.as_ref().is_some_and(|file| file.has(action))
    }

    /// The keys that a server publishes.
    pub(super) fn remote_keys(&self) -> Option<&Arc<RemoteKeys>> {
        self.jwt.as_ref()?.remote()
    }

    /// The server that decides about tokens that are not known here.
    pub(super) fn webhook(&self) -> Option<&Webhook> {
        self.webhook.as_deref()
    }

    /// Asks other servers.
    pub(super) fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    /// How many tokens the token file has.
    pub(super) fn tokens_in_file(&self) -> usize {
        self.token_file.as_ref().map_or(0, TokenFile::len)
    }

    /// Whether the settings or the token file still have a token.
    pub(super) fn has_static(&self, credential: &Credential) -> bool {
        self.settings.iter().any(|(configured, _)| configured == credential)
            || self.token_file.as_ref().is_some_and(|file| file.find(credential).is_some())
    }

    /// The holder of a token that counts now.
    ///
    /// # Errors
    /// [`Unverified`].
    pub(super) fn holder(&self, token: &str) -> Result<Holder, Unverified> {
        let credential = Credential::of_token(token);
        // All tokens are always compared, so that timing does not reveal which one a guess is close to.
        let matching = self.settings.iter().filter(|(configured, _)| *configured == credential);
        let scopes: Vec<Scope> = matching.map(|(_, action)| Scope::of_all_streams(*action)).collect();
        if !scopes.is_empty() {
            return Ok(Holder::of_static(credential, scopes, None));
        }
        if let Some(found) = self.token_file.as_ref().and_then(|file| file.find(&credential)) {
            return Ok(Holder::of_static(credential, found.scopes.clone(), Some(Arc::clone(&found.name))));
        }
        self.jwt.as_ref().map_or(Err(Unverified::Foreign), |jwt| jwt.verify(token))
    }
}

/// The server that decides, with what it has answered lately.
fn webhook(config: &Config, before: Option<&Rules>) -> Result<Option<Arc<Webhook>>, ConfigError> {
    let secret =
        config.webhook_secret.as_deref().map(|secret| credential("access-webhook-secret", secret).map(|_| secret));
    let secret = secret.transpose()?;
    let Some(url) = &config.webhook else {
        return if secret.is_some() { Err(ConfigError::NoWebhook) } else { Ok(None) };
    };
    let kept = before.and_then(|before| before.webhook.clone()).filter(|webhook| webhook.is(url, secret));
    let again = config.webhook_again.unwrap_or(ASK_AGAIN);
    Ok(Some(kept.unwrap_or_else(|| Arc::new(Webhook::new(url.clone(), secret.map(str::to_owned), again)))))
}

fn credential(name: &'static str, token: &str) -> Result<Credential, ConfigError> {
    match token {
        "" => Err(ConfigError::EmptyToken(name)),
        token if !token.bytes().all(|byte| byte.is_ascii_graphic()) => Err(ConfigError::UnsendableToken(name)),
        token => Ok(Credential::of_token(token)),
    }
}
