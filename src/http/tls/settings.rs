//! What an operator can set of HTTPS.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::config::{CertificateSource, Config, ConfigError};
use crate::setting;

/// The section `[https]`.
#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "https")]
pub(crate) struct Settings {
    /// PEM file with the certificate for HTTPS on the --http address: the server's own first, then its issuers. Read
    /// again when it changes; connections and sessions continue
    #[arg(long, env = "SLUICE_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// PEM file with the private key of that certificate
    #[arg(long, env = "SLUICE_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// Serve HTTPS with a certificate that the relay makes for this machine's names and addresses; browsers warn of it
    /// once. For a local network, where phones publish from the page
    #[arg(long, env = "SLUICE_TLS_SELF_SIGNED", value_name = "BOOL")]
    #[arg(action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    tls_self_signed: bool,

    /// Address and port where plain HTTP is answered with a redirect to HTTPS (308), and with nothing else
    #[arg(long, env = "SLUICE_HTTP_REDIRECT", value_name = "ADDR:PORT", value_parser = setting::address)]
    http_redirect: Option<SocketAddr>,

    /// Seconds for which browsers use HTTPS only (Strict-Transport-Security); 0 to send no such header
    #[arg(long, env = "SLUICE_HSTS", value_name = "SECONDS", default_value = "0")]
    hsts: u32,

    /// Directory in which the relay keeps the certificate that it makes, so that browsers warn of it only once
    #[arg(long, env = "SLUICE_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl TryFrom<Settings> for Config {
    type Error = ConfigError;

    fn try_from(settings: Settings) -> Result<Self, ConfigError> {
        let certificate = match (settings.tls_cert, settings.tls_key, settings.tls_self_signed) {
            (None, None, false) => None,
            (None, None, true) => Some(CertificateSource::SelfSigned),
            (Some(cert), Some(key), false) => Some(CertificateSource::Files { cert, key }),
            (Some(_), Some(_), true) => return Err(ConfigError::TwoSources),
            (Some(_), None, _) | (None, Some(_), _) => return Err(ConfigError::HalfPair),
        };
        let hsts = Some(Duration::from_secs(settings.hsts.into())).filter(|age| !age.is_zero());
        if certificate.is_none() && settings.http_redirect.is_some() {
            return Err(ConfigError::Useless("--http-redirect"));
        }
        if certificate == Some(CertificateSource::SelfSigned) && hsts.is_some() {
            return Err(ConfigError::LockedOut);
        }
        Ok(Self {
            certificate,
            redirect: settings.http_redirect,
            hsts,
            state_dir: settings.state_dir,
            ..Self::default()
        })
    }
}
