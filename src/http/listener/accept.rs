//! Accepts connections and serves HTTP/1.1 on them, so that no client blocks others: `axum::serve` has no deadlines,
//! and without them a client that sends a byte a minute, or never reads, holds a connection for ever.
//!
//! An accepted connection takes a place (`places.rs`). When all are taken, an idle connection makes way; when all are
//! busy, the new connection is served health or metrics on one of a few reserved places, or is refused with a time to
//! retry. So `/healthz` answers under any load. Each client has a share: an address, or the /64 network of an IPv6
//! address; behind a trusted proxy the client that the proxy names, while the proxy's own connections are not counted.
//!
//! Where the listener serves HTTPS, a connection begins with its handshake (`handshake.rs`).
//!
//! A connection is bounded by deadlines for a request's headers ([`Timing::headers`], which bounds idle time too), for
//! its body (where it is read), and for a client that reads nothing of its answer ([`Timing::unread`]); by the number
//! of requests that a client may send without waiting for answers; and by its age. An open-ended response, such as
//! server-sent events, calls [`Place::hold_open`] before it begins: its connection has no age then, counts as an event
//! stream and not as a request, and ends with the response or when the relay stops.
//!
//! hyper has the deadline for headers and the graceful shutdown; layers of tower see requests only, so the rules for
//! connections are here.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Method, Request};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tower::Service as _;
use tracing::{debug, warn};

use super::body::{Answer, Upload};
use super::handshake;
use super::limits::Limits;
use super::network::{Network, is_trusted};
use super::place::{Entrance, Place, refusal};
use super::places::{Idle, Kind};
use super::socket::Socket;
use crate::http::base_path::BasePath;
use crate::http::request::connection::{Connection, Scheme};
use crate::http::tls::Tls;
use crate::log::OnceAMinute;
use crate::metrics::{Closing, Metrics};

/// Request line and headers together.
const HEADER_BYTES: usize = 32 * 1024;
/// Requests that a client may send without waiting for answers; the connection closes after these.
const PIPELINED: u32 = 64;
/// How long a reserved place serves one connection.
const RESERVED: Duration = Duration::from_secs(2);
/// The pause after a failed accept, most likely for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const FEW_FILES: &str = "this process may open few files, so there is room for few connections: raise their limit (ulimit -n, \
                         or LimitNOFILE= in the systemd unit)";
const CANNOT_ACCEPT: &str = "cannot accept connections: if too many files are open, raise their limit (ulimit -n, or \
                             LimitNOFILE= in the systemd unit)";
/// How long running requests may take to finish when the relay stops.
const FINISH: Duration = Duration::from_secs(3);

/// Deadlines of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// For a request's headers to arrive, idle time before them included.
    pub(crate) headers: Duration,
    /// For a client to read some of its answer; each read, however small, restarts it.
    pub(crate) unread: Duration,
    /// Until no further request is served. A running answer may take this long again.
    pub(crate) age: Duration,
}

/// How a listener treats connections.
pub(in crate::http) struct Entry {
    pub(in crate::http) limits: Limits,
    pub(in crate::http) timing: Timing,
    pub(in crate::http) trusted_proxies: Vec<Network>,
    pub(in crate::http) base_path: BasePath,
    /// HTTPS, where the listener does not serve plain HTTP.
    pub(in crate::http) tls: Option<Arc<Tls>>,
    pub(in crate::http) metrics: Arc<Metrics>,
}

impl Entry {
    fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }
}

/// What the tasks of all connections share.
struct Shared {
    entry: Entry,
    http: http1::Builder,
    router: Router,
}

/// Serves `router` on `listener` until `stop` completes, then lets running requests finish.
pub(in crate::http) async fn serve(
    listener: TcpListener,
    router: Router,
    entry: Entry,
    stop: impl Future<Output = ()>,
) {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::MAX);
    let limits = entry.limits.within(files);
    let mut warning = OnceAMinute::default();
    if limits.requests < entry.limits.requests && warning.due(Instant::now()).is_some() {
        warn!(files, connections = limits.requests, "{FEW_FILES}");
    }
    let entrance = Entrance::new(limits, Arc::clone(&entry.metrics));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(entry.timing.headers).max_buf_size(HEADER_BYTES);
    let shared = Arc::new(Shared { entry, http, router });
    let (stopping, stopped) = watch::channel(());
    // Nothing is sent on it: it closes when the last task has dropped its half.
    let (running, mut all_done) = mpsc::channel::<()>(1);
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, shared.entry.scheme()) => accepted,
            () = &mut stop => break,
        };
        let (stream, connection) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if warning.due(Instant::now()).is_some() {
                    warn!(%error, "{CANNOT_ACCEPT}");
                }
                entrance.make_way();
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let is_proxy = is_trusted(&shared.entry.trusted_proxies, connection.remote.ip());
        let waits = if shared.entry.tls.is_some() { Idle::Handshake } else { Idle::Waiting };
        let place = entrance.enter((!is_proxy).then(|| connection.client()), waits);
        let (shared, mut stopped, running) = (Arc::clone(&shared), stopped.clone(), running.clone());
        tokio::spawn(async move {
            let socket = Socket::new(stream, place.clone(), is_proxy, shared.entry.timing.unread);
            match &shared.entry.tls {
                None => serve_connection(&shared, socket, connection, place, stopped).await,
                Some(tls) => {
                    if let Some(stream) = handshake::complete(tls, socket, &connection, &place, &mut stopped).await {
                        serve_connection(&shared, stream, connection, place, stopped).await;
                    }
                }
            }
            drop(running);
        });
    }
    drop((listener, stopping, running));
    if tokio::time::timeout(FINISH, all_done.recv()).await.is_err() {
        warn!("some requests did not finish in time");
    }
}

/// The next connection.
async fn accept(listener: &TcpListener, scheme: Scheme) -> io::Result<(TcpStream, Connection)> {
    let (stream, remote) = listener.accept().await?;
    let local = stream.local_addr()?;
    Ok((stream, Connection { scheme, ..Connection::direct(plain(local), plain(remote)) }))
}

/// A dual-stack socket shows IPv4 peers as IPv6 addresses.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Serves one connection until it ends, must make way, or is too old.
async fn serve_connection(
    shared: &Arc<Shared>,
    socket: impl AsyncRead + AsyncWrite + Unpin,
    connection: Connection,
    place: Place,
    mut stopped: watch::Receiver<()>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let (shared, place) = (Arc::clone(shared), place.clone());
        async move { Ok::<_, std::convert::Infallible>(answer(&shared, connection, &place, request).await) }
    });
    let mut served = pin!(shared.http.serve_connection(TokioIo::new(socket), service));
    let is_reserved = matches!(place.kind(), Kind::Reserved(_));
    let age = if is_reserved { RESERVED } else { shared.entry.timing.age };
    let mut too_old = pin!(tokio::time::sleep(age));
    let mut is_ending = is_reserved;
    let mut is_stopping = false;
    loop {
        tokio::select! {
            outcome = served.as_mut() => {
                let Err(error) = outcome else { return };
                match why_broken(&error) {
                    Some(why) => place.closes(why),
                    None => debug!(remote = %connection.remote, %error, "connection broke off"),
                }
                return;
            }
            () = place.cut() => return,
            // An event stream would never finish.
            _ = stopped.changed(), if !is_stopping => {
                if place.kind() == Kind::EventStream {
                    return;
                }
                is_stopping = true;
                served.as_mut().graceful_shutdown();
            }
            () = too_old.as_mut(), if place.kind() != Kind::EventStream => {
                if place.kind() == Kind::EventStream {
                    continue; // it became one during this poll
                }
                if !is_reserved {
                    place.closes(Closing::Old);
                }
                if is_ending {
                    return;
                }
                is_ending = true;
                served.as_mut().graceful_shutdown();
                too_old.as_mut().reset(tokio::time::Instant::now() + age);
            }
        }
    }
}

/// Which deadline ended a connection, if one did.
fn why_broken(error: &hyper::Error) -> Option<Closing> {
    let cause = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    match cause {
        Some(cause) if cause.kind() == io::ErrorKind::TimedOut => Some(Closing::Unread),
        _ => error.is_timeout().then_some(Closing::Silent),
    }
}

/// Answers one request as its connection's place allows.
async fn answer(
    shared: &Shared,
    connection: Connection,
    place: &Place,
    request: Request<Incoming>,
) -> Response<Answer> {
    let pipelined = place.begin();
    if pipelined > 1 {
        // Other connections get a turn between pipelined requests.
        tokio::task::yield_now().await;
    }
    let mut closes = pipelined >= PIPELINED;
    if closes {
        place.closes(Closing::Pipelined);
    }
    let response = match place.kind() {
        Kind::Reserved(full) if !is_for_operators(&request, &shared.entry.base_path) => {
            closes = true;
            refusal(full).into_response()
        }
        kind => {
            if kind != Kind::Request {
                closes = true;
                place.serve_reserved();
            }
            let mut request = request.map(|body| Body::new(Upload::new(body, place.clone())));
            request.extensions_mut().insert(connection);
            request.extensions_mut().insert(place.clone());
            let Ok(response) = shared.router.clone().call(request).await;
            response
        }
    };
    let mut response = response.map(|body| Answer::new(body, place.clone()));
    if closes || place.left_body() || place.kind() == Kind::EventStream {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether a request is for health or metrics, which reserved places serve.
pub(in crate::http) fn is_for_operators<B>(request: &Request<B>, base_path: &BasePath) -> bool {
    let path = request.uri().path();
    let path = path.strip_prefix(base_path.as_str()).unwrap_or(path);
    matches!(*request.method(), Method::GET | Method::HEAD) && ["/healthz", "/readyz", "/metrics"].contains(&path)
}
