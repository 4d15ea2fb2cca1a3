//! The HTTP client of node calls: connections are shared, addresses checked when a name is resolved, and neither proxies
//! nor redirects are followed.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tower::Service;

use super::allowed::Allowed;
use super::config::SecretsError;
use crate::authority::authority_certificates;

/// How long a connection without a call is kept: nodes close one that has been idle for 15 s.
const IDLE: Duration = Duration::from_secs(5);

/// Idle connections that are kept for each node.
const MOST_IDLE: usize = 16;

pub(super) type Client = legacy::Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// A client that calls allowed addresses alone, and trusts the authorities in this PEM file or, without one, those of the
/// system.
///
/// # Errors
/// [`SecretsError::Authority`] if the file cannot be used.
pub(super) fn client(allowed: Arc<Allowed>, authority: Option<&Path>) -> Result<Client, SecretsError> {
    let mut http = HttpConnector::new_with_resolver(Resolver(allowed));
    http.enforce_http(false);
    http.set_nodelay(true);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the suites of TLS 1.2 and 1.3")
        .with_root_certificates(roots(authority)?)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MOST_IDLE)
        .build(connector.wrap_connector(http)))
}

fn roots(authority: Option<&Path>) -> Result<RootCertStore, SecretsError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = authority else {
        // Without any, calls by HTTPS fail and say so.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let failed = |reason| SecretsError::Authority { path: path.to_owned(), reason };
    let certificates = authority_certificates(path).map_err(failed)?;
    roots.add_parsable_certificates(certificates.iter().map(|own| CertificateDer::from(own.der().to_vec())));
    Ok(roots)
}

/// Resolves the names of nodes to the addresses that are allowed, which are those that are connected to.
#[derive(Clone, Debug)]
pub(super) struct Resolver(Arc<Allowed>);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let allowed = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let chosen = allowed.choose(name.as_str(), found.map(|address| address.ip()));
            let chosen = chosen.map_err(|error| io::Error::new(io::ErrorKind::PermissionDenied, error))?;
            let addresses: Vec<_> = chosen.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(addresses.into_iter())
        })
    }
}
