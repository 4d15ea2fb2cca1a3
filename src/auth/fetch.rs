//! Asks other servers: bounded in time and size, without following redirects. Requests share the open connections.
//!
//! The client is ureq, which blocks, so each request has a thread of the runtime while it lasts.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use super::config::ConfigError;
use crate::authority::authority_certificates;

/// How long a connection without a request is kept.
const IDLE: Duration = Duration::from_secs(3);

/// Sends requests to servers of the operator. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub(super) struct Fetcher(Agent);

/// A request to a server of the operator.
pub(super) struct Request {
    url: String,
    /// JSON to post; without it the request is a GET.
    body: Option<Vec<u8>>,
    bearer: Option<String>,
    /// Given back when nothing of the request is left, also if nobody waits for its answer any more.
    permit: Option<OwnedSemaphorePermit>,
}

/// What came back.
pub(super) struct Fetched {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Why nothing came back. No text of it holds what was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the server does not answer as HTTP asks for: {0}")]
    Failed(String),
    #[error("the server did not answer within {} ms", .0.as_millis())]
    TooSlow(Duration),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(u64),
}

impl Request {
    pub(super) fn get(url: &str) -> Self {
        Self { url: url.to_owned(), body: None, bearer: None, permit: None }
    }

    pub(super) fn post(url: &str, body: Vec<u8>, bearer: Option<&str>) -> Self {
        Self { url: url.to_owned(), body: Some(body), bearer: bearer.map(str::to_owned), permit: None }
    }

    /// Holds this until it is over.
    pub(super) fn holding(self, permit: OwnedSemaphorePermit) -> Self {
        Self { permit: Some(permit), ..self }
    }
}

impl Fetcher {
    /// Trusts servers whose certificates an authority in this PEM file has signed; without a file, the authorities that
    /// browsers trust.
    ///
    /// # Errors
    /// [`ConfigError::Authority`] if the file cannot be used.
    pub(super) fn new(authority: Option<&Path>) -> Result<Self, ConfigError> {
        let read = |path: &Path| {
            let failed = |complaint| ConfigError::Authority { path: path.to_owned(), complaint };
            authority_certificates(path).map_err(failed)
        };
        let roots = authority.map(read).transpose()?;
        let roots = roots.map_or(RootCerts::WebPki, |roots| RootCerts::new_with_certs(&roots));
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Many servers close a connection that has been idle for 5 s.
            .max_idle_age(IDLE)
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
            // A proxy in the environment would see the tokens of clients.
            .proxy(None)
            .tls_config(TlsConfig::builder().root_certs(roots).build());
        Ok(Self(config.build().into()))
    }

    /// Sends a request and reads at most `limit` octets of its answer, all within `deadline`.
    pub(super) async fn fetch(
        &self,
        mut request: Request,
        limit: u64,
        deadline: Duration,
    ) -> Result<Fetched, FetchError> {
        let permit = request.permit.take();
        let own = self.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let _held = permit;
            own.ask(&request, limit, deadline)
        });
        // The client keeps the deadline itself, but for the resolver of the system.
        match tokio::time::timeout(deadline, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(FetchError::TooSlow(deadline)),
        }
    }

    fn ask(&self, request: &Request, limit: u64, deadline: Duration) -> Result<Fetched, FetchError> {
        let failed = |error: ureq::Error| match error {
            ureq::Error::Timeout(_) => FetchError::TooSlow(deadline),
            other => FetchError::Failed(other.to_string()),
        };
        let answered = match &request.body {
            None => self.0.get(&request.url).config().timeout_global(Some(deadline)).build().call(),
            Some(body) => {
                let post = self.0.post(&request.url).config().timeout_global(Some(deadline)).build();
                let mut post = post.content_type("application/json");
                if let Some(bearer) = &request.bearer {
                    post = post.header("authorization", format!("Bearer {bearer}"));
                }
                post.send(&body[..])
            }
        };
        let mut response = answered.map_err(failed)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        let read = response.body_mut().as_reader().take(limit + 1).read_to_end(&mut body);
        read.map_err(|error| FetchError::Failed(error.to_string()))?;
        if body.len() as u64 > limit { Err(FetchError::TooLarge(limit)) } else { Ok(Fetched { status, body }) }
    }
}
