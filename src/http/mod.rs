//! WHIP, WHEP, the session resource, pages and metrics over HTTP (axum). Media is reached only through the worker
//! handle; every route that concerns a stream asks [`Access`] first.

mod api;
mod base_path;
mod endpoints;
mod error;
mod guard;
mod listener;
mod pages;
mod request;
mod settings;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use axum::RequestExt as _;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tracing::debug;

pub use base_path::{BasePath, BasePathError};
pub use endpoints::ice_servers::{IceServerError, IceServers};
pub use guard::client_header::ClientHeader;
pub use guard::cors::Origins;
pub use guard::host::Host;
pub use guard::limit::Limit;
pub use guard::proxy::{Network, NetworkError};
pub use listener::{Limits, Timing};
pub use settings::Settings;

use crate::auth::{Access, Credential};
use crate::metrics::{Metrics, Route, Status};
use crate::node::Handle;
use api::{operations as admin, streams as api_routes};
use endpoints::event_streams::EventStreams;
use endpoints::ice_servers::url as ice_server_url;
use endpoints::{events, offer as endpoint, session, whep, whip};
use error::Problem;
use guard::limit::{ClientLimiter, Limiter};
use guard::refused::Refusals;
use guard::{allow as methods, cors, host, limit, proxy};
use listener::Entry;
use request::Connection;

/// Where HTTP listens and what it puts up with.
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
    /// Names under which what is for operators is served while no admin token is set, besides local ones.
    pub allowed_hosts: Vec<Host>,
    /// How much one address may ask for; `None` for no limit.
    pub limit: Option<Limit>,
    /// How much the holders of one token may ask for together; `None` for no limit.
    pub token_limit: Option<Limit>,
    /// Proxies that say for whom they ask.
    pub trusted_proxies: Vec<Network>,
    /// Headers in which those name their clients.
    pub client_headers: Vec<ClientHeader>,
    /// The path below which clients find the relay.
    pub base_path: BasePath,
    /// What clients are told of with the 201.
    pub ice_servers: IceServers,
    /// How many connections there may be.
    pub connections: Limits,
    /// How long a request's headers may take, and a connection may idle.
    pub header_deadline: Duration,
    /// How long a client may take nothing of its answer.
    pub unread_deadline: Duration,
    /// How old a connection may get that serves one request after the other.
    pub connection_age: Duration,
    /// How long a request's body may take.
    pub body_deadline: Duration,
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
            trusted_proxies: Vec::new(),
            client_headers: ClientHeader::ALL.to_vec(),
            base_path: BasePath::default(),
            ice_servers: IceServers::default(),
            connections: Limits::default(),
            header_deadline: Duration::from_secs(15),
            unread_deadline: Duration::from_secs(20),
            connection_age: Duration::from_secs(300),
            body_deadline: Duration::from_secs(10),
        }
    }
}

/// What all requests share. Nothing in it changes but counters, rate limits, who may do what when the configuration is
/// read again, and what is behind the media handle.
pub struct Node {
    access: Access,
    media: Handle,
    metrics: Arc<Metrics>,
    rendered: admin::Rendered,
    origins: Origins,
    allowed_hosts: Vec<Host>,
    limiter: Option<ClientLimiter>,
    token_limiter: Option<Limiter<Credential>>,
    trusted_proxies: Vec<Network>,
    client_headers: Vec<ClientHeader>,
    has_told_of_proxy: AtomicBool,
    has_told_of_unread: AtomicBool,
    base_path: BasePath,
    ice_servers: IceServers,
    connections: Limits,
    timing: Timing,
    body_deadline: Duration,
    has_admin: bool,
    refusals: Refusals,
    event_streams: EventStreams,
}

type Shared = Arc<Node>;

impl Node {
    /// Ready to serve.
    pub fn new(config: &Config, access: Access, media: Handle, metrics: Arc<Metrics>) -> Self {
        Self {
            access,
            media,
            metrics: Arc::clone(&metrics),
            rendered: admin::Rendered::default(),
            origins: config.origins.clone(),
            allowed_hosts: config.allowed_hosts.clone(),
            limiter: config.limit.map(ClientLimiter::new),
            token_limiter: config.token_limit.map(Limiter::new),
            trusted_proxies: config.trusted_proxies.clone(),
            client_headers: config.client_headers.clone(),
            has_told_of_proxy: AtomicBool::new(false),
            has_told_of_unread: AtomicBool::new(false),
            base_path: config.base_path.clone(),
            ice_servers: config.ice_servers.clone(),
            connections: config.connections,
            timing: Timing {
                headers: config.header_deadline,
                unread: config.unread_deadline,
                age: config.connection_age,
            },
            body_deadline: config.body_deadline,
            has_admin: config.admin.is_some(),
            refusals: Refusals::default(),
            event_streams: EventStreams::new(metrics),
        }
    }

    /// Who may do what.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Serves everything, or everything but the API, metrics and health, until `stop` completes.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let routes = self.base_path.beneath(methods::telling(public_routes(Arc::clone(&self))));
        let events = self.media.events();
        tokio::select! {
            () = listener::serve(listener, routes, self.entry(), stop) => {}
            () = self.event_streams.follow(&self.media, events) => {}
        }
    }

    /// Serves the API, metrics and health alone, until `stop` completes.
    pub async fn serve_admin(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let routes = admin_routes(&self)
            .fallback(not_for_admin)
            .method_not_allowed_fallback(wrong_method)
            .layer(from_fn_with_state(self.clone(), cors::for_operators))
            .layer(from_fn_with_state(self.clone(), host::guard))
            .layer(from_fn(host::layer))
            .layer(from_fn_with_state(self.clone(), observe))
            .layer(from_fn_with_state(self.clone(), proxy::layer))
            .with_state(self.clone());
        listener::serve(listener, self.base_path.beneath(methods::telling(routes)), self.entry(), stop).await;
    }

    /// How its listeners treat connections.
    fn entry(&self) -> Entry {
        Entry {
            limits: self.connections,
            timing: self.timing,
            trusted_proxies: self.trusted_proxies.clone(),
            base_path: self.base_path.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Node").field("access", &self.access).finish_non_exhaustive()
    }
}

/// The route table.
fn public_routes(node: Shared) -> Router {
    let media = Router::new()
        .route("/whip/{stream}", post(whip::post).get(whip::get).options(|| endpoint::options(endpoint::METHODS)))
        .route("/whep/{stream}", post(whep::post).get(whep::get).options(|| endpoint::options(endpoint::METHODS)))
        .route(
            "/session/{id}",
            get(session::get)
                .patch(session::patch)
                .delete(session::delete)
                .options(|| endpoint::options(session::METHODS)),
        )
        .route("/session/{id}/stream", get(session::stream).options(session::stream_options))
        .route("/session/{id}/events", post(events::post).options(events::options))
        .route("/session/{id}/events/{events}", get(events::get).delete(events::delete).options(events::stream_options))
        .layer(from_fn_with_state(node.clone(), limit::layer));
    let pages = Router::new()
        .route("/", get(pages::index))
        .route("/publish/{stream}", get(pages::publish))
        .route("/watch/{stream}", get(pages::watch))
        .route("/assets/{name}", get(pages::asset));
    let admin = if node.has_admin { Router::new() } else { admin_routes(&node) };
    Router::new()
        .merge(media)
        .merge(pages)
        .merge(admin)
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(node.clone(), cors::for_operators))
        .layer(from_fn_with_state(node.clone(), host::guard))
        .layer(from_fn(host::layer))
        .layer(from_fn_with_state(node.clone(), cors::layer))
        .layer(from_fn(pages::explain))
        .layer(from_fn_with_state(node.clone(), observe))
        // Last, so that it comes first: everything else asks for the client's address.
        .layer(from_fn_with_state(node.clone(), proxy::layer))
        .with_state(node)
}

/// What is for operators, on the public address or on one of its own.
fn admin_routes(node: &Shared) -> Router<Shared> {
    Router::new()
        .route("/api/openapi.json", get(api_routes::document))
        .route("/api/streams", get(api_routes::streams))
        .route("/api/streams/{stream}", get(api_routes::stream))
        .route("/api/sessions", get(api_routes::sessions))
        .route("/api/sessions/{id}", get(api_routes::session).delete(api_routes::kick))
        .layer(from_fn_with_state(node.clone(), limit::layer))
        .route("/metrics", get(admin::metrics))
        .route("/healthz", get(admin::healthz))
        .route("/readyz", get(admin::readyz))
}

async fn not_found() -> Problem {
    Problem::NotFound("nothing is here: see / for what is")
}

async fn not_for_admin() -> Problem {
    Problem::NotFound(
        "this is the admin address: it has /api/openapi.json, /api/streams, /api/sessions, /metrics, /healthz and /readyz",
    )
}

async fn wrong_method() -> Problem {
    Problem::MethodNotAllowed
}

/// Counts each request and logs it without its headers, which carry tokens.
async fn observe(State(node): State<Shared>, connection: Connection, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(Route::Other, |path| route_of(path.as_str()));
    let method = request.method().clone();
    let names_stream = matched.is_some_and(|path| path.as_str().ends_with("/{stream}"));
    let stream = if names_stream { request.extract_parts::<request::Stream>().await.ok() } else { None };
    let response = next.run(request).await;
    let status = response.status();
    node.metrics.http_requests[route][Status::of(status.as_u16())].inc();
    let client = connection.remote.ip();
    node.refusals.tell(client, route, stream.as_ref().map(|request::Stream(name)| name.as_str()), &response);
    debug!(%client, %method, route = ?route, status = status.as_u16(), took = ?began.elapsed(), "request");
    response
}

fn route_of(matched: &str) -> Route {
    match matched {
        "/whip/{stream}" => Route::Whip,
        "/whep/{stream}" => Route::Whep,
        path if path.starts_with("/session/{id}") => Route::Session,
        path if path.starts_with("/api/") => Route::Api,
        _ => Route::Other,
    }
}
