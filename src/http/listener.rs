//! Accepts connections and serves HTTP/1.1 on them. `axum::serve` has no deadline for a request's headers, and without
//! one a client that sends a byte a minute holds a connection for ever.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::Service as _;
use tracing::{debug, warn};

use super::request::Connection;

/// Connections at a time; further ones wait in the kernel until one ends, which the deadlines see to.
const CONNECTIONS: usize = 4096;
/// Request line and headers together.
const HEADER_BYTES: usize = 32 * 1024;
/// The pause after a failed accept: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The least time between two complaints about that, which would else come with each try.
const TELL_AGAIN: Duration = Duration::from_secs(60);
const CANNOT_ACCEPT: &str = "cannot accept connections: if too many files are open, raise their limit (ulimit -n, or \
                             LimitNOFILE= in the systemd unit)";
/// How long running requests may take to finish when the relay stops.
const FINISH: Duration = Duration::from_secs(3);

/// Serves `router` on `listener` until `stop` completes, then lets running requests finish.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    header_deadline: Duration,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let running = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(header_deadline).max_buf_size(HEADER_BYTES);
    tokio::pin!(stop);
    let mut told: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = &mut stop => break,
        };
        let (stream, connection, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if told.is_none_or(|told| told.elapsed() > TELL_AGAIN) {
                    told = Some(Instant::now());
                    warn!(%error, "{CANNOT_ACCEPT}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(connection);
            router.clone().call(request.map(Body::new))
        });
        let served = running.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = served.await {
                debug!(remote = %connection.remote, %error, "connection broke off");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(FINISH, running.shutdown()).await.is_err() {
        warn!("some requests did not finish in time");
    }
}

type Accepted = (TcpStream, Connection, tokio::sync::OwnedSemaphorePermit);

/// The next connection, as soon as there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, remote) = listener.accept().await?;
    // Answers are small and complete; waiting to fill a segment only delays a join.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr()?;
    Ok((stream, Connection { local: plain(local), remote: plain(remote) }, place))
}

/// A dual-stack socket shows IPv4 peers as IPv6 addresses.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
