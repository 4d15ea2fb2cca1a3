//! What all requests of a relay share. Nothing in it changes but counters, rate limits, the credentials when the
//! configuration is read again, and what is behind the media handle.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;

use super::children::Children;
use super::event_streams::EventStreams;
use super::leases::Leases;
use super::rendered::Rendered;
use crate::auth::Access;
use crate::cluster::{Calls, Directory};
use crate::http::base_path::BasePath;
use crate::http::config::Config;
use crate::http::guard::cors::CrossOrigin;
use crate::http::guard::failures::Failures;
use crate::http::guard::host::HostRules;
use crate::http::guard::limit::RateLimits;
use crate::http::guard::observe::Observer;
use crate::http::guard::proxy::Proxies;
use crate::http::hsts::Hsts;
use crate::http::ice_servers::IceServers;
use crate::http::listener::accept::{Entry, Timing};
use crate::http::listener::limits::Limits;
use crate::http::request::path::OwnTag;
use crate::http::tls::{PlainHttp, Tls};
use crate::legs::Legs;
use crate::metrics::Metrics;
use crate::node::Handle;

/// What all requests share. Each guard has its own part of it; handlers have all.
pub struct Node {
    pub(in crate::http) access: Arc<Access>,
    pub(in crate::http) media: Handle,
    pub(in crate::http) directory: Arc<Directory>,
    /// Calls of other nodes; `None` where nodes do not call each other.
    pub(in crate::http) calls: Option<Arc<Calls>>,
    /// Pulls and pushes.
    pub(in crate::http) legs: Legs,
    /// The nodes that take streams from this one.
    pub(in crate::http) children: Children,
    pub(in crate::http) metrics: Arc<Metrics>,
    pub(in crate::http) rendered: Rendered,
    pub(in crate::http) event_streams: EventStreams,
    pub(in crate::http) leases: Leases,
    pub(in crate::http) ice_servers: IceServers,
    pub(in crate::http) body_deadline: Duration,
    pub(in crate::http) event_keep_alive: Duration,
    pub(in crate::http) base_path: BasePath,
    /// Whether the API, metrics and health have an address of their own.
    pub(in crate::http) has_admin: bool,
    pub(in crate::http) hosts: Arc<HostRules>,
    pub(in crate::http) cross_origin: Arc<CrossOrigin>,
    pub(in crate::http) rate_limits: Arc<RateLimits>,
    pub(in crate::http) failures: Arc<Failures>,
    pub(in crate::http) proxies: Arc<Proxies>,
    pub(in crate::http) observer: Arc<Observer>,
    /// Whether trusted proxies send a header of the PROXY protocol to the public address.
    pub(in crate::http) proxy_protocol: bool,
    /// HTTPS on the public address.
    pub(in crate::http) tls: Option<Arc<Tls>>,
    pub(in crate::http) plain_http: PlainHttp,
    pub(in crate::http) hsts: Hsts,
    /// The address of the public listener, if it takes media too.
    pub(in crate::http) media_by_http: Option<SocketAddr>,
    connections: Limits,
    timing: Timing,
}

/// This node, and what it knows of others.
pub(crate) struct Nodes {
    pub(crate) media: Handle,
    pub(crate) directory: Arc<Directory>,
    /// `None` where nodes do not call each other.
    pub(crate) calls: Option<Arc<Calls>>,
    pub(crate) legs: Legs,
}

pub(in crate::http) type Shared = Arc<Node>;

impl Node {
    /// Ready to serve, by HTTPS if there is a certificate. The address in `config` is the one that is bound.
    pub(crate) fn new(
        config: &Config,
        access: Access,
        tls: Option<Tls>,
        Nodes { media, directory, calls, legs }: Nodes,
        metrics: Arc<Metrics>,
    ) -> Self {
        let access = Arc::new(access);
        let hosts = HostRules::new(Arc::clone(&access), config.origins.clone(), config.allowed_hosts.clone());
        let base_path = config.base_path.clone();
        let own_tag = calls.as_ref().map(|calls| calls.own_tag());
        Self {
            media_by_http: (media.has_ice_tcp() && config.takes_media()).then_some(config.listen),
            media,
            directory,
            calls,
            legs,
            children: Children::default(),
            rendered: Rendered::default(),
            event_streams: EventStreams::new(Arc::clone(&metrics)),
            leases: Leases::default(),
            ice_servers: config.ice_servers.clone(),
            body_deadline: config.body_deadline,
            event_keep_alive: config.event_keep_alive,
            has_admin: config.admin.is_some(),
            hosts: Arc::new(hosts),
            cross_origin: Arc::new(CrossOrigin::new(Arc::clone(&access), config.origins.clone())),
            rate_limits: Arc::new(RateLimits::new(Arc::clone(&access), own_tag, config.limit, config.token_limit)),
            failures: Arc::new(Failures::new(Arc::clone(&access), config.failure_limit)),
            proxies: Arc::new(Proxies::new(
                config.trusted_proxies.clone(),
                config.client_headers.clone(),
                base_path.clone(),
            )),
            observer: Arc::new(Observer::new(Arc::clone(&metrics))),
            proxy_protocol: config.proxy_protocol,
            tls: tls.map(Arc::new),
            plain_http: config.tls.plain_http,
            hsts: Hsts::new(config.tls.hsts),
            connections: config.connections,
            timing: Timing {
                headers: config.header_deadline,
                unread: config.unread_deadline,
                age: config.connection_age,
            },
            access,
            metrics,
            base_path,
        }
    }

    /// Decides what a request may do.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// Pulls and pushes.
    pub(crate) fn legs(&self) -> &Legs {
        &self.legs
    }

    /// The tag of this node in front of the ids of its sessions.
    pub(in crate::http) fn own_tag(&self) -> OwnTag {
        OwnTag(self.calls.as_ref().map(|calls| calls.own_tag()))
    }

    /// Logs which addresses clients try for media, and what looks wrong with them.
    pub(crate) fn log_self_check(&self) {
        self.media.self_check(self.media_by_http).log();
    }

    /// Looks at once whether the certificate's files have changed.
    pub(crate) fn check_certificate(&self) {
        if let Some(tls) = &self.tls {
            tls.check_soon();
        }
    }

    /// How its listeners treat connections, but for HTTPS, media and the PROXY protocol.
    pub(in crate::http) fn entry(&self) -> Entry {
        Entry {
            limits: self.connections,
            timing: self.timing,
            trusted_proxies: self.proxies.trusted().to_vec(),
            base_path: self.base_path.clone(),
            proxy_protocol: false,
            tls: None,
            plain: None,
            media: None,
            metrics: Arc::clone(&self.metrics),
        }
    }
}

impl FromRef<Shared> for OwnTag {
    fn from_ref(shared: &Shared) -> Self {
        shared.own_tag()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Node").field("access", &self.access).finish_non_exhaustive()
    }
}
