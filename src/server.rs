//! Starts every part in order, and stops them in the other: addresses are bound before anything runs, so a mistake is
//! told at once and leaves nothing behind; at the end no session is taken any more while the others go on for a while,
//! then they end, then HTTP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::auth::{self, Access};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::{http, node, worker};

/// How long workers may take to end their sessions. They need milliseconds; a stuck one must not keep the process.
pub(crate) const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// How often a draining relay looks whether somebody is left.
const DRAIN_INTERVAL: Duration = Duration::from_millis(50);

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4096;

/// A relay whose addresses are bound and whose workers run.
pub struct Server {
    workers: worker::Workers,
    node: Arc<http::Node>,
    http: std::net::TcpListener,
    admin: Option<std::net::TcpListener>,
    addresses: Addresses,
    drain: Duration,
}

/// Where a relay is reached.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Pages, WHIP and WHEP.
    pub http: SocketAddr,
    /// Metrics and health, if they have an address of their own.
    pub admin: Option<SocketAddr>,
    /// Media, over UDP.
    pub media: SocketAddr,
}

/// Why a relay does not start; each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The credentials make no sense.
    #[error(transparent)]
    Auth(#[from] auth::ConfigError),
    /// Media cannot start.
    #[error(transparent)]
    Worker(#[from] worker::StartError),
    /// Another program, or another sluice, listens there.
    #[error("{address} is in use: stop the program that has it, or choose another port with {flag} ADDR:PORT")]
    InUse {
        /// The address.
        address: SocketAddr,
        /// What sets it.
        flag: &'static str,
    },
    /// The address is not one of this machine's.
    #[error("{address} is no address of this machine: choose one with {flag} ADDR:PORT, or 0.0.0.0 for all")]
    NotHere {
        /// The address.
        address: SocketAddr,
        /// What sets it.
        flag: &'static str,
    },
    /// Ports below 1024 are for whoever may have them.
    #[error(
        "{address} needs a permission that sluice has not: choose a port above 1023 with {flag} ADDR:PORT, or grant \
         CAP_NET_BIND_SERVICE (AmbientCapabilities= in the systemd unit)"
    )]
    Forbidden {
        /// The address.
        address: SocketAddr,
        /// What sets it.
        flag: &'static str,
    },
    /// The system refuses it otherwise.
    #[error("cannot listen on {address}: {error}: choose another address with {flag} ADDR:PORT")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// What sets it.
        flag: &'static str,
        /// What the system says.
        error: io::Error,
    },
}

/// The relay has stopped but for a media thread that does not end.
#[derive(Debug, thiserror::Error)]
#[error(
    "a media thread did not stop within {} s and was left behind: a fault of the relay; its log names the session that \
     it is stuck in",
    STOP_DEADLINE.as_secs()
)]
pub struct StuckWorker;

impl Server {
    /// Binds every address and starts the workers.
    ///
    /// # Errors
    /// [`StartError`], with nothing left running.
    pub fn load(config: &Config) -> Result<Self, StartError> {
        let access = Access::new(&config.auth)?;
        let http = bind(config.http.listen, "--http")?;
        let admin = config.http.admin.map(|address| bind(address, "--admin")).transpose()?;
        let metrics = Arc::new(Metrics::showing(config.http.metrics_streams));
        let workers = worker::start(config.worker.clone(), Arc::clone(&metrics))?;
        let addresses = Addresses {
            http: bound(&http, config.http.listen),
            admin: admin.as_ref().zip(config.http.admin).map(|(listener, asked)| bound(listener, asked)),
            media: SocketAddr::new(config.worker.media.ip(), node::Handle::of(&workers).media_port()),
        };
        access.tell();
        if config.worker.reaches_only_this_machine() {
            warn!("this machine has no network: nobody else can connect until it has, or --advertise names an address");
        }
        let node = Arc::new(http::Node::new(&config.http, access, node::Handle::of(&workers), metrics));
        Ok(Self { workers, node, http, admin, addresses, drain: config.worker.drain })
    }

    /// Where it is reached; ports that were given as 0 have their numbers.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// For how long it drains at most.
    pub fn drain(&self) -> Duration {
        self.drain
    }

    /// The media side, for tests.
    #[doc(hidden)]
    pub fn media(&self) -> node::Handle {
        node::Handle::of(&self.workers)
    }

    /// What answers HTTP, to change its access while it serves.
    pub fn node(&self) -> Arc<http::Node> {
        Arc::clone(&self.node)
    }

    /// Serves until `stop` completes, then ends every session and returns.
    ///
    /// # Errors
    /// When the runtime cannot take the listeners.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        self.run_and_drain(std::future::pending(), stop).await
    }

    /// The same, but from the moment that `drain` completes no session is taken, and it is the end too when the last
    /// has ended or [`worker::Config::drain`] is over.
    ///
    /// # Errors
    /// When the runtime cannot take the listeners, or [`StuckWorker`] when all but a worker has ended.
    pub async fn run_and_drain(
        self,
        drain: impl Future<Output = ()>,
        at_once: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let (stop, stopped) = watch::channel(false);
        let until_stopped = || {
            let mut stopped = stopped.clone();
            // An error means that the sender is gone, which is the end as well.
            async move { drop(stopped.wait_for(|stopped| *stopped).await) }
        };
        let http = TcpListener::from_std(self.http).context("the runtime refuses the HTTP socket")?;
        let mut tasks = vec![tokio::spawn(Arc::clone(&self.node).serve(http, until_stopped()))];
        if let Some(admin) = self.admin {
            let admin = TcpListener::from_std(admin).context("the runtime refuses the admin socket")?;
            tasks.push(tokio::spawn(Arc::clone(&self.node).serve_admin(admin, until_stopped())));
        }
        let media = node::Handle::of(&self.workers);
        // 1. No new session, and /readyz says so. Those that are there go on.
        let drained = async {
            drain.await;
            media.drain();
            let sessions = media.session_count();
            info!(sessions, seconds = self.drain.as_secs(), "draining: a second signal ends all at once");
            drop(tokio::time::timeout(self.drain, everybody_left(&media)).await);
        };
        tokio::select! {
            () = drained => {}
            () = at_once => {}
        }
        info!("stopping");
        media.drain();
        // 2. Every session ends and its peer is told. Joining threads blocks, so not on the runtime.
        let workers = self.workers;
        let stopping = tokio::task::spawn_blocking(move || workers.stop());
        let outcome = match tokio::time::timeout(STOP_DEADLINE, stopping).await {
            Ok(ended) => ended.context("a worker did not stop"),
            Err(_) => Err(StuckWorker.into()),
        };
        // 3. HTTP last: a DELETE that arrived meanwhile is still answered.
        let _ = stop.send(true);
        for task in tasks {
            task.await.context("HTTP did not stop")?;
        }
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

/// Completes when no session is left.
pub(crate) async fn everybody_left(media: &node::Handle) {
    while media.session_count() > 0 {
        tokio::time::sleep(DRAIN_INTERVAL).await;
    }
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
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // [::] is every address, IPv4 too, whatever the system's default is.
        socket.set_only_v6(false)?;
    }
    // Unix: an address is free at once after a restart. On Windows the option would share it instead.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
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
    fn an_unusable_address_is_told_in_a_sentence_with_its_flag() {
        let taken = bind("127.0.0.1:0".parse().unwrap(), "--http").unwrap();
        let sentence = bind(taken.local_addr().unwrap(), "--http").unwrap_err().to_string();
        assert!(sentence.contains("in use") && sentence.contains("--http"), "{sentence}");
        let sentence = bind("192.0.2.1:0".parse().unwrap(), "--admin").unwrap_err().to_string();
        assert!(sentence.contains("no address of this machine") && sentence.contains("--admin"), "{sentence}");
    }
}
