//! What all requests of a relay share. Nothing in it changes but counters, rate limits, the credentials when the
//! configuration is read again, and what is behind the media handle.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::api::rendered::Rendered;
use super::base_path::BasePath;
use super::config::Config;
use super::endpoints::event_streams::EventStreams;
use super::endpoints::ice_servers::IceServers;
use super::guard::cors::CrossOrigin;
use super::guard::host::HostRules;
use super::guard::limit::RateLimits;
use super::guard::observe::Observer;
use super::guard::proxy::Proxies;
use super::listener::accept::{Entry, Timing};
use crate::auth::Access;
use crate::metrics::Metrics;
use crate::node::Handle;

/// What all requests share. Each guard has its own part of it; handlers have all.
pub struct Node {
    pub(super) access: Arc<Access>,
    pub(super) media: Handle,
    pub(super) metrics: Arc<Metrics>,
    pub(super) rendered: Rendered,
    pub(super) event_streams: EventStreams,
    pub(super) ice_servers: IceServers,
    pub(super) body_deadline: Duration,
    pub(super) base_path: BasePath,
    /// Whether the API, metrics and health have an address of their own.
    pub(super) has_admin: bool,
    pub(super) hosts: Arc<HostRules>,
    pub(super) cross_origin: Arc<CrossOrigin>,
    pub(super) rate_limits: Arc<RateLimits>,
    pub(super) proxies: Arc<Proxies>,
    pub(super) observer: Arc<Observer>,
    connections: super::listener::limits::Limits,
    timing: Timing,
}

pub(super) type Shared = Arc<Node>;

impl Node {
    /// Ready to serve.
    pub fn new(config: &Config, access: Access, media: Handle, metrics: Arc<Metrics>) -> Self {
        let access = Arc::new(access);
        let hosts = HostRules::new(Arc::clone(&access), config.origins.clone(), config.allowed_hosts.clone());
        let base_path = config.base_path.clone();
        Self {
            media,
            rendered: Rendered::default(),
            event_streams: EventStreams::new(Arc::clone(&metrics)),
            ice_servers: config.ice_servers.clone(),
            body_deadline: config.body_deadline,
            has_admin: config.admin.is_some(),
            hosts: Arc::new(hosts),
            cross_origin: Arc::new(CrossOrigin::new(Arc::clone(&access), config.origins.clone())),
            rate_limits: Arc::new(RateLimits::new(Arc::clone(&access), config.limit, config.token_limit)),
            proxies: Arc::new(Proxies::new(
                config.trusted_proxies.clone(),
                config.client_headers.clone(),
                base_path.clone(),
            )),
            observer: Arc::new(Observer::new(Arc::clone(&metrics))),
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
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// How its listeners treat connections.
    pub(super) fn entry(&self) -> Entry {
        Entry {
            limits: self.connections,
            timing: self.timing,
            trusted_proxies: self.proxies.trusted().to_vec(),
            base_path: self.base_path.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Node").field("access", &self.access).finish_non_exhaustive()
    }
}
