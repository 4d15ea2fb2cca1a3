//! The certificate that is served now, and what keeps it current.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use super::certificate::Certificate;
use super::config::{CertificateSource, Config};
use super::error::TlsError;
use super::expiry::Stage;
use super::source::Source;
use crate::metrics::{Metrics, TlsMetrics};

/// The only protocol that clients may choose (RFC 7301).
const HTTP_1_1: &[u8] = b"http/1.1";

/// HTTPS of the public listener.
pub(crate) struct Tls {
    pub(in crate::http) acceptor: TlsAcceptor,
    pub(in crate::http) handshake_deadline: Duration,
    pub(in crate::http) metrics: TlsMetrics,
    served: Arc<Served>,
    upkeep: Mutex<Upkeep>,
    check_every: Duration,
    check_now: Notify,
}

/// Written when a certificate is renewed, read by each handshake.
#[derive(Debug)]
struct Served(RwLock<Arc<CertifiedKey>>);

/// What looks for another certificate; behind a mutex because one check runs at a time, on a thread that may block.
struct Upkeep {
    source: Source,
    current: Certificate,
    /// The last stage that the log has.
    stage: Stage,
}

impl Tls {
    /// Reads or makes the certificate; `advertised` are the addresses that the relay announces.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn open(
        source: &CertificateSource,
        config: &Config,
        advertised: &[IpAddr],
        metrics: &Metrics,
    ) -> Result<Self, TlsError> {
        let now = SystemTime::now();
        let (source, current) = Source::open(source, config, advertised, now)?;
        let served = Arc::new(Served(RwLock::new(Arc::clone(&current.key))));
        let versions =
            ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
        let mut server = versions
            .expect("ring has cipher suites of both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Served>::clone(&served));
        server.alpn_protocols = vec![HTTP_1_1.to_vec()];
        let metrics = metrics.tls();
        metrics.set_expiry(current.facts.expires);
        info!(sha256 = current.fingerprint(), "https with a certificate for {}", current.facts);
        let mut upkeep = Upkeep { source, current, stage: Stage::Valid };
        upkeep.log_stage(now);
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            handshake_deadline: config.handshake_deadline,
            metrics,
            served,
            upkeep: Mutex::new(upkeep),
            check_every: config.check_every,
            check_now: Notify::new(),
        })
    }

    /// Looks for another certificate again and again; never completes.
    pub(in crate::http) async fn keep_current(self: Arc<Self>) {
        loop {
            let soon = tokio::time::sleep(self.check_every);
            tokio::select! {
                () = soon => {}
                () = self.check_now.notified() => {}
            }
            // Files may be on a drive that does not answer.
            let own = Arc::clone(&self);
            if tokio::task::spawn_blocking(move || own.check(SystemTime::now())).await.is_err() {
                warn!("a check of the certificate failed: a fault of the relay; it is tried again");
            }
        }
    }

    /// Does not wait for the time of the next check.
    pub(in crate::http) fn check_soon(&self) {
        self.check_now.notify_one();
    }

    fn check(&self, now: SystemTime) {
        let mut upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let upkeep = &mut *upkeep;
        match upkeep.source.changed(&upkeep.current, now) {
            Some(Ok(newer)) => {
                *self.served.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&newer.key);
                self.metrics.set_expiry(newer.facts.expires);
                info!("certificate renewed: for {}; connections continue", newer.facts);
                upkeep.current = newer;
            }
            Some(Err(error)) => warn!("certificate not renewed, the one before it stays in use: {error}"),
            None => {}
        }
        upkeep.log_stage(now);
    }
}

impl Upkeep {
    /// Logs that the certificate has come to another stage of its lifetime, once.
    fn log_stage(&mut self, now: SystemTime) {
        let stage = Stage::of(&self.current.facts, now);
        if std::mem::replace(&mut self.stage, stage) == stage {
            return;
        }
        let (day, advice) = (self.current.facts.last_day(), self.source.advice());
        match stage {
            Stage::Valid => {}
            Stage::NotYetValid => {
                warn!("the certificate is not valid yet, and clients refuse it: check this machine's clock")
            }
            Stage::Ending => warn!("the certificate expires on {day}: {advice}"),
            Stage::Over => warn!("the certificate expired on {day}, and clients refuse it: {advice}"),
        }
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").field("handshake_deadline", &self.handshake_deadline).finish_non_exhaustive()
    }
}
