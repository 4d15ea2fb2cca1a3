//! The certificate that is served now, and what keeps it current.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

use super::acme::{ACME_TLS, Acme, Challenges};
use super::certificate::Certificate;
use super::config::{CertificateSource, Config};
use super::error::TlsError;
use super::expiry::Stage;
use super::names_asked::NamesAsked;
use super::source::Source;
use crate::metrics::{Metrics, TlsMetrics};

/// The only protocol that clients may choose (RFC 7301); an authority that validates a name chooses [`ACME_TLS`].
const HTTP_1_1: &[u8] = b"http/1.1";

/// HTTPS of the public listener.
pub(crate) struct Tls {
    pub(in crate::http) acceptor: TlsAcceptor,
    pub(in crate::http) handshake_deadline: Duration,
    pub(in crate::http) metrics: TlsMetrics,
    served: Arc<Served>,
    upkeep: Mutex<Upkeep>,
    /// Orders the certificate, where an authority issues it.
    acme: Option<Arc<Acme>>,
    check_every: Duration,
    check_now: Notify,
}

/// The certificates that the relay answers handshakes with.
#[derive(Debug)]
struct Served {
    /// Written when a certificate is renewed, read by each handshake.
    certificate: RwLock<Arc<CertifiedKey>>,
    /// The pending challenges, where an authority issues the certificate.
    challenges: Option<Arc<Challenges>>,
    names: NamesAsked,
}

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
        let (source, current) = Source::open(source, config, advertised, metrics, now)?;
        let acme = source.acme().cloned();
        let challenges = acme.as_ref().map(|acme| acme.challenges());
        let is_issued = acme.as_ref().is_none_or(|acme| acme.has_certificate());
        let names = NamesAsked::new(source.advice_about_names(), is_issued.then(|| current.facts.clone()));
        let served = Arc::new(Served { certificate: RwLock::new(Arc::clone(&current.key)), challenges, names });
        let server = server_config(served.clone());
        let metrics = metrics.tls();
        if is_issued {
            metrics.set_certificate(current.facts.expires, current.facts.lifetime());
            info!(sha256 = current.fingerprint(), "https with a certificate for {}", current.facts);
        } else {
            metrics.set_certificate(UNIX_EPOCH, Duration::ZERO);
            info!("https with a self-signed certificate until the first one is issued");
        }
        let mut upkeep = Upkeep { source, current, stage: Stage::Valid };
        upkeep.log_stage(now);
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            handshake_deadline: config.handshake_deadline,
            metrics,
            served,
            upkeep: Mutex::new(upkeep),
            acme,
            check_every: config.check_every,
            check_now: Notify::new(),
        })
    }

    /// Reads the files and tries the directory that [`open`](Self::open) needs, and leaves nothing behind.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn check_settings(config: &Config) -> Result<(), TlsError> {
        match &config.certificate {
            Some(source) => Source::check(source, config),
            None => Ok(()),
        }
    }

    /// Looks for another certificate at intervals, and orders it where an authority issues it; never completes.
    pub(in crate::http) async fn keep_current(self: Arc<Self>) {
        let ordered = async {
            match &self.acme {
                Some(acme) => acme.keep_ordered(&self.check_now).await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(self.keep_checked(), ordered);
    }

    async fn keep_checked(self: &Arc<Self>) {
        loop {
            let soon = tokio::time::sleep(self.check_every);
            tokio::select! {
                () = soon => {}
                () = self.check_now.notified() => {}
            }
            // Files may be on a drive that does not answer.
            let own = Arc::clone(self);
            if tokio::task::spawn_blocking(move || own.check(SystemTime::now())).await.is_err() {
                warn!("a check of the certificate failed: a fault of the relay; it is tried again");
            }
        }
    }

    /// Checks the certificate now instead of at the next interval, and ends the pause after a failed order.
    pub(in crate::http) fn check_soon(&self) {
        if let Some(acme) = &self.acme {
            acme.hurry();
        }
        self.check_now.notify_one();
    }

    /// Whether a connection was a validation by the authority, which carries nothing else (RFC 8737 3).
    pub(in crate::http) fn is_validation<Stream>(stream: &TlsStream<Stream>) -> bool {
        stream.get_ref().1.alpn_protocol() == Some(ACME_TLS)
    }

    fn check(&self, now: SystemTime) {
        let mut upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let upkeep = &mut *upkeep;
        match upkeep.source.changed(&upkeep.current, now) {
            Some(Ok(newer)) => {
                *self.served.certificate.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&newer.key);
                self.metrics.set_certificate(newer.facts.expires, newer.facts.lifetime());
                info!("new certificate for {}; connections continue", newer.facts);
                if let Some(line) = self.served.names.renew(&newer.facts) {
                    warn!("{line}");
                }
                upkeep.current = newer;
            }
            Some(Err(error)) => warn!("no new certificate, the one in use stays: {error}"),
            None => {}
        }
        upkeep.log_stage(now);
    }
}

impl Upkeep {
    /// Logs that the certificate has come to another stage of its lifetime, once.
    fn log_stage(&mut self, now: SystemTime) {
        if let Some(line) = self.new_stage(now) {
            warn!("{line}");
        }
    }

    /// The line about a stage of its lifetime that the certificate has come to since the last call.
    fn new_stage(&mut self, now: SystemTime) -> Option<String> {
        let stage = Stage::of(&self.current.facts, now);
        if std::mem::replace(&mut self.stage, stage) == stage {
            return None;
        }
        let (day, advice) = (self.current.facts.last_day(), self.source.advice());
        match stage {
            Stage::Valid => None,
            Stage::NotYetValid => {
                Some("the certificate is not valid yet, and clients refuse it: check this machine's clock".to_owned())
            }
            Stage::Ending => Some(format!("the certificate expires on {day}: {advice}")),
            Stage::Over => Some(format!("the certificate expired on {day}, and clients refuse it: {advice}")),
        }
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(line) = hello.server_name().and_then(|name| self.names.note(name)) {
            warn!("{line}");
        }
        let offers = |protocol| hello.alpn().is_some_and(|mut offered| offered.any(|it| it == protocol));
        match &self.challenges {
            Some(challenges) if offers(ACME_TLS) && !offers(HTTP_1_1) => challenges.certificate(&hello),
            _ => Some(Arc::clone(&self.certificate.read().unwrap_or_else(PoisonError::into_inner))),
        }
    }
}

/// The configuration of rustls that answers handshakes with these certificates.
fn server_config(served: Arc<Served>) -> ServerConfig {
    let versions =
        ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let versions = versions.expect("ring has cipher suites of both versions");
    let protocols = [Some(HTTP_1_1), served.challenges.is_some().then_some(ACME_TLS)];
    let mut config = versions.with_no_client_auth().with_cert_resolver(served);
    config.alpn_protocols = protocols.into_iter().flatten().map(<[u8]>::to_vec).collect();
    config
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").field("handshake_deadline", &self.handshake_deadline).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::tls::any_certificate::AnyCertificate;
    use crate::http::tls::files::Files;
    use crate::http::tls::place::Place;
    use crate::http::tls::self_signed::SelfSigned;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, ServerConnection};
    use x509_parser::parse_x509_certificate;

    const LIVE: &str = "live.example.org";

    /// The relay's answer to a client that asks for `name` and offers these protocols: the protocol, and whether the
    /// certificate is that of a challenge. `None` if the handshake fails.
    fn answer(served: &Arc<Served>, name: &str, protocols: &[&[u8]]) -> Option<(Vec<u8>, bool)> {
        let builder =
            ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
        let builder = builder.unwrap().dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate));
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut server = ServerConnection::new(Arc::new(server_config(Arc::clone(served)))).unwrap();
        let mut wire = Vec::new();
        while client.is_handshaking() || server.is_handshaking() {
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut std::mem::take(&mut wire).as_slice()).unwrap();
            server.process_new_packets().ok()?;
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut std::mem::take(&mut wire).as_slice()).unwrap();
            client.process_new_packets().ok()?;
        }
        let (_, parsed) = parse_x509_certificate(&client.peer_certificates()?[0]).unwrap();
        let is_challenge = parsed.extensions().iter().any(|it| it.oid.to_id_string() == "1.3.6.1.5.5.7.1.31");
        Some((client.alpn_protocol()?.to_vec(), is_challenge))
    }

    fn served(challenges: Option<Arc<Challenges>>) -> Arc<Served> {
        let own = SelfSigned::stand_in(&[LIVE.to_owned()], SystemTime::now()).unwrap();
        Arc::new(Served { certificate: RwLock::new(own.key), challenges, names: NamesAsked::new(None, None) })
    }

    #[test]
    fn a_challenge_is_answered_to_its_protocol_and_name_alone_and_only_while_it_is_pending() {
        let challenges = Arc::new(Challenges::default());
        let served = served(Some(Arc::clone(&challenges)));
        let http = Some((HTTP_1_1.to_vec(), false));
        assert_eq!(answer(&served, LIVE, &[ACME_TLS]), None, "nothing is pending");
        let pending = challenges.answer(LIVE, &[7; 32]).unwrap();
        assert_eq!(answer(&served, LIVE, &[ACME_TLS]), Some((ACME_TLS.to_vec(), true)));
        assert_eq!(answer(&served, "LIVE.example.org", &[ACME_TLS]), Some((ACME_TLS.to_vec(), true)));
        assert_eq!(answer(&served, "other.example.org", &[ACME_TLS]), None);
        assert_eq!(answer(&served, "192.0.2.7", &[ACME_TLS]), None, "a client that names no host");
        assert_eq!(answer(&served, LIVE, &[HTTP_1_1]), http);
        assert_eq!(answer(&served, LIVE, &[ACME_TLS, HTTP_1_1]), http, "a browser is never given a challenge");
        drop(pending);
        assert_eq!(answer(&served, LIVE, &[ACME_TLS]), None);
        assert_eq!(answer(&served, LIVE, &[HTTP_1_1]), http);
    }

    #[test]
    fn a_certificate_that_ends_is_one_line_and_one_more_when_it_is_over() {
        let day = |number: u64| UNIX_EPOCH + Duration::from_secs(number * 24 * 60 * 60);
        let place = Place::new("stages");
        let made = rcgen::generate_simple_self_signed(vec![LIVE.to_owned()]).unwrap();
        let (cert, key) = (place.file("cert.pem"), place.file("key.pem"));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let (files, mut current) = Files::open(cert, key).unwrap();
        (current.facts.valid_from, current.facts.expires) = (day(1000), day(1090));
        let mut upkeep = Upkeep { source: Source::Files(files), current, stage: Stage::Valid };
        assert_eq!(upkeep.new_stage(day(1001)), None);
        let line = upkeep.new_stage(day(1080)).unwrap();
        assert!(line.starts_with("the certificate expires on ") && line.contains("cert.pem"), "{line}");
        for later in 1080..1090 {
            assert_eq!(upkeep.new_stage(day(later)), None, "one line says it");
        }
        assert!(upkeep.new_stage(day(1090)).unwrap().contains("clients refuse it"));
        assert_eq!(upkeep.new_stage(day(1100)), None);
        upkeep.current.facts.expires = day(1200);
        assert_eq!(upkeep.new_stage(day(1101)), None, "it is renewed");
        assert!(upkeep.new_stage(day(1195)).is_some(), "and ends again");
    }

    #[test]
    fn a_relay_that_orders_no_certificates_refuses_the_protocol_of_challenges() {
        let served = served(None);
        assert_eq!(answer(&served, LIVE, &[ACME_TLS]), None);
        assert_eq!(answer(&served, LIVE, &[ACME_TLS, HTTP_1_1]), Some((HTTP_1_1.to_vec(), false)));
        let protocols: BTreeSet<_> = server_config(served).alpn_protocols.into_iter().collect();
        assert_eq!(protocols, BTreeSet::from([HTTP_1_1.to_vec()]));
    }
}
