//! What is configured of HTTP; [`Settings`](super::Settings) are how an operator writes it.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use super::base_path::BasePath;
use super::guard::client_header::ClientHeader;
use super::guard::cors::Origins;
use super::guard::host::Host;
use super::guard::limit::Limit;
use super::ice_servers::IceServers;
use super::listener::limits::Limits;
use super::tls;
use crate::setting::Network;

/// Where HTTP listens and what it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The address of pages, WHIP and WHEP; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Moves the API, metrics and health to an address of their own.
    pub admin: Option<SocketAddr>,
    /// Streams that are shown by name in the metrics; the others are summed.
    pub metrics_streams: usize,
    /// Which pages may use the relay from a browser.
    pub origins: Origins,
    /// Names under which the API is served while no admin token is set, besides local ones.
    pub allowed_hosts: Vec<Host>,
    /// Requests allowed from one address; `None` for no limit.
    pub limit: Option<Limit>,
    /// Requests allowed with one token, from all addresses together; `None` for no limit.
    pub token_limit: Option<Limit>,
    /// Unknown tokens allowed from one address before it is slowed down.
    pub failure_limit: Limit,
    /// Proxies that are believed when they name their client.
    pub trusted_proxies: Vec<Network>,
    /// Whether they begin each connection with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Headers in which they name it.
    pub client_headers: Vec<ClientHeader>,
    /// The path below which clients find the relay.
    pub base_path: BasePath,
    /// STUN and TURN servers announced with the 201.
    pub ice_servers: IceServers,
    /// HTTPS on that address.
    pub tls: tls::Config,
    /// Whether the public listener takes media by TCP too; with `None` it does where clients reach it directly.
    pub media: Option<bool>,
    /// How many connections are open at a time.
    pub connections: Limits,
    /// How long a request's headers may take, and a connection may be idle.
    pub header_deadline: Duration,
    /// How long a client may read nothing of its answer.
    pub unread_deadline: Duration,
    /// How long a connection may serve one request after the other.
    pub connection_age: Duration,
    /// How long a request's body may take.
    pub body_deadline: Duration,
    /// How often a comment in an event stream shows proxies that the connection is in use.
    pub event_keep_alive: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let number = |value| NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN);
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8080)),
            admin: None,
            metrics_streams: crate::metrics::STREAMS,
            origins: Origins::Any,
            allowed_hosts: Vec::new(),
            limit: Some(Limit { per_second: number(20), burst: number(600), loopback: false }),
            token_limit: Some(Limit { per_second: number(200), burst: number(6000), loopback: false }),
            failure_limit: Limit { per_second: number(1), burst: number(10), loopback: false },
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            client_headers: ClientHeader::ALL.to_vec(),
            base_path: BasePath::default(),
            ice_servers: IceServers::default(),
            tls: tls::Config::default(),
            media: None,
            connections: Limits::default(),
            header_deadline: Duration::from_secs(15),
            unread_deadline: Duration::from_secs(20),
            connection_age: Duration::from_secs(300),
            body_deadline: Duration::from_secs(10),
            event_keep_alive: Duration::from_secs(15),
        }
    }
}

impl Config {
    /// Whether the public listener takes media by TCP too. If that is not set, it does unless clients reach it through
    /// a proxy or only from this machine.
    pub(crate) fn takes_media(&self) -> bool {
        self.media.unwrap_or(self.trusted_proxies.is_empty() && !self.listen.ip().is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_is_taken_where_clients_reach_the_listener_themselves_unless_it_is_set() {
        let config = Config::default();
        assert!(config.takes_media());
        let proxied = Config { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..config.clone() };
        let local = Config { listen: "127.0.0.1:8080".parse().unwrap(), ..config.clone() };
        assert!(!proxied.takes_media() && !local.takes_media());
        assert!(Config { media: Some(true), ..proxied }.takes_media());
        assert!(!Config { media: Some(false), ..config }.takes_media());
    }
}
