//! What an operator can set of HTTP.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use super::base_path::BasePath;
use super::config::Config;
use super::guard::client_header::ClientHeader;
use super::guard::cors::Origins;
use super::guard::host::Host;
use super::guard::limit::Limit;
use super::guard::origin::{self as origins, OriginError};
use super::ice_servers::{self, IceServerError, IceServers};
use super::listener::limits::Limits;
use crate::setting::{self, Network};

/// The section `[http]`. Not `Debug`: it holds a secret.
#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "http")]
pub(crate) struct Settings {
    /// Address and port of pages, WHIP and WHEP; with --domain, 0.0.0.0:443 by default
    #[arg(id = "http.listen", long = "http", env = "SLUICE_HTTP", value_name = "ADDR:PORT")]
    #[arg(value_parser = setting::address, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,

    /// Accept media by TCP on that port too (ICE-TCP), for clients whose network blocks other ports, and advertise the
    /// port to them; if unset, it is on unless clients reach it through a proxy (--trusted-proxy) or only from this
    /// machine
    #[arg(long, env = "SLUICE_MEDIA_ON_HTTP", value_name = "BOOL", action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, default_missing_value = "true")]
    media_on_http: Option<bool>,

    /// Moves /api, /metrics, /healthz and /readyz to an address of their own
    #[arg(long, env = "SLUICE_ADMIN", value_name = "ADDR:PORT", value_parser = setting::address)]
    admin: Option<SocketAddr>,

    /// Streams that /metrics shows by name at a time; the others are summed under "(other)"
    #[arg(long, env = "SLUICE_METRICS_STREAMS", value_name = "N", default_value = "100")]
    metrics_streams: usize,

    /// Origins of web pages that may use the relay from a browser: scheme, host and port, with "*." in front of the
    /// host for all subdomains; * for all
    #[arg(long, env = "SLUICE_ALLOW_ORIGIN", value_name = "ORIGIN[,ORIGIN]", value_delimiter = ',')]
    #[arg(value_parser = origin, default_value = "*")]
    allow_origin: Vec<String>,

    /// Names under which /api is served while no admin token is set, besides IP addresses, localhost, names
    /// without dots and those below .local
    #[arg(long, env = "SLUICE_ALLOW_HOST", value_name = "HOST[,HOST]", value_delimiter = ',')]
    allow_host: Vec<Host>,

    /// Session requests per second allowed from one address (burst: 30 times as many); 0 for no limit; this machine is
    /// exempt
    #[arg(long, env = "SLUICE_RATE_LIMIT", value_name = "N", default_value = "20")]
    rate_limit: u32,

    /// Session requests per second allowed with one token, from all addresses together (burst: 30 times as many); 0 for
    /// no limit; this machine is exempt
    #[arg(long, env = "SLUICE_TOKEN_RATE_LIMIT", value_name = "N", default_value = "200")]
    token_rate_limit: u32,

    /// HTTP connections at a time from one address, or from one /64 network of IPv6; behind a trusted proxy, of one of
    /// its clients; 0 for no limit
    #[arg(long, env = "SLUICE_CONNECTIONS_PER_CLIENT", value_name = "N", default_value = "256")]
    connections_per_client: usize,

    /// Proxies that are believed when they name their client: the right-most address in X-Forwarded-For or Forwarded
    /// that is none of them, or the one in X-Real-IP
    #[arg(long, env = "SLUICE_TRUSTED_PROXY", value_name = "CIDR[,CIDR]", value_delimiter = ',')]
    trusted_proxy: Vec<Network>,

    /// Require each connection to the --http address to come from a trusted proxy and to begin with a header of the
    /// PROXY protocol, version 1 or 2, that names the client; other connections are not served
    #[arg(long, env = "SLUICE_PROXY_PROTOCOL", value_name = "BOOL", action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    proxy_protocol: bool,

    /// Headers in which a trusted proxy names its client; those it sends must agree, so name the one that it sets if it
    /// passes on others from outside
    #[arg(long, env = "SLUICE_CLIENT_HEADER", value_name = "HEADER[,HEADER]", value_delimiter = ',')]
    #[arg(default_value = "x-forwarded-for,forwarded,x-real-ip")]
    client_header: Vec<ClientHeader>,

    /// Path below which a proxy serves the relay, such as /relay; requests are served with it and without it
    #[arg(long, env = "SLUICE_BASE_PATH", value_name = "PATH", value_parser = BasePath::setting)]
    base_path: Option<BasePath>,

    /// STUN and TURN servers to announce to clients, such as stun:stun.example.org or turn:turn.example.org
    #[arg(long, env = "SLUICE_ICE_SERVER", value_name = "URL[,URL]", value_delimiter = ',', value_parser = ice_servers::url)]
    ice_server: Vec<String>,

    /// Secret shared with the TURN servers, from which credentials valid for a day are made (static-auth-secret of
    /// coturn)
    #[arg(long, env = "SLUICE_TURN_SECRET", value_name = "SECRET", hide_env_values = true)]
    turn_secret: Option<String>,
}

impl TryFrom<Settings> for Config {
    type Error = IceServerError;

    fn try_from(settings: Settings) -> Result<Self, IceServerError> {
        let everybody = settings.allow_origin.iter().any(|origin| origin == "*");
        Ok(Self {
            listen: settings.listen,
            media: settings.media_on_http,
            admin: settings.admin,
            metrics_streams: settings.metrics_streams,
            origins: if everybody { Origins::Any } else { Origins::Listed(settings.allow_origin) },
            allowed_hosts: settings.allow_host,
            limit: limit(settings.rate_limit),
            token_limit: limit(settings.token_rate_limit),
            trusted_proxies: settings.trusted_proxy,
            proxy_protocol: settings.proxy_protocol,
            client_headers: settings.client_header,
            connections: Limits {
                requests_per_client: Some(settings.connections_per_client).filter(|limit| *limit > 0),
                ..Limits::default()
            },
            base_path: settings.base_path.unwrap_or_default(),
            ice_servers: IceServers::new(settings.ice_server, settings.turn_secret)?,
            ..Self::default()
        })
    }
}

/// Reads an origin as browsers send it, or everything.
fn origin(text: &str) -> Result<String, OriginError> {
    if text == "*" { Ok(text.to_owned()) } else { origins::normal(text) }
}

fn limit(per_second: u32) -> Option<Limit> {
    let per_second = NonZeroU32::new(per_second)?;
    let burst = per_second.saturating_mul(NonZeroU32::MIN.saturating_add(29));
    Some(Limit { per_second, burst, loopback: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_and_host_or_everything() {
        for good in ["*", "https://a.example", "http://localhost:3000"] {
            assert_eq!(origin(good).as_deref(), Ok(good));
        }
        assert_eq!(origin("https://*.A.example:443").as_deref(), Ok("https://*.a.example"));
        for wrong in ["a.example", "https://a.example/", "https://", "null", "https://*"] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rate_limit_allows_thirty_times_that_at_once_and_zero_is_none() {
        assert_eq!(limit(3).map(|limit| (limit.per_second.get(), limit.burst.get())), Some((3, 90)));
        assert_eq!(limit(0), None);
    }
}
