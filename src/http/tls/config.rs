//! What is configured of HTTPS; [`Settings`](super::Settings) are how an operator writes it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::acme::AcmeConfig;

/// Where the certificate comes from, and what plain HTTP answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The certificate; `None` for plain HTTP.
    pub certificate: Option<CertificateSource>,
    /// Where plain HTTP is redirected to HTTPS.
    pub redirect: Option<SocketAddr>,
    /// The port at which clients reach HTTPS, if another one is mapped to that of the listener.
    pub public_port: Option<u16>,
    /// What plain HTTP is answered on the port of HTTPS.
    pub plain_http: PlainHttp,
    /// How long browsers use HTTPS only (RFC 6797).
    pub hsts: Option<Duration>,
    /// Where a certificate that the relay makes or gets is kept.
    pub state_dir: Option<PathBuf>,
    /// How often the certificate is checked: its files, and its expiry.
    pub check_every: Duration,
    /// How long a handshake may take.
    pub handshake_deadline: Duration,
}

/// What a client of plain HTTP is answered on the port of HTTPS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum PlainHttp {
    /// 400, with a text that says to write https.
    #[default]
    Reject,
    /// A redirect to HTTPS (308) on the port that it asked.
    Redirect,
    /// What it asks for.
    Serve,
}

/// Where a certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// PEM files, read again when they change.
    Files {
        /// The server's certificate and its issuers.
        cert: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// The relay makes one for this machine's own names and addresses.
    SelfSigned,
    /// The relay orders one from an authority, and renews it.
    Acme(AcmeConfig),
}

/// Why the settings of HTTPS are refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// One of two files.
    #[error(
        "--tls-cert and --tls-key belong together: name the certificate's file and the key's file (one file may have both)"
    )]
    HalfPair,
    /// Several sources of one certificate.
    #[error("{0} and {1} are two certificates for one listener: remove one of the two")]
    TwoSources(&'static str, &'static str),
    /// ACME without a directory that keeps the certificate.
    #[error(
        "--domain needs --state-dir DIR, where the certificate and the account are kept: authorities limit how often they \
         issue for the same names"
    )]
    NoStateDir,
    /// A setting without effect.
    #[error(
        "{0} has no effect without HTTPS: set --domain, --tls-cert and --tls-key, or --tls-self-signed, or remove it"
    )]
    Useless(&'static str),
    /// A permanent promise to browsers that they get nothing without HTTPS, and a port that serves it.
    #[error(
        "--plain-http serve answers requests in clear, and --hsts tells browsers to use HTTPS only: remove --hsts, or set \
         --plain-http redirect"
    )]
    ServedInClear,
    /// A permanent promise to browsers about a certificate that they do not trust.
    #[error(
        "--hsts with --tls-self-signed would lock browsers out: they then refuse to go on after their warning; remove --hsts"
    )]
    LockedOut,
}

impl Config {
    /// Where clients open the pages, without a slash at the end; `None` if the relay does not know its name.
    pub fn public_url(&self) -> Option<String> {
        let Some(CertificateSource::Acme(acme)) = &self.certificate else { return None };
        let port = self.public_port.filter(|port| *port != 443).map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("https://{}{port}", acme.domains.first()?))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            certificate: None,
            redirect: None,
            public_port: None,
            plain_http: PlainHttp::default(),
            hsts: None,
            state_dir: None,
            check_every: Duration::from_secs(5),
            handshake_deadline: Duration::from_secs(10),
        }
    }
}
