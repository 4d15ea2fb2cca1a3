//! Starts every part in order, and stops them in reverse: all addresses are bound before anything runs, so an error is
//! reported at once and leaves nothing behind. To stop, new sessions are refused while existing ones drain, then they
//! are ended, then HTTP.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use socket2::Type;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::info;

use crate::advertise::{self, Advertised};
use crate::auth::{self, Access};
use crate::config::Config;
use crate::legs::Legs;
use crate::metrics::{ClusterMetrics, Metrics};
use crate::state_dir::StateDir;
use crate::worker::net::socket::open;
use crate::{cluster, http, node, worker};

/// How long workers may take to end their sessions. They need milliseconds; a stuck worker must not keep the process
/// alive.
pub(crate) const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// How often a draining relay checks whether sessions remain.
const DRAIN_INTERVAL: Duration = Duration::from_millis(50);

/// Connections that the kernel queues until they are accepted.
const BACKLOG: i32 = 4096;

/// A relay whose addresses are bound and whose workers run.
pub struct Server {
    workers: worker::Workers,
    advertised: Arc<Advertised>,
    node: Arc<http::Node>,
    directory: Arc<cluster::Directory>,
    calls: Option<Arc<cluster::Calls>>,
    legs: Legs,
    /// Those of a cluster, if it is a node of one.
    cluster_metrics: Option<ClusterMetrics>,
    http: std::net::TcpListener,
    admin: Option<std::net::TcpListener>,
    redirect: Option<std::net::TcpListener>,
    addresses: Addresses,
    public_port: Option<u16>,
    public_url: Option<String>,
    drain: Duration,
}

/// The addresses of a relay.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Pages, WHIP and WHEP.
    pub http: SocketAddr,
    /// Whether those are served by HTTPS.
    pub is_https: bool,
    /// Metrics and health, if they have an address of their own.
    pub admin: Option<SocketAddr>,
    /// Where plain HTTP is redirected to HTTPS.
    pub redirect: Option<SocketAddr>,
    /// Media, over UDP.
    pub media: SocketAddr,
    /// Whether it accepts media by TCP there too (ICE-TCP).
    pub has_ice_tcp: bool,
}

/// Why a relay does not start; each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The credentials are inconsistent.
    #[error(transparent)]
    Auth(#[from] auth::ConfigError),
    /// Tokens that were revoked in an earlier run are not known.
    #[error(transparent)]
    Revocations(#[from] auth::RevocationsError),
    /// HTTPS cannot start.
    #[error(transparent)]
    Tls(#[from] http::TlsError),
    /// The credentials for the directory are not usable.
    #[error(transparent)]
    Cluster(#[from] cluster::CredentialsError),
    /// The secret for calls between nodes is not usable.
    #[error(transparent)]
    ClusterSecrets(#[from] cluster::SecretsError),
    /// Media cannot start.
    #[error(transparent)]
    Worker(#[from] worker::StartError),
    /// Another program, or another sluice, uses the address.
    #[error("{address} is in use: stop the program that uses it, or choose another port with {flag} ADDR:PORT")]
    InUse {
        /// The address.
        address: SocketAddr,
        /// The setting.
        flag: &'static str,
    },
    /// The address does not belong to this machine.
    #[error("{address} is not an address of this machine: choose one with {flag} ADDR:PORT, or 0.0.0.0 for all")]
    NotHere {
        /// The address.
        address: SocketAddr,
        /// The setting.
        flag: &'static str,
    },
    /// Ports below 1024 need a permission.
    #[error(
        "cannot bind {address}: permission denied; choose a port above 1023 with {flag} ADDR:PORT, or grant \
         CAP_NET_BIND_SERVICE (AmbientCapabilities= in the systemd unit)"
    )]
    Forbidden {
        /// The address.
        address: SocketAddr,
        /// The setting.
        flag: &'static str,
    },
    /// Another error of the operating system.
    #[error("cannot listen on {address}: {error}: choose another address with {flag} ADDR:PORT")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// The setting.
        flag: &'static str,
        /// The error.
        error: io::Error,
    },
}

impl StartError {
    /// Whether a setting must be corrected. Other errors may pass without one: an address that a former relay still
    /// uses, or one that this machine gets when its network is up.
    pub fn is_mistake(&self) -> bool {
        match self {
            Self::Auth(_) | Self::Revocations(_) | Self::Tls(_) | Self::Forbidden { .. } => true,
            Self::Cluster(_) | Self::ClusterSecrets(_) => true,
            Self::Worker(error) => error.is_mistake(),
            Self::InUse { .. } | Self::NotHere { .. } | Self::Refused { .. } => false,
        }
    }
}

/// The relay has stopped, except for a media thread that does not end.
#[derive(Debug, thiserror::Error)]
#[error(
    "a media thread did not stop within {} s and was left behind: a fault of the relay; its log names the session that \
     it is stuck in",
    STOP_DEADLINE.as_secs()
)]
pub(crate) struct StuckWorker;

impl Server {
    /// Binds every address and starts the workers.
    ///
    /// # Errors
    /// [`StartError`]; then nothing is left running.
    pub fn load(config: &Config) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::showing(config.http.metrics_streams));
        let access = access(config, &metrics)?;
        let directory = config.cluster.directory()?;
        let calls = config.cluster.calls(&directory)?;
        let http = bind(config.http.listen, "--http")?;
        let admin = config.http.admin.map(|address| bind(address, "--admin")).transpose()?;
        let redirect = config.http.tls.redirect.map(|address| bind(address, "--http-redirect")).transpose()?;
        let source = config.http.tls.certificate.as_ref();
        let worker::Config { advertise, stun_servers, media, .. } = &config.worker;
        let advertised = Advertised::new(advertise.clone(), stun_servers.clone(), media.ip()).learn();
        let public: Vec<IpAddr> = advertised.current().iter().map(|address| address.ip).collect();
        let tls = source.map(|source| http::Tls::open(source, &config.http.tls, &public, &metrics));
        let tls = tls.transpose()?;
        let advertised = Arc::new(advertised);
        let workers = worker::start(config.worker.clone(), Arc::clone(&advertised), Arc::clone(&metrics))?;
        let addresses = Addresses {
            http: bound(&http, config.http.listen),
            is_https: tls.is_some(),
            admin: admin.as_ref().zip(config.http.admin).map(|(listener, asked)| bound(listener, asked)),
            redirect: redirect.as_ref().zip(config.http.tls.redirect).map(|(listener, asked)| bound(listener, asked)),
            media: SocketAddr::new(config.worker.media.ip(), node::Handle::of(&workers).media_port()),
            has_ice_tcp: config.worker.ice_tcp,
        };
        access.log();
        let http_config = http::Config { listen: addresses.http, ..config.http.clone() };
        let cluster_metrics = config.cluster.is_shared().then(|| metrics.cluster());
        let others = (Arc::clone(&directory), calls.clone());
        let legs = Legs::new(config.legs.clone(), node::Handle::of(&workers), others, Arc::clone(&metrics));
        let media = node::Handle::of(&workers);
        let nodes = http::Nodes { media, directory: Arc::clone(&directory), calls: calls.clone(), legs: legs.clone() };
        let node = Arc::new(http::Node::new(&http_config, access, tls, nodes, metrics));
        node.log_self_check();
        let drain = config.worker.drain;
        let (public_port, public_url) = (config.http.tls.public_port, config.http.tls.public_url());
        Ok(Self {
            workers,
            advertised,
            node,
            directory,
            legs,
            calls,
            cluster_metrics,
            http,
            admin,
            redirect,
            addresses,
            public_port,
            public_url,
            drain,
        })
    }

    /// Reads the files and tries the directory that a start needs, and leaves nothing behind.
    ///
    /// # Errors
    /// Those of [`load`](Self::load) that are mistakes in settings.
    pub fn check(config: &Config) -> Result<(), StartError> {
        Access::new(&config.auth, Arc::new(Metrics::default()))?;
        http::Tls::check_settings(&config.http.tls)?;
        config.cluster.check()?;
        Ok(config.worker.check().map_err(worker::StartError::from)?)
    }

    /// Its addresses; ports that were given as 0 have their actual numbers.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Where clients open the pages, if it knows its name.
    pub fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    /// The longest time that it drains.
    pub fn drain(&self) -> Duration {
        self.drain
    }

    /// The media side, for tests.
    #[doc(hidden)]
    pub fn media(&self) -> node::Handle {
        node::Handle::of(&self.workers)
    }

    /// The state of the HTTP server, to change access while it serves.
    pub fn node(&self) -> Arc<http::Node> {
        Arc::clone(&self.node)
    }

    /// Serves until `at_once` completes, then ends every session and returns. Once `drain` completes no new session is
    /// accepted, and the relay also ends when the last session has ended or [`worker::Config::drain`] is over.
    ///
    /// # Errors
    /// When the runtime cannot take the listeners, or [`StuckWorker`] when everything but a worker has ended.
    pub async fn run_and_drain(
        self,
        drain: impl Future<Output = ()>,
        at_once: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let (stop, stopped) = watch::channel(false);
        let until_stopped = || {
            let mut stopped = stopped.clone();
            // An error means that the sender is gone, which also ends the relay.
            async move { drop(stopped.wait_for(|stopped| *stopped).await) }
        };
        let http = TcpListener::from_std(self.http).context("the runtime refuses the HTTP socket")?;
        let mut tasks = vec![tokio::spawn(Arc::clone(&self.node).serve(http, until_stopped()))];
        if let Some(admin) = self.admin {
            let admin = TcpListener::from_std(admin).context("the runtime refuses the admin socket")?;
            tasks.push(tokio::spawn(Arc::clone(&self.node).serve_admin(admin, until_stopped())));
        }
        if let Some(redirect) = self.redirect {
            let redirect = TcpListener::from_std(redirect).context("the runtime refuses the socket for redirects")?;
            let port = self.public_port.unwrap_or(self.addresses.http.port());
            tasks.push(tokio::spawn(Arc::clone(&self.node).serve_redirects(redirect, port, until_stopped())));
        }
        let refreshing = tokio::spawn(advertise::keep_current(self.advertised));
        let media = node::Handle::of(&self.workers);
        let directory = Arc::clone(&self.directory);
        let nodes = (self.directory, self.calls);
        let claiming = cluster::run(nodes, media.clone(), self.cluster_metrics, until_stopped());
        tasks.push(tokio::spawn(claiming));
        self.legs.start();
        // 1. Refuse new sessions, also in /readyz. Existing sessions continue.
        let drained = async {
            drain.await;
            media.drain();
            directory.set_draining();
            drop(tokio::spawn(Arc::clone(&self.node).farewell(self.drain / 2)));
            let sessions = media.session_count();
            info!(sessions, seconds = self.drain.as_secs(), "draining: a second signal ends all sessions at once");
            drop(tokio::time::timeout(self.drain, all_left(&media)).await);
        };
        tokio::select! {
            () = drained => {}
            () = at_once => {}
        }
        info!("stopping");
        media.drain();
        self.legs.stop().await;
        // 2. End every session and notify its peer. Joining threads blocks, so it is not done on the runtime.
        let workers = self.workers;
        let stopping = tokio::task::spawn_blocking(move || workers.stop());
        let outcome = match tokio::time::timeout(STOP_DEADLINE, stopping).await {
            Ok(ended) => ended.context("a worker did not stop"),
            Err(_) => Err(StuckWorker.into()),
        };
        // 3. Stop HTTP last, so that a DELETE that arrived meanwhile is answered; give up the claims of streams.
        let _ = stop.send(true);
        for task in tasks {
            task.await.context("HTTP or the directory did not stop")?;
        }
        refreshing.abort();
        if outcome.is_ok() {
            info!("stopped");
        }
        outcome
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Server").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// Completes when no session remains.
pub(crate) async fn all_left(media: &node::Handle) {
    while media.session_count() > 0 {
        tokio::time::sleep(DRAIN_INTERVAL).await;
    }
}

/// Which client may do what, by the settings and the revocations of earlier runs.
fn access(config: &Config, metrics: &Arc<Metrics>) -> Result<Access, StartError> {
    let access = Access::new(&config.auth, Arc::clone(metrics))?;
    let Some(path) = &config.http.tls.state_dir else { return Ok(access) };
    let state = StateDir::open(path).map_err(auth::RevocationsError::from)?;
    Ok(access.keeping_revocations(state)?)
}

fn bind(address: SocketAddr, flag: &'static str) -> Result<std::net::TcpListener, StartError> {
    listen(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError::InUse { address, flag },
        io::ErrorKind::AddrNotAvailable => StartError::NotHere { address, flag },
        io::ErrorKind::PermissionDenied => StartError::Forbidden { address, flag },
        _ => StartError::Refused { address, flag, error },
    })
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = open(address, Type::STREAM, false)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bound(listener: &std::net::TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusable_address_is_explained_in_a_sentence_with_its_flag() {
        let taken = bind("127.0.0.1:0".parse().unwrap(), "--http").unwrap();
        let sentence = bind(taken.local_addr().unwrap(), "--http").unwrap_err().to_string();
        assert!(sentence.contains("in use") && sentence.contains("--http"), "{sentence}");
        let sentence = bind("192.0.2.1:0".parse().unwrap(), "--admin").unwrap_err().to_string();
        assert!(sentence.contains("not an address of this machine") && sentence.contains("--admin"), "{sentence}");
    }
}
