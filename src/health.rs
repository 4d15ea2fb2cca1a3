//! Asks a relay whether it is well: `sluice healthcheck`, for containers that have no other program to ask with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectionDetails, Connector, RustlsConnector, TcpConnector, Transport};

/// A relay that needs longer for its health is not well.
const DEADLINE: Duration = Duration::from_secs(2);

/// The most bytes read of a relay's answer.
const REASON: u64 = 1_024;

/// The header of the PROXY protocol, version 2, of a connection that carries no client's request: the command LOCAL,
/// and no addresses.
const LOCAL: [u8; 16] = *b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// How a relay is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// HTTP over TLS.
    pub is_https: bool,
    /// Connections begin with a header of the PROXY protocol.
    pub is_proxied: bool,
}

impl Protocol {
    /// HTTP alone.
    pub const HTTP: Self = Self { is_https: false, is_proxied: false };
}

/// Why it is not well.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Nobody answers.
    #[error("the relay does not answer at {url} ({cause}): is it running, and with the same settings?")]
    Silent {
        /// Where it was asked.
        url: String,
        /// The network's error.
        cause: Box<ureq::Error>,
    },
    /// It answers that it is unhealthy, and why.
    #[error("the relay at {url} is not well: {reason}")]
    Unwell {
        /// Where it was asked.
        url: String,
        /// The text of its answer.
        reason: String,
    },
    /// Something answers otherwise.
    #[error("{url} answers with status {status}: is that a sluice, and is its --admin the same?")]
    Strange {
        /// Where it was asked.
        url: String,
        /// What it answers.
        status: u16,
    },
    /// A free port is not known in advance.
    #[error("the port is 0, so the relay's port is unknown: set --http or --admin to the address of the relay")]
    NoPort,
}

/// Asks the relay that listens on `address`, from its own machine.
///
/// # Errors
/// [`Unhealthy`] unless it answers within two seconds that it is healthy.
pub fn check(address: SocketAddr, by: Protocol) -> Result<(), Unhealthy> {
    if address.port() == 0 {
        return Err(Unhealthy::NoPort);
    }
    // A relay that listens on all addresses listens on loopback too.
    let ip = match address.ip() {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let scheme = if by.is_https { "https" } else { "http" };
    let url = format!("{scheme}://{}/healthz", SocketAddr::new(ip, address.port()));
    // The certificate is for the names that clients use, and nothing secret is sent.
    let tls = TlsConfig::builder().disable_verification(true).build();
    let config =
        ureq::Agent::config_builder().timeout_global(Some(DEADLINE)).http_status_as_error(false).tls_config(tls);
    let config = config.proxy(None).build();
    let agent = if by.is_proxied {
        let connector = TcpConnector::default().chain(LocalHeader).chain(RustlsConnector::default());
        ureq::Agent::with_parts(config, connector, DefaultResolver::default())
    } else {
        config.new_agent()
    };
    match agent.get(&url).call() {
        Ok(answer) if answer.status() == 200 => Ok(()),
        Ok(mut answer) if answer.status() == 503 => {
            let reason = answer.body_mut().with_config().limit(REASON).read_to_string().unwrap_or_default();
            Err(Unhealthy::Unwell { url, reason: reason.trim_end().to_owned() })
        }
        Ok(answer) => Err(Unhealthy::Strange { url, status: answer.status().as_u16() }),
        Err(cause) => Err(Unhealthy::Silent { url, cause: Box::new(cause) }),
    }
}

/// Sends [`LOCAL`] before anything else.
#[derive(Debug)]
struct LocalHeader;

impl<In: Transport> Connector<In> for LocalHeader {
    type Out = In;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<In>, ureq::Error> {
        let Some(mut transport) = chained else { return Ok(None) };
        transport.buffers().output()[..LOCAL.len()].copy_from_slice(&LOCAL);
        transport.transmit_output(LOCAL.len(), details.timeout)?;
        Ok(Some(transport))
    }
}
