//! What an operator can set of HTTPS.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::acme::{self, AcmeConfig};
use super::config::{CertificateSource, Config, ConfigError, PlainHttp};
use crate::setting;

/// The section `[https]`.
#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "https")]
pub(crate) struct Settings {
    /// DNS names of this machine, for which the relay gets and renews a certificate by ACME, from Let's Encrypt by
    /// default; setting it accepts that authority's terms of service. Port 443 of these names must lead to the relay;
    /// the default of --http becomes 0.0.0.0:443 (for IPv6 too, set it to port 443 of ::). Needs --state-dir
    #[arg(long, env = "SLUICE_DOMAIN", value_name = "NAME[,NAME]", value_delimiter = ',', value_parser = acme::domain)]
    domain: Vec<String>,

    /// URL of the authority's ACME directory; for tests, Let's Encrypt has
    /// acme-staging-v02.api.letsencrypt.org/directory, whose certificates browsers do not trust
    #[arg(long, env = "SLUICE_ACME_DIRECTORY", value_name = "URL", value_parser = acme::directory)]
    #[arg(default_value = "https://acme-v02.api.letsencrypt.org/directory")]
    acme_directory: String,

    /// E-mail addresses to which the authority may write about the certificate
    #[arg(long, env = "SLUICE_ACME_CONTACT", value_name = "EMAIL[,EMAIL]", value_delimiter = ',')]
    #[arg(value_parser = acme::contact)]
    acme_contact: Vec<String>,

    /// PEM file with the root certificate of a private authority; if unset, the roots that browsers trust are used
    #[arg(long, env = "SLUICE_ACME_CA", value_name = "FILE")]
    acme_ca: Option<PathBuf>,

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

    /// Port at which clients reach HTTPS where a container or NAT maps it to that of --http; --http-redirect leads there. If
    /// unset, it is the port of --http, and 443 with --domain, which has to be reached there
    #[arg(long, env = "SLUICE_PUBLIC_PORT", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    public_port: Option<u16>,

    /// What requests of plain HTTP get on the port of HTTPS: reject answers 400 and says to write https, redirect sends
    /// them to HTTPS on the same port (308), serve answers them in clear, with their tokens
    #[arg(long, env = "SLUICE_PLAIN_HTTP", value_name = "ANSWER", value_enum, default_value = "reject")]
    #[arg(hide_possible_values = true)]
    plain_http: PlainHttp,

    /// Seconds for which browsers use HTTPS only (Strict-Transport-Security); 0 to send no such header
    #[arg(long, env = "SLUICE_HSTS", value_name = "SECONDS", default_value = "0")]
    hsts: u32,

    /// Directory in which the relay keeps the certificate that it gets or makes, with its key, and revocations of tokens;
    /// only its own user may read the files
    #[arg(long, env = "SLUICE_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl TryFrom<Settings> for Config {
    type Error = ConfigError;

    fn try_from(settings: Settings) -> Result<Self, ConfigError> {
        let files = match (settings.tls_cert, settings.tls_key) {
            (Some(cert), Some(key)) => Some(CertificateSource::Files { cert, key }),
            (None, None) => None,
            _ => return Err(ConfigError::HalfPair),
        };
        let own = settings.tls_self_signed.then_some(CertificateSource::SelfSigned);
        let acme = (!settings.domain.is_empty()).then_some(CertificateSource::Acme(AcmeConfig {
            domains: settings.domain,
            directory: settings.acme_directory,
            contact: settings.acme_contact,
            ca: settings.acme_ca,
        }));
        let sources = [("--domain", acme), ("--tls-cert", files), ("--tls-self-signed", own)];
        let mut sources = sources.into_iter().filter_map(|(flag, source)| Some((flag, source?)));
        let certificate = match (sources.next(), sources.next()) {
            (Some((one, _)), Some((other, _))) => return Err(ConfigError::TwoSources(one, other)),
            (first, _) => first.map(|(_, source)| source),
        };
        let is_acme = matches!(certificate, Some(CertificateSource::Acme(_)));
        if is_acme && settings.state_dir.is_none() {
            return Err(ConfigError::NoStateDir);
        }
        let hsts = Some(Duration::from_secs(settings.hsts.into())).filter(|age| !age.is_zero());
        if certificate.is_none() && settings.http_redirect.is_some() {
            return Err(ConfigError::Useless("--http-redirect"));
        }
        if certificate.is_none() && settings.public_port.is_some() {
            return Err(ConfigError::Useless("--public-port"));
        }
        if certificate.is_none() && settings.plain_http != PlainHttp::Reject {
            return Err(ConfigError::Useless("--plain-http"));
        }
        if settings.plain_http == PlainHttp::Serve && hsts.is_some() {
            return Err(ConfigError::ServedInClear);
        }
        if certificate == Some(CertificateSource::SelfSigned) && hsts.is_some() {
            return Err(ConfigError::LockedOut);
        }
        Ok(Self {
            certificate,
            redirect: settings.http_redirect,
            public_port: settings.public_port.or(is_acme.then_some(443)),
            plain_http: settings.plain_http,
            hsts,
            state_dir: settings.state_dir,
            ..Self::default()
        })
    }
}
