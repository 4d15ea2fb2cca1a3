//! Access: which client may do what.
//!
//! Every request passes through [`Access`]: it identifies the holder of the request's token, and returns a [`Grant`]
//! for one action on one stream. A function that needs a permission takes a `Grant` by value, so it cannot be called
//! without one. Without configured credentials everything is open; as soon as one is configured, what is not granted is
//! closed.
//!
//! A token is looked up among the tokens of the settings, then in the token file, then it is checked as a JSON Web Token,
//! then the webhook is asked. The first that knows it decides alone.

mod config;
mod credential;
mod denied;
mod fetch;
mod follow;
mod holder;
mod issue;
mod jwt;
mod passed;
mod pattern;
mod revocations;
mod rules;
mod scope;
mod secret;
mod settings;
mod token_file;
mod webhook;

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use tracing::{info, warn};

pub use config::{Config, ConfigError};
pub use credential::Credential;
pub(crate) use denied::Denied;
pub(crate) use holder::Holder;
pub use issue::Issue;
pub(crate) use jwt::{SharedSecrets, is_of_kind};
pub use jwt::{SharedSecretsError, SignError};
pub(crate) use passed::PassedGrant;
pub use revocations::RevocationsError;
pub(crate) use revocations::{Revocation, Revocations, Revoked};
pub(crate) use scope::Action;
pub use scope::Limits;
pub(crate) use settings::Settings;

use crate::metrics::{AccessCall, Metrics};
use crate::name::StreamName;
use crate::reason::EndReason;
use crate::state_dir::StateDir;
use holder::Source;
use jwt::Unverified;
use rules::Rules;
use webhook::{Decision, Outcome, Question, Webhook};

/// The permission to list every stream and session, and to end any session. Only [`Access::administer`] creates one.
#[derive(Debug)]
pub(crate) struct Admin(());

/// The permission to do one thing to one stream. Only [`Access::grant`] creates one.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    stream: StreamName,
    holder: Option<Arc<Holder>>,
    limits: Limits,
}

impl Grant {
    /// The stream.
    pub(crate) fn stream(&self) -> &StreamName {
        &self.stream
    }

    /// The holder of the permission. A session stores it, and only the same holder may change or end that session.
    pub(crate) fn credential(&self) -> Credential {
        credential_of(self.holder.as_ref())
    }

    /// The token's holder; `None` for a client without a token.
    pub(crate) fn holder(&self) -> Option<&Arc<Holder>> {
        self.holder.as_ref()
    }

    /// What the session may use.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// The grant for another node.
    pub(crate) fn pass(&self) -> PassedGrant {
        PassedGrant::new(self.credential(), self.holder.as_deref(), self.limits)
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
pub(crate) struct Access {
    state: RwLock<State>,
    revocations: Revocations,
    metrics: Arc<Metrics>,
}

/// A client that asks for something. Not `Debug`: it holds a token.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) token: Option<&'a str>,
    pub(crate) address: IpAddr,
}

/// What the webhook answers about a session that runs with its permission.
#[derive(Debug)]
pub(crate) enum Again {
    /// The session may go on; this is its holder from now on.
    Allowed(Arc<Holder>),
    /// It may not.
    Refused,
    /// There is no answer: ask again after this time.
    Undecided { retry_after: Duration },
}

/// Checks the configuration. No credential at all is valid: everything is open.
///
/// # Errors
/// [`ConfigError`], when the credentials are inconsistent or a file cannot be used.
pub(crate) fn check(config: &Config) -> Result<(), ConfigError> {
    Rules::new(config, None).map(drop)
}

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
    /// By this configuration; questions to other servers are counted in the metrics.
    ///
    /// # Errors
    /// As [`check`].
    pub(crate) fn new(config: &Config, metrics: Arc<Metrics>) -> Result<Self, ConfigError> {
        let state = RwLock::new(State::new(config, None)?);
        Ok(Self { state, revocations: Revocations::default(), metrics })
    }

    /// Keeps revocations in this directory, and reads those of earlier runs.
    ///
    /// # Errors
    /// [`RevocationsError`].
    pub(crate) fn keeping_revocations(self, state: StateDir) -> Result<Self, RevocationsError> {
        Ok(Self { revocations: Revocations::kept_in(state)?, ..self })
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
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        Ok(())
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).rules)
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

    /// Whether another server is asked about `token`, because it is not known here.
    pub(crate) fn asks_about(&self, token: &str) -> bool {
        let rules = self.rules();
        let asks = rules.webhook().is_some() || rules.remote_keys().is_some();
        asks && matches!(rules.holder(token), Err(Unverified::Foreign | Unverified::UnknownKey))
    }

    /// Whether a webhook decides about tokens that are not known here.
    pub(crate) fn has_webhook(&self) -> bool {
        self.rules().webhook().is_some()
    }

    /// What is revoked.
    pub(crate) fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Why the session of this holder must end now, if it must.
    pub(crate) fn must_end(&self, holder: &Holder, now: SystemTime) -> Option<EndReason> {
        if self.revocations.cover(holder, now) {
            return Some(EndReason::TokenRevoked);
        }
        let has_expired = holder.expires.is_some_and(|expires| expires <= now);
        let is_gone = || holder.source == Source::Static && !self.rules().has_static(&holder.credential);
        (self.config().end_with_token && (has_expired || is_gone())).then_some(EndReason::TokenExpired)
    }

    /// The permission to do `action` to `stream`.
    pub(crate) async fn grant(&self, asking: Asking<'_>, action: Action, stream: &StreamName) -> Result<Grant, Denied> {
        let holder = self.holder_for(asking, action, stream).await?;
        // A token may allow more than everybody has, so its limits count where it allows the action itself.
        let scope = holder.as_ref().and_then(|holder| holder.scope(action, stream));
        match scope.map(|scope| scope.limits).or(self.allows_anybody(action).then(Limits::default)) {
            Some(limits) => Ok(Grant { stream: stream.clone(), holder, limits }),
            None if holder.is_none() => Err(Denied::NoToken),
            None => Err(Denied::NotAllowed),
        }
    }

    /// The grant that another node has passed, for this action and stream.
    ///
    /// # Errors
    /// [`Denied`] if it is revoked here or cannot be read.
    pub(crate) fn accept(&self, passed: PassedGrant, action: Action, stream: &StreamName) -> Result<Grant, Denied> {
        let limits = passed.limits();
        let holder = passed.into_holder(action)?.map(|holder| self.unrevoked(holder)).transpose()?;
        Ok(Grant { stream: stream.clone(), holder, limits })
    }

    /// The permission to list and end every session.
    pub(crate) async fn administer(&self, asking: Asking<'_>) -> Result<Admin, Denied> {
        if self.is_open() {
            return Ok(Admin(()));
        }
        if !self.lets_administer() {
            return Err(Denied::NoAdmin);
        }
        // Watching may be public; this may not.
        asking.token.ok_or(Denied::NoToken)?;
        let holder = self.holder_or_ask(asking, Action::Admin, None).await?;
        if holder.is_some_and(|holder| holder.administers()) { Ok(Admin(())) } else { Err(Denied::NotAllowed) }
    }

    /// The holder of a token for this action and stream, which the webhook is asked about if the token is not known here;
    /// as [`holder`](Self::holder) otherwise.
    ///
    /// # Errors
    /// [`Denied`], where a token is needed and missing, or does not count.
    pub(crate) async fn holder_for(
        &self,
        asking: Asking<'_>,
        action: Action,
        stream: &StreamName,
    ) -> Result<Option<Arc<Holder>>, Denied> {
        self.holder_or_ask(asking, action, Some(stream)).await
    }

    async fn holder_or_ask(
        &self,
        asking: Asking<'_>,
        action: Action,
        stream: Option<&StreamName>,
    ) -> Result<Option<Arc<Holder>>, Denied> {
        let denied = match self.holder(asking.token).await {
            Err(denied @ (Denied::UnknownToken | Denied::Undecided)) => denied,
            found => return found,
        };
        match self.ask(asking, action, stream, None).await {
            // A key that could not be fetched may allow what the webhook does not.
            Err(Denied::UnknownToken | Denied::Refused) if denied == Denied::Undecided => Err(denied),
            decision => decision.map(Some),
        }
    }

    /// When to [`ask_again`](Self::ask_again) about a session of this holder; `None` if the webhook has not allowed it, or
    /// if sessions do not end with their token.
    pub(crate) fn ask_again_at(&self, holder: &Holder) -> Option<Instant> {
        let Source::Webhook(allowed) = &holder.source else { return None };
        self.config().end_with_token.then_some(allowed.ask_again)
    }

    /// Asks the webhook again about a session of this holder.
    pub(crate) async fn ask_again(&self, holder: &Arc<Holder>) -> Again {
        let Source::Webhook(allowed) = &holder.source else { return Again::Allowed(Arc::clone(holder)) };
        let asking = Asking { token: Some(allowed.token.as_str()), address: allowed.client };
        match self.ask(asking, allowed.action, allowed.stream.as_ref(), Some(allowed.answered)).await {
            Ok(holder) => Again::Allowed(holder),
            Err(Denied::Refused | Denied::Revoked) => Again::Refused,
            // `UnknownToken` is the answer of a relay whose webhook was taken out of its configuration.
            Err(_) => Again::Undecided { retry_after: self.ask_again_after() },
        }
    }

    /// How long to wait between two questions about a running session at least.
    pub(crate) fn ask_again_after(&self) -> Duration {
        self.rules().webhook().map_or(Duration::MAX, Webhook::retry_after)
    }

    /// Asks the webhook about a token that is not known here. A permission that is as old as `answered` does not count.
    async fn ask(
        &self,
        asking: Asking<'_>,
        action: Action,
        stream: Option<&StreamName>,
        answered: Option<Instant>,
    ) -> Result<Arc<Holder>, Denied> {
        let rules = self.rules();
        let (Some(webhook), Some(token)) = (rules.webhook(), asking.token) else { return Err(Denied::UnknownToken) };
        let decision = match webhook
            .decide(rules.fetcher(), Question { token, action, stream, client: asking.address }, answered)
            .await
        {
            Outcome::Known(decision) => decision,
            Outcome::Asked(decision) => {
                let is_allowed = matches!(decision, Decision::Allowed(_));
                self.count(if is_allowed { AccessCall::WebhookAllowed } else { AccessCall::WebhookRefused });
                decision
            }
            Outcome::Failed => {
                self.count(AccessCall::WebhookFailed);
                return Err(Denied::Undecided);
            }
        };
        self.unrevoked(decision.into_holder()?)
    }

    fn unrevoked(&self, holder: Holder) -> Result<Arc<Holder>, Denied> {
        if self.revocations.cover(&holder, SystemTime::now()) { Err(Denied::Revoked) } else { Ok(Arc::new(holder)) }
    }

    fn count(&self, call: AccessCall) {
        self.metrics.access_calls[call].inc();
    }

    /// Counts a fetch of keys, if there was one.
    fn count_fetch(&self, fetched: Option<bool>) {
        if let Some(fetched) = fetched {
            self.count(if fetched { AccessCall::KeysFetched } else { AccessCall::KeysFailed });
        }
    }

    /// The holder of `token`; `None` where no token is needed. While everything is open, tokens are ignored.
    ///
    /// # Errors
    /// [`Denied`], where a token is needed and missing, or does not count.
    pub(crate) async fn holder(&self, token: Option<&str>) -> Result<Option<Arc<Holder>>, Denied> {
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
            self.count_fetch(remote.look_for_key(rules.fetcher()).await);
            found = rules.holder(token);
            if found == Err(Unverified::UnknownKey) && !remote.has_keys(Instant::now()) {
                return Err(Denied::Undecided);
            }
        }
        let holder = found.map_err(|unverified| match unverified {
            Unverified::Refused(denied) => denied,
            Unverified::Foreign | Unverified::UnknownKey => Denied::UnknownToken,
        })?;
        self.unrevoked(holder).map(Some)
    }
}

/// The credential of a client with this holder's token, or with none.
pub(crate) fn credential_of(holder: Option<&Arc<Holder>>) -> Credential {
    holder.map_or(Credential::ANONYMOUS, |holder| holder.credential)
}

#[cfg(test)]
mod tests;
