//! Connections that could exhaust the listener: thousands of them, and some that never read, never send or never close.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use sluice::http::Limits;
use socket2::{Domain, Socket, Type};

use crate::relay::Relay;
use crate::tls::until;

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const SECOND: Duration = Duration::from_secs(1);
/// Longer than any of these tests may take.
const LONG: Duration = Duration::from_secs(30);

fn limited(change: impl FnOnce(&mut Limits)) -> Relay {
    Relay::with(|config| change(&mut config.http.connections))
}

/// Connects from an address of this machine, and sends `text` as far as it is taken.
fn connect(relay: &Relay, from: [u8; 4], text: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&relay.addresses.http.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LONG)).unwrap();
    // The relay may have closed it.
    let _ = stream.write_all(text.as_bytes());
    stream
}

/// A connection whose request is incomplete: the relay has its headers and waits for its body.
fn half(relay: &Relay, from: [u8; 4], headers: &str) -> TcpStream {
    let head = "POST /whip/cam HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nExpect: 100-continue\r\n";
    let mut stream = connect(relay, from, &format!("{head}Content-Length: 9\r\n{headers}\r\n"));
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

/// Everything until the relay closes the connection.
pub(crate) fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("the relay does not close it: {error}"),
        _ => String::from_utf8_lossy(&answer).into_owned(),
    }
}

/// The answer to one request that closes its connection.
fn ask(relay: &Relay, from: [u8; 4], path: &str) -> String {
    rest(connect(relay, from, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")))
}

/// The value of a metric.
fn counted(relay: &Relay, name: &str) -> f64 {
    let text = ask(relay, [127, 0, 0, 99], "/metrics");
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Requests `/healthz` three times, because the machine of the test may be busy during one of them.
fn health_is_quick(relay: &Relay, from: [u8; 4]) {
    let took = [(); 3].map(|()| {
        let began = Instant::now();
        assert!(ask(relay, from, "/healthz").starts_with("HTTP/1.1 200 "));
        began.elapsed()
    });
    assert!(took.iter().any(|took| *took < SECOND), "{took:?}");
}

#[test]
fn one_address_with_thousands_of_unread_answers_does_not_block_others() {
    let relay = Relay::start();
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let unread: Vec<_> = (0..4200).map(|_| connect(&relay, [127, 0, 0, 1], &GET.repeat(200))).collect();
    health_is_quick(&relay, [127, 0, 0, 1]);
    health_is_quick(&relay, [127, 0, 0, 2]);
    assert!(ask(&relay, [127, 0, 0, 2], "/watch/cam").starts_with("HTTP/1.1 200 "));
    // Tasks of connections that made way may still be ending.
    until("the others make way", || counted(&relay, "sluice_http_connections{kind=\"request\"}") <= 257.0);
    drop(unread);
}

#[test]
fn thousands_of_idle_connections_make_way() {
    let relay = Relay::start();
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let from = |number: u16| [127, 1, number.to_be_bytes()[1], 1];
    let idle: Vec<_> = (0..4200).map(|number| connect(&relay, from(number), "")).collect();
    health_is_quick(&relay, [127, 0, 0, 1]);
    assert!(ask(&relay, [127, 0, 0, 1], "/watch/cam").starts_with("HTTP/1.1 200 "));
    assert!(counted(&relay, "sluice_http_closed_total{reason=\"made_way\"}") >= 104.0);
    assert_eq!(counted(&relay, "sluice_http_refused_total{reason=\"relay\"}"), 0.0);
    drop(idle);
}

#[test]
fn many_addresses_with_unread_answers_do_not_block_others() {
    let relay = limited(|limits| (limits.requests, limits.grace) = (60, Duration::from_millis(100)));
    let from = |number: u8| [127, 2, number, 1];
    let unread: Vec<_> = (0..80).map(|number| connect(&relay, from(number), &GET.repeat(200))).collect();
    health_is_quick(&relay, [127, 0, 0, 1]);
    // Connections that do not read make way one after the other.
    until("a place", || ask(&relay, [127, 0, 0, 1], "/watch/cam").starts_with("HTTP/1.1 200 "));
    drop(unread);
}

#[test]
fn the_oldest_idle_connection_makes_way_for_a_new_one() {
    let relay = limited(|limits| limits.requests = 3);
    let idle: Vec<_> = (1..=3).map(|number| connect(&relay, [127, 0, 0, number], "")).collect();
    assert!(ask(&relay, [127, 0, 0, 9], "/").starts_with("HTTP/1.1 200 "));
    let mut idle = idle.into_iter();
    assert_eq!(rest(idle.next().unwrap()), "", "the first of them is closed");
    for mut newer in idle {
        newer.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        assert!(rest(newer).starts_with("HTTP/1.1 200 "), "the others are served");
    }
}

#[test]
fn with_all_connections_busy_only_health_and_metrics_are_served() {
    let relay = limited(|limits| (limits.requests, limits.grace) = (2, LONG));
    let busy: Vec<_> = (1..=2).map(|number| half(&relay, [127, 0, 0, number], "")).collect();
    assert!(ask(&relay, [127, 0, 0, 3], "/").starts_with("HTTP/1.1 503 "));
    let answer = ask(&relay, [127, 0, 0, 3], "/watch/cam").to_lowercase();
    assert!(answer.contains("retry-after: ") && answer.contains("too many connections"), "{answer}");
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert!(ask(&relay, [127, 0, 0, 3], path).starts_with("HTTP/1.1 200 "), "{path}");
    }
    let twice = rest(connect(&relay, [127, 0, 0, 3], &"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2)));
    assert_eq!(twice.matches("HTTP/1.1 200 ").count(), 1, "once: {twice}");
    assert_eq!(rest(connect(&relay, [127, 0, 0, 3], "")), "", "and only for seconds");
    assert!(counted(&relay, "sluice_http_refused_total{reason=\"relay\"}") >= 2.0);
    drop(busy);
}

#[test]
fn each_client_has_its_own_share_of_connections() {
    let relay = limited(|limits| (limits.requests_per_client, limits.grace) = (Some(2), LONG));
    let busy: Vec<_> = (0..2).map(|_| half(&relay, [127, 0, 0, 1], "")).collect();
    let answer = ask(&relay, [127, 0, 0, 1], "/").to_lowercase();
    assert!(answer.starts_with("http/1.1 429 "), "{answer}");
    assert!(answer.contains("retry-after: ") && answer.contains("from this address"), "{answer}");
    assert!(ask(&relay, [127, 0, 0, 1], "/healthz").starts_with("HTTP/1.1 200 "));
    assert!(ask(&relay, [127, 0, 0, 2], "/").starts_with("HTTP/1.1 200 "));
    drop(busy);
    until("a place", || ask(&relay, [127, 0, 0, 1], "/").starts_with("HTTP/1.1 200 "));
}

#[test]
fn behind_a_trusted_proxy_each_client_has_a_share_and_the_proxy_none() {
    let relay = Relay::with(|config| {
        config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        let limits = &mut config.http.connections;
        (limits.requests_per_client, limits.grace) = (Some(2), LONG);
    });
    let half = |client: &&str| half(&relay, [127, 0, 0, 1], &format!("X-Forwarded-For: {client}\r\n"));
    let busy = ["203.0.113.1", "203.0.113.1", "203.0.113.2", "203.0.113.2", "unknown", "_hidden"];
    let busy: Vec<_> = busy.iter().map(half).collect();
    let get = |client: &str| {
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: {client}\r\n\r\n");
        rest(connect(&relay, [127, 0, 0, 1], &head))
    };
    assert!(get("203.0.113.1").starts_with("HTTP/1.1 429 "));
    assert!(get("203.0.113.2").starts_with("HTTP/1.1 429 "));
    assert!(get("127.0.0.1").starts_with("HTTP/1.1 429 "));
    assert!(get("203.0.113.3").starts_with("HTTP/1.1 200 "));
    assert!(get("2001:db8::1").starts_with("HTTP/1.1 200 "));
    for path in ["/healthz", "/readyz", "/metrics"] {
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n");
        assert!(rest(connect(&relay, [127, 0, 0, 1], &head)).starts_with("HTTP/1.1 200 "), "{path}");
    }
    drop(busy);
}

#[test]
fn a_client_that_reads_nothing_is_cut_off_and_gives_its_place_back() {
    let relay = Relay::with(|config| {
        config.http.unread_deadline = Duration::from_millis(300);
        config.http.connections.grace = LONG;
    });
    let unread: Vec<_> = (0..20).map(|_| connect(&relay, [127, 0, 0, 1], &GET.repeat(64))).collect();
    until("the end", || counted(&relay, "sluice_http_closed_total{reason=\"unread\"}") >= 20.0);
    until("a free place", || counted(&relay, "sluice_http_connections{kind=\"request\"}") <= 1.0);
    drop(unread);
}

#[test]
fn a_slow_reader_is_served_however_long_it_takes() {
    let deadline = Duration::from_millis(1000);
    let relay = Relay::with(|config| config.http.unread_deadline = deadline);
    let page = relay.get("/").body.len();
    let mut stream = connect(&relay, [127, 0, 0, 1], &GET.repeat(60));
    let (began, mut read) = (Instant::now(), 0);
    let mut buffer = [0; 8 * 1024];
    while read < 60 * page {
        let bytes = stream.read(&mut buffer).expect("it is not disconnected");
        assert!(bytes > 0, "it is not closed after {read} bytes");
        read += bytes;
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() > 2 * deadline, "the test is slow enough to say something: {:?}", began.elapsed());
}

#[test]
fn pipelined_requests_are_bounded() {
    let relay = Relay::start();
    let answers = rest(connect(&relay, [127, 0, 0, 1], &"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200)));
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 64);
    assert_eq!(answers.to_lowercase().matches("connection: close").count(), 1);
    assert_eq!(counted(&relay, "sluice_http_closed_total{reason=\"pipelined\"}"), 1.0);
}

#[test]
fn a_connection_has_a_maximum_age() {
    let relay = Relay::with(|config| config.http.connection_age = Duration::from_millis(500));
    let began = Instant::now();
    let idle = connect(&relay, [127, 0, 0, 1], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(rest(idle).starts_with("HTTP/1.1 200 "));
    assert!(began.elapsed() < Duration::from_secs(10), "long before it would be closed for idling");
    assert_eq!(counted(&relay, "sluice_http_closed_total{reason=\"old\"}"), 1.0);
}

#[test]
fn a_connection_without_a_complete_request_is_closed() {
    let relay = Relay::with(|config| config.http.header_deadline = Duration::from_millis(300));
    for text in ["", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        assert_eq!(rest(connect(&relay, [127, 0, 0, 1], text)), "");
    }
    assert_eq!(counted(&relay, "sluice_http_closed_total{reason=\"silent\"}"), 2.0);
}

#[test]
fn closed_connections_take_no_place() {
    let relay = Relay::start();
    for _ in 0..50 {
        assert!(ask(&relay, [127, 0, 0, 1], "/").starts_with("HTTP/1.1 200 "));
    }
    until("a free place", || counted(&relay, "sluice_http_connections{kind=\"request\"}") <= 1.0);
}
