//! Accepts connections and serves HTTP/1.1 on them, so that no client blocks others: `axum::serve` has no deadlines,
//! and without them a client that sends a byte a minute, or never reads, holds a connection for ever.
//!
//! An accepted connection takes a place (`places.rs`). When all are taken, an idle connection makes way; when all are
//! busy, the new connection is served health or metrics on one of a few reserved places, or is refused with a time to
//! retry. So `/healthz` answers under any load. Each client has a share: an address, or the /64 network of an IPv6
//! address; behind a trusted proxy the client that the proxy names, while the proxy's own connections are not counted.
//!
//! With `--proxy-protocol` a connection begins with the header of the proxy (`proxy_header.rs`). Where the listener
//! takes media too, the first octet behind that shows it (`first_octet.rs`): such a connection leaves its place, and
//! counts among those of the workers. Where the listener serves HTTPS, the handshake is next (`handshake.rs`), and media
//! inside of TLS is TURN.
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
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tower::Service as _;
use tracing::{debug, warn};

use super::body::{Answer, Upload};
use super::first_octet::{self, Carries};
use super::handshake::{self, Opened};
use super::limits::Limits;
use super::place::{Entrance, Place, refusal};
use super::places::{Idle, Kind};
use super::proxy_header;
use super::socket::Socket;
use crate::five_tuple::plain;
use crate::http::base_path::BasePath;
use crate::http::request::connection::{Connection, Scheme};
use crate::http::tls::Tls;
use crate::log::OnceAMinute;
use crate::metrics::{Closing, Metrics};
use crate::node::Handle;
use crate::session::ClientSource;
use crate::setting::Network;

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
const STRANGER: &str = "a connection does not come from a trusted proxy and is not served, because --proxy-protocol is \
                        set: name the proxy's address with --trusted-proxy, or remove --proxy-protocol";
const NO_HEADER: &str = "a trusted proxy sends no PROXY header, so its connections are not served: let it send one \
                         (nginx: proxy_protocol on; HAProxy: send-proxy-v2), or remove --proxy-protocol";
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
    /// Whether trusted proxies begin each connection with a header of the PROXY protocol, and no other connection is
    /// served.
    pub(in crate::http) proxy_protocol: bool,
    /// HTTPS, where the listener does not serve plain HTTP.
    pub(in crate::http) tls: Option<Arc<Tls>>,
    /// What serves plain HTTP on a listener of HTTPS; without it such requests are refused.
    pub(in crate::http) plain: Option<Router>,
    /// The workers, where the listener takes media too.
    pub(in crate::http) media: Option<Handle>,
    pub(in crate::http) metrics: Arc<Metrics>,
}

impl Entry {
    fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }

    /// How long a connection may send nothing.
    fn first_deadline(&self, kind: Kind) -> Duration {
        match (kind, &self.tls) {
            (Kind::Reserved(_), _) => RESERVED,
            (_, Some(tls)) => tls.handshake_deadline,
            (_, None) => self.timing.headers,
        }
    }
}

/// What the tasks of all connections share.
struct Shared {
    entry: Entry,
    http: http1::Builder,
    router: Router,
    has_warned_of_stranger: AtomicBool,
    has_warned_of_header: AtomicBool,
}

impl Shared {
    fn warn_of_stranger(&self, connection: &Connection) {
        if !self.has_warned_of_stranger.swap(true, Ordering::Relaxed) {
            warn!(remote = %connection.remote, "{STRANGER}");
        }
    }
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
    let shared = Arc::new(Shared {
        entry,
        http,
        router,
        has_warned_of_stranger: AtomicBool::new(false),
        has_warned_of_header: AtomicBool::new(false),
    });
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
        let is_proxy = Network::any_has(&shared.entry.trusted_proxies, connection.remote.ip());
        if shared.entry.proxy_protocol && !is_proxy && !connection.has_one_address() {
            shared.entry.metrics.http_closed[Closing::ProxyHeader].inc();
            shared.warn_of_stranger(&connection);
            continue;
        }
        let waits =
            if shared.entry.proxy_protocol || shared.entry.tls.is_some() { Idle::Handshake } else { Idle::Waiting };
        let place = entrance.enter((!is_proxy).then(|| connection.client()), waits);
        let (shared, stopped, running) = (Arc::clone(&shared), stopped.clone(), running.clone());
        tokio::spawn(async move {
            serve_accepted(&shared, stream, connection, place, stopped).await;
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

/// Completes what comes before the first request, and serves the connection, or hands it to a worker.
async fn serve_accepted(
    shared: &Arc<Shared>,
    stream: TcpStream,
    connection: Connection,
    place: Place,
    mut stopped: watch::Receiver<()>,
) {
    let entry = &shared.entry;
    let from_proxy = Network::any_has(&entry.trusted_proxies, connection.remote.ip());
    let (connection, is_proxy) = if entry.proxy_protocol {
        let client = read_proxy_header(shared, &stream, connection, &place, &mut stopped).await;
        let Some(client) = client else { return };
        let is_own = client.source == ClientSource::Direct;
        if !from_proxy && !is_own {
            place.closes(Closing::ProxyHeader);
            return shared.warn_of_stranger(&connection);
        }
        // The whole connection is that client's, unless the proxy has connected for itself.
        (client, from_proxy && is_own)
    } else {
        (connection, from_proxy)
    };
    if let Some(media) = &entry.media {
        let deadline = entry.first_deadline(place.kind());
        match first_octet::look(&stream, &connection, (&place, deadline), &mut stopped).await {
            Some(Carries::Http) => {}
            Some(Carries::Media) => return hand_over(media, stream.into_std(), None, &connection),
            None => return,
        }
    }
    let socket = Socket::new(stream, place.clone(), is_proxy, entry.timing.unread);
    match &entry.tls {
        None => serve_connection(shared, socket, connection, place, stopped).await,
        Some(tls) => {
            let how = (&place, entry.plain.is_some());
            let mut stream = match handshake::complete(tls, socket, &connection, how, &mut stopped).await {
                Some(Opened::Tls(stream)) => stream,
                Some(Opened::Plain(socket)) => {
                    let connection = Connection { scheme: Scheme::Http, ..connection };
                    return serve_connection(shared, socket, connection, place, stopped).await;
                }
                None => return,
            };
            if let Some(media) = entry.media.as_ref().filter(|media| media.has_turn()) {
                let deadline = entry.timing.headers;
                match first_octet::look_inside(&mut stream, &connection, (&place, deadline), &mut stopped).await {
                    Some(Carries::Http) => {}
                    Some(Carries::Media) => {
                        let (socket, tls) = stream.into_inner();
                        return hand_over(media, socket.leave(), Some(tls), &connection);
                    }
                    None => return,
                }
            }
            serve_connection(shared, stream, connection, place, stopped).await;
        }
    }
}

/// The connection as that of the client that a trusted proxy names; `None` if it is to close.
async fn read_proxy_header(
    shared: &Shared,
    stream: &TcpStream,
    connection: Connection,
    place: &Place,
    stopped: &mut watch::Receiver<()>,
) -> Option<Connection> {
    let header = proxy_header::read(stream, connection);
    let error = match place.within(proxy_header::DEADLINE, stopped, header).await? {
        Ok(Ok(client)) => {
            if client.source != ClientSource::Direct {
                // A client with its share of connections gets no further one.
                place.ask_for(client.client()).ok()?;
            }
            place.idle(if shared.entry.tls.is_some() { Idle::Handshake } else { Idle::Waiting });
            return Some(client);
        }
        Ok(Err(error)) => error,
        Err(_) => io::ErrorKind::TimedOut.into(),
    };
    place.closes(Closing::ProxyHeader);
    // A proxy's health check may connect and send nothing, which needs no warning.
    if error.kind() == io::ErrorKind::InvalidData && !shared.has_warned_of_header.swap(true, Ordering::Relaxed) {
        warn!(proxy = %connection.remote.ip(), "{NO_HEADER}");
    }
    debug!(proxy = %connection.remote, %error, "no PROXY header");
    None
}

/// Hands a connection that carries media to a worker, which closes it unless a session uses it soon.
fn hand_over(
    media: &Handle,
    stream: io::Result<std::net::TcpStream>,
    tls: Option<ServerConnection>,
    connection: &Connection,
) {
    let path = (connection.local, connection.remote);
    if let Err(error) = stream.and_then(|stream| media.take_connection(stream, tls, path)) {
        debug!(remote = %connection.remote, %error, "a connection for media broke off");
    }
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
            // On a listener of HTTPS, what came by plain HTTP may be answered otherwise.
            let plain = shared.entry.plain.as_ref().filter(|_| connection.scheme == Scheme::Http);
            let Ok(response) = plain.unwrap_or(&shared.router).clone().call(request).await;
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
