//! One order, from the account to the certificate (RFC 8555 7).

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order, OrderStatus, Problem,
    RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use tracing::info;

use super::challenges::{Challenges, Pending};
use super::client::Client;
use super::config::AcmeConfig;
use super::error::{AcmeError, kind};
use super::kept::Kept;

/// How often and how long the relay polls for the validation of the names, and for the certificate.
const POLL: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(500)).backoff(1.5).timeout(Duration::from_secs(120));

/// What an order needs.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) config: AcmeConfig,
    pub(super) client: Client,
    pub(super) kept: Kept,
    pub(super) challenges: Arc<Challenges>,
}

impl Orders {
    /// Gets a certificate: PEM of its chain, then of its new key.
    ///
    /// # Errors
    /// [`AcmeError`].
    pub(super) async fn order(&self) -> Result<String, AcmeError> {
        let identifiers: Vec<_> = self.config.domains.iter().cloned().map(Identifier::Dns).collect();
        let request = NewOrder::new(&identifiers);
        let mut order = match self.account().await?.new_order(&request).await {
            // Test authorities forget their accounts.
            Err(Error::Api(problem)) if kind(&problem) == "accountDoesNotExist" => {
                self.new_account().await?.new_order(&request).await
            }
            other => other,
        }
        .map_err(|error| self.failed(error))?;
        let pending = self.answer_challenges(&mut order).await?;
        match order.poll_ready(&POLL).await {
            Ok(OrderStatus::Ready | OrderStatus::Processing | OrderStatus::Valid) => {}
            Ok(_) => return Err(self.why_invalid(&mut order, None).await),
            Err(Error::Api(problem)) => return Err(self.why_invalid(&mut order, Some(problem)).await),
            Err(error) => return Err(self.failed(error)),
        }
        drop(pending);
        self.finish(&mut order).await
    }

    /// Answers each challenge while the returned values live, and tells the authority that it may validate. A name that
    /// the authority has validated before needs no challenge.
    async fn answer_challenges(&self, order: &mut Order) -> Result<Vec<Pending>, AcmeError> {
        let mut pending = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| self.failed(error))?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let name = authorization.identifier().to_string();
            let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
                return Err(AcmeError::NoChallenge(name));
            };
            let digest = challenge.key_authorization().digest();
            let answer = self.challenges.answer(&name, digest.as_ref());
            pending.push(answer.ok_or_else(|| AcmeError::Unusable("a challenge for another name".to_owned()))?);
            challenge.set_ready().await.map_err(|error| match error {
                Error::Api(problem) => AcmeError::not_validated(name, &problem),
                error => self.failed(error),
            })?;
        }
        Ok(pending)
    }

    /// Which name the authority could not validate, and why.
    async fn why_invalid(&self, order: &mut Order, problem: Option<Problem>) -> AcmeError {
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            let Ok(state) = authorization.refresh().await else { break };
            let problem = state.challenges.iter().find_map(|challenge| challenge.error.as_ref());
            if let Some(problem) = problem {
                return AcmeError::not_validated(state.identifier().to_string(), problem);
            }
        }
        match problem {
            Some(problem) => self.failed(Error::Api(problem)),
            None => AcmeError::Refused("the order became invalid".to_owned()),
        }
    }

    /// Requests the certificate for a new key.
    async fn finish(&self, order: &mut Order) -> Result<String, AcmeError> {
        let unusable = |error: rcgen::Error| AcmeError::Unusable(error.to_string());
        let mut parameters = CertificateParams::new(self.config.domains.clone()).map_err(unusable)?;
        parameters.distinguished_name = DistinguishedName::new();
        let key = KeyPair::generate().map_err(unusable)?;
        let request = parameters.serialize_request(&key).map_err(unusable)?;
        order.finalize_csr(request.der()).await.map_err(|error| self.failed(error))?;
        let chain = order.poll_certificate(&POLL).await.map_err(|error| self.failed(error))?;
        Ok(format!("{}\n{}", chain.trim_end(), key.serialize_pem()))
    }

    /// The account that is kept, or a new one.
    async fn account(&self) -> Result<Account, AcmeError> {
        match self.kept.blocking(Kept::account).await? {
            Some(credentials) => {
                let builder = Account::builder_with_http(Box::new(self.client.clone()));
                builder.from_credentials(credentials).await.map_err(|error| self.failed(error))
            }
            None => self.new_account().await,
        }
    }

    async fn new_account(&self) -> Result<Account, AcmeError> {
        let contact: Vec<String> = self.config.contact.iter().map(|address| format!("mailto:{address}")).collect();
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let asked = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        let made = builder.create(&asked, self.config.directory.clone(), None).await;
        let (account, credentials) = made.map_err(|error| self.failed(error))?;
        self.kept.blocking(move |kept| kept.put_account(&credentials)).await?;
        info!("new account with the authority at {}", self.config.directory);
        Ok(account)
    }

    fn failed(&self, error: Error) -> AcmeError {
        AcmeError::of(error, &self.config.directory)
    }
}
