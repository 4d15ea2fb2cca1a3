//! Orders certificates when they are due, one order at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tracing::{info, warn};

use super::challenges::Challenges;
use super::client::Client;
use super::config::AcmeConfig;
use super::error::{AcmeError, FailedOrder};
use super::kept::Kept;
use super::order::Orders;
use super::schedule::Attempts;
use crate::authority::authority_certificates;
use crate::http::tls::certificate::{Certificate, Facts};
use crate::metrics::{AcmeMetrics, Ordered};
use crate::state_dir::StateDir;

/// Time limit of one order.
const ORDER: Duration = Duration::from_secs(5 * 60);
/// The longest sleep before the clock is read again: the clock may be set, and a machine may sleep.
const LOOK: Duration = Duration::from_secs(60);

/// Orders the certificates of one authority.
#[derive(Debug)]
pub(in crate::http::tls) struct Acme {
    orders: Orders,
    metrics: AcmeMetrics,
    state: Mutex<State>,
    /// Notified when an operator asks for an order without the pause.
    hurry: Notify,
}

/// Orders write it. The wait for the next order reads it, and the check of the certificate takes the outcome.
#[derive(Debug)]
struct State {
    attempts: Attempts,
    /// What the newest certificate of the authority says; `None` before the first one.
    facts: Option<Facts>,
    /// The result of the last order, until it is taken.
    outcome: Option<Result<Certificate, FailedOrder>>,
}

impl Acme {
    /// Reads the state directory, and returns the certificate that it holds, which may be due for renewal.
    ///
    /// # Errors
    /// [`AcmeError`] if the state directory or the file of `--acme-ca` is not usable.
    pub(in crate::http::tls) fn open(
        config: &AcmeConfig,
        state: StateDir,
        metrics: AcmeMetrics,
    ) -> Result<(Self, Option<Certificate>), AcmeError> {
        let roots = roots(config)?;
        let kept = Kept::new(state, &config.directory);
        let certificate = kept.certificate(&config.domains)?;
        let attempts = kept.attempts(&config.domains)?;
        metrics.set_failures(attempts.failures());
        let orders =
            Orders { config: config.clone(), client: Client::new(roots.as_deref()), kept, challenges: Arc::default() };
        let facts = certificate.as_ref().map(|certificate| certificate.facts.clone());
        let state = Mutex::new(State { attempts, facts, outcome: None });
        Ok((Self { orders, metrics, state, hurry: Notify::new() }, certificate))
    }

    /// Reads the file of `--acme-ca`.
    ///
    /// # Errors
    /// [`AcmeError::Authority`].
    pub(in crate::http::tls) fn check(config: &AcmeConfig) -> Result<(), AcmeError> {
        roots(config).map(drop)
    }

    /// The challenges of its orders.
    pub(in crate::http::tls) fn challenges(&self) -> Arc<Challenges> {
        Arc::clone(&self.orders.challenges)
    }

    /// Whether there is a certificate of the authority.
    pub(in crate::http::tls) fn has_certificate(&self) -> bool {
        self.state().facts.is_some()
    }

    /// Orders certificates when they are due, and notifies `done` after each order; never completes.
    pub(in crate::http::tls) async fn keep_ordered(&self, done: &Notify) {
        let failures = self.state().attempts.failures();
        if failures > 0 {
            info!("{failures} orders for a certificate have failed, so the next one may wait; a reload orders at once");
        }
        loop {
            self.wait_until_due().await;
            let outcome = self.attempt().await;
            self.state().outcome = Some(outcome);
            done.notify_one();
        }
    }

    /// Takes the result of the last order.
    pub(in crate::http::tls) fn outcome(&self) -> Option<Result<Certificate, FailedOrder>> {
        self.state().outcome.take()
    }

    /// Orders without a pause, if an order has failed and its authority did not name the pause.
    pub(in crate::http::tls) fn hurry(&self) {
        self.hurry.notify_one();
    }

    async fn wait_until_due(&self) {
        loop {
            let now = SystemTime::now();
            let due = {
                let state = self.state();
                state.attempts.due(state.facts.as_ref(), now)
            };
            let left = due.duration_since(now).unwrap_or_default();
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left.min(LOOK)) => {}
                () = self.hurry.notified() => {
                    if self.state().attempts.may_hurry(SystemTime::now()) {
                        return;
                    }
                }
            }
        }
    }

    /// Makes one order. Its start is kept first, so that an order that never ends counts too.
    async fn attempt(&self) -> Result<Certificate, FailedOrder> {
        let begun = self.state().attempts.begin(SystemTime::now(), rand::random());
        self.state().attempts = begun.clone();
        // A refusal of a former order does not concern this one.
        self.orders.client.take_refused_for();
        let (config, noted) = (&self.orders.config, begun.clone());
        let ordered = async {
            self.orders.kept.blocking(move |kept| kept.put_attempts(&noted)).await?;
            info!("ordering a certificate for {} at {}", config.domains.join(", "), config.directory);
            let ordered = tokio::time::timeout(ORDER, self.orders.order()).await;
            let text = ordered.unwrap_or(Err(AcmeError::TooSlow))?;
            let is_good = |facts: &Facts| !facts.is_over(SystemTime::now()) && facts.has_names(&config.domains);
            let certificate = Certificate::read(text.as_bytes()).filter(|issued| is_good(&issued.facts));
            let unusable =
                || AcmeError::Unusable("a certificate that is not for these names, or has expired".to_owned());
            Ok((certificate.ok_or_else(unusable)?, text))
        };
        match ordered.await {
            Ok((certificate, text)) => {
                self.succeed(&begun, &certificate, text).await;
                Ok(certificate)
            }
            Err(error) => Err(self.fail(&begun, error).await),
        }
    }

    async fn succeed(&self, begun: &Attempts, certificate: &Certificate, text: String) {
        let attempts = begun.succeed(&certificate.facts, SystemTime::now());
        let noted = attempts.clone();
        // Only a certificate that is kept ends the series of failures there: a relay that restarts must not order again
        // and again.
        let kept = self.orders.kept.blocking(move |kept| {
            kept.put_certificate(&text)?;
            kept.put_attempts(&noted)
        });
        if let Err(error) = kept.await {
            warn!("the new certificate is served, but is lost when the relay stops: {error}");
        }
        self.metrics.orders[Ordered::Issued].inc();
        self.metrics.set_failures(0);
        let mut state = self.state();
        (state.attempts, state.facts) = (attempts, Some(certificate.facts.clone()));
    }

    async fn fail(&self, begun: &Attempts, error: AcmeError) -> FailedOrder {
        let now = SystemTime::now();
        let refused_for = self.orders.client.take_refused_for();
        let attempts = begun.fail(&error, refused_for, now, rand::random());
        let noted = attempts.clone();
        if let Err(error) = self.orders.kept.blocking(move |kept| kept.put_attempts(&noted)).await {
            warn!("a restart of the relay orders sooner than it should: {error}");
        }
        let outcome = match error {
            AcmeError::Unreachable { .. } | AcmeError::Failing(_) | AcmeError::TooSlow => Ordered::Unanswered,
            AcmeError::State(_) | AcmeError::Authority { .. } => Ordered::NotKept,
            _ => Ordered::Refused,
        };
        self.metrics.orders[outcome].inc();
        self.metrics.set_failures(attempts.failures());
        let mut state = self.state();
        state.attempts = attempts;
        let due = state.attempts.due(state.facts.as_ref(), now);
        FailedOrder { error, pause: due.duration_since(now).unwrap_or_default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The roots of a private authority, if one is named.
fn roots(config: &AcmeConfig) -> Result<Option<Vec<ureq::tls::Certificate<'static>>>, AcmeError> {
    let Some(path) = &config.ca else { return Ok(None) };
    authority_certificates(path).map(Some).map_err(|complaint| AcmeError::Authority { path: path.clone(), complaint })
}
