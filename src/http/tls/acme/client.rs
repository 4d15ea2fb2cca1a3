//! The HTTP client of ACME. ureq blocks, so each request occupies a thread of the runtime that may block. A request is
//! bounded in time and size, uses https only and follows no redirects. The client uses a proxy that the environment
//! names.

use std::io::{self, Read as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use ureq::http::header::{RETRY_AFTER, USER_AGENT};
use ureq::http::{HeaderValue, Method, Request, Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// Time limit of one request.
const DEADLINE: Duration = Duration::from_secs(30);
/// The largest answer, in octets: a chain of certificates.
const ANSWER: u64 = 256 * 1024;
/// RFC 8555 6.1.
const NAME: HeaderValue = HeaderValue::from_static(concat!("sluice/", env!("CARGO_PKG_VERSION")));

/// Asks one authority. Clones share their connections.
#[derive(Clone, Debug)]
pub(super) struct Client {
    agent: Agent,
    /// The Retry-After of the authority's newest refusal. Requests write it, and the end of an order takes it.
    refused_for: Arc<Mutex<Option<Duration>>>,
}

impl Client {
    /// Trusts these roots, or the public ones.
    pub(super) fn new(roots: Option<&[Certificate<'static>]>) -> Self {
        let roots = roots.map_or(RootCerts::WebPki, RootCerts::new_with_certs);
        let agent = Agent::config_builder()
            .https_only(true)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(DEADLINE))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build()
            .new_agent();
        Self { agent, refused_for: Arc::default() }
    }

    /// How long the authority refuses requests, by its newest refusal since the last call; `None` without one.
    pub(super) fn take_refused_for(&self) -> Option<Duration> {
        self.refused_for.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn ask(&self, request: Request<Bytes>) -> Result<BytesResponse, ureq::Error> {
        let has_body = request.method() == Method::POST;
        let (mut parts, body) = request.into_parts();
        parts.headers.insert(USER_AGENT, NAME);
        let response = if has_body {
            self.agent.run(Request::from_parts(parts, body.to_vec()))
        } else {
            self.agent.run(Request::from_parts(parts, ()))
        }?;
        self.note(&response);
        let (parts, mut body) = response.into_parts();
        let mut octets = Vec::new();
        if body.as_reader().take(ANSWER + 1).read_to_end(&mut octets)? as u64 > ANSWER {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge).into());
        }
        Ok(BytesResponse { parts, body: Box::new(Bytes::from(octets)) })
    }

    /// Notes when the authority refuses requests for a time (RFC 8555 6.6).
    fn note(&self, response: &Response<Body>) {
        if ![StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&response.status()) {
            return;
        }
        let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        *self.refused_for.lock().unwrap_or_else(PoisonError::into_inner) = seconds.map(Duration::from_secs);
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let request = Request::from_parts(parts, body.to_bytes());
            let asked = tokio::task::spawn_blocking(move || client.ask(request)).await;
            let answer = asked.map_err(|error| Error::Other(error.into()))?;
            answer.map_err(|error| Error::Other(error.into()))
        })
    }
}
