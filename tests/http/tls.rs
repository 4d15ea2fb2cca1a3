//! HTTPS of the relay itself: handshakes, their limits, the certificate and its renewal, and what plain HTTP is
//! answered.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use sluice::config::Config;
use sluice::http::{CertificateSource, PlainHttp};
use sluice::server::Server;
use socket2::{Domain, Socket, Type};

use crate::any_certificate::AnyCertificate;
use crate::relay::{Relay, SDP, WHIP_OFFER, request};

const GET: &str = "GET /healthz HTTP/1.1\r\nHost: live.example.org\r\n\r\n";
/// Longer than any of these tests may take.
const LONG: Duration = Duration::from_secs(30);

/// A certificate and its key in a directory of their own, which goes with them.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sluice-tls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let files = Self(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&files.0).unwrap();
        files.renew();
        files
    }

    /// Writes another certificate with its key, and returns its DER.
    fn renew(&self) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed(vec!["live.example.org".to_owned()]).unwrap();
        std::fs::write(self.0.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(self.0.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    fn source(&self) -> CertificateSource {
        CertificateSource::Files { cert: self.0.join("cert.pem"), key: self.0.join("key.pem") }
    }

    /// A relay that serves them, changed by `change`.
    fn relay(&self, change: impl FnOnce(&mut Config)) -> Relay {
        Relay::with(|config| {
            config.http.tls.certificate = Some(self.source());
            config.http.tls.check_every = Duration::from_millis(20);
            change(config);
        })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A client that offers these protocols (ALPN) and TLS versions.
fn client(protocols: &[&str], versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider())).with_protocol_versions(versions);
    let builder = builder.unwrap().dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate));
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Arc::new(config)
}

pub(crate) fn any_client() -> Arc<ClientConfig> {
    client(&[], rustls::ALL_VERSIONS)
}

fn plain(relay: &Relay) -> TcpStream {
    let stream = TcpStream::connect(relay.addresses.http).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// A connection whose handshake is complete, or why it is not.
fn connect(relay: &Relay, config: Arc<ClientConfig>) -> Result<Secure, std::io::Error> {
    secure(plain(relay), config)
}

pub(crate) fn secure(stream: TcpStream, config: Arc<ClientConfig>) -> Result<Secure, std::io::Error> {
    let name = ServerName::try_from("live.example.org").unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(config, name).unwrap(), stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Asks for health, and returns the head of the answer.
fn ask(stream: &mut Secure) -> String {
    stream.write_all(GET.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // The body of /healthz is a line.
    while !answer.ends_with(b"ok\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).unwrap();
        answer.push(octet[0]);
    }
    String::from_utf8(answer).unwrap()
}

/// The certificate that a new connection gets.
fn served(relay: &Relay) -> Vec<u8> {
    connect(relay, any_client()).unwrap().conn.peer_certificates().unwrap()[0].to_vec()
}

/// Waits until a condition holds: what a client sees of a connection's end may come before the relay has counted it.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the relay closes a connection on which nothing is answered.
pub(crate) fn is_closed(mut stream: TcpStream) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// The value of a metric; `None` if it is not shown.
pub(crate) fn metric(relay: &Relay, line: &str) -> Option<f64> {
    let text = relay.get("/metrics").body;
    let line = text.lines().find_map(|shown| shown.strip_prefix(line))?;
    Some(line.trim().parse().unwrap())
}

#[test]
fn everything_is_served_by_https_and_addresses_of_sessions_stay_right() {
    let files = Files::new();
    let relay = files.relay(|_| {});
    let reply = relay.request("POST", "/whip/cam", &[SDP], WHIP_OFFER);
    assert_eq!(reply.status, 201, "{reply:?}");
    let session = reply.header("location");
    assert!(session.starts_with("/session/"), "a path is right for any scheme: {session}");
    assert_eq!(relay.request("DELETE", session, &[], "").status, 200);
    assert_eq!(relay.get("/readyz").status, 200);
    assert!(metric(&relay, "sluice_tls_handshakes_total{outcome=\"completed\"}").unwrap() >= 4.0);
    assert!(metric(&relay, "sluice_tls_certificate_expiry_seconds").unwrap() > 4e9);
    assert_eq!(metric(&Relay::start(), "sluice_tls_certificate_expiry_seconds"), None, "without HTTPS");
}

#[test]
fn clients_of_both_tls_versions_agree_on_http_1_1_and_on_nothing_else() {
    let files = Files::new();
    let relay = files.relay(|_| {});
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut stream = connect(&relay, client(&["h2", "http/1.1"], &[version])).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert!(ask(&mut stream).starts_with("HTTP/1.1 200 "));
    }
    let error = connect(&relay, client(&["h2"], rustls::ALL_VERSIONS)).unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    let failed = || metric(&relay, "sluice_tls_handshakes_total{outcome=\"failed\"}");
    until("the handshake is counted", || failed() == Some(1.0));
}

#[test]
fn a_renewed_certificate_is_served_to_new_connections_and_the_others_continue() {
    let files = Files::new();
    let relay = files.relay(|_| {});
    let (session, _) = relay.publish("cam", &[]);
    let first = served(&relay);
    let mut stream = connect(&relay, any_client()).unwrap();
    assert!(ask(&mut stream).starts_with("HTTP/1.1 200 "));
    let renewed = files.renew();
    assert_ne!(first, renewed);
    until("the renewed certificate", || served(&relay) == renewed);
    assert!(ask(&mut stream).starts_with("HTTP/1.1 200 "), "a connection from before");
    assert_eq!(relay.request("DELETE", &session, &[], "").status, 200, "a session from before");
}

#[test]
fn a_certificate_that_has_expired_does_not_replace_a_valid_one() {
    let files = Files::new();
    let relay = files.relay(|_| {});
    let first = served(&relay);
    let mut parameters = rcgen::CertificateParams::new(vec!["live.example.org".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(files.0.join("cert.pem"), parameters.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(files.0.join("key.pem"), key.serialize_pem()).unwrap();
    // Enough time for several checks.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(200) {
        assert_eq!(served(&relay), first);
    }
    let renewed = files.renew();
    until("the renewed certificate", || served(&relay) == renewed);
}

#[test]
fn a_relay_does_not_start_with_a_key_of_another_certificate() {
    let (files, others) = (Files::new(), Files::new());
    std::fs::copy(others.0.join("key.pem"), files.0.join("key.pem")).unwrap();
    let mut config = Config::default();
    (config.http.listen, config.worker.media) = (([127, 0, 0, 1], 0).into(), ([127, 0, 0, 1], 0).into());
    config.http.tls.certificate = Some(files.source());
    let sentence = Server::load(&config).unwrap_err().to_string();
    assert!(sentence.contains("does not belong to") && sentence.contains("issued together"), "{sentence}");
}

#[test]
fn a_handshake_that_does_not_complete_ends_and_others_are_served_meanwhile() {
    let files = Files::new();
    let relay = files.relay(|config| config.http.tls.handshake_deadline = Duration::from_millis(300));
    let silent = plain(&relay);
    let mut slow = plain(&relay);
    // The first half of a ClientHello's record.
    slow.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).unwrap();
    assert_eq!(relay.get("/healthz").status, 200);
    assert!(is_closed(silent) && is_closed(slow));
    let timed_out = || metric(&relay, "sluice_tls_handshakes_total{outcome=\"timed_out\"}");
    until("both handshakes are counted", || timed_out() == Some(2.0));
}

#[test]
fn many_handshakes_of_one_client_end_its_oldest_ones_and_nobody_elses() {
    let files = Files::new();
    let relay = files.relay(|config| {
        config.http.connections.handshakes_per_client = 3;
        config.http.tls.handshake_deadline = LONG * 2;
    });
    let mut stream = connect(&relay, any_client()).unwrap();
    assert!(ask(&mut stream).starts_with("HTTP/1.1 200 "));
    let mut slow: Vec<TcpStream> = (0..5).map(|_| plain(&relay)).collect();
    assert!(slow.drain(..2).all(is_closed), "the two oldest make way");
    assert_eq!(relay.get("/healthz").status, 200, "a new one is served");
    assert!(ask(&mut stream).starts_with("HTTP/1.1 200 "), "a connection from before");
}

#[test]
fn a_client_that_does_not_read_its_answers_is_disconnected_over_https_too() {
    let files = Files::new();
    let relay = files.relay(|config| config.http.unread_deadline = Duration::from_millis(300));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    socket.connect(&relay.addresses.http.into()).unwrap();
    let mut stream = secure(socket.into(), any_client()).unwrap();
    // Fewer requests than may be sent without waiting, and more answers than buffers hold.
    stream.write_all("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(60).as_bytes()).unwrap();
    until("the connection is closed", || metric(&relay, "sluice_http_closed_total{reason=\"unread\"}") == Some(1.0));
}

#[test]
fn plain_http_on_the_https_port_is_told_what_to_do() {
    let files = Files::new();
    let relay = files.relay(|_| {});
    let mut stream = plain(&relay);
    stream.write_all(GET.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer:?}");
    let mut stream = plain(&relay);
    stream.write_all(b"\0\0\0\0\0\0\0\0\0\0").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 400 "), "anything that is not TLS: {answer:?}");
}

#[test]
fn plain_http_on_the_https_port_is_redirected_or_served_where_that_is_set() {
    let files = Files::new();
    for how in [PlainHttp::Redirect, PlainHttp::Serve] {
        let relay = files.relay(|config| config.http.tls.plain_http = how);
        let ask = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
            request(&format!("http://{}{path}", relay.addresses.http), method, headers, body)
        };
        let watched = ask("GET", "/watch/cam?x=1&token=secret", &[], "");
        let posted = ask("POST", "/whip/cam", &[SDP], WHIP_OFFER);
        if how == PlainHttp::Serve {
            assert_eq!((watched.status, posted.status, ask("GET", "/healthz", &[], "").status), (200, 201, 200));
            assert_eq!(ask("DELETE", posted.header("location"), &[], "").status, 200);
        } else {
            assert_eq!((watched.status, posted.status), (308, 308));
            let address = relay.addresses.http;
            assert_eq!(watched.header("location"), format!("https://{address}/watch/cam?x=1"));
        }
        assert_eq!(relay.get("/healthz").status, 200, "by HTTPS");
        let mut stream = plain(&relay);
        stream.write_all(b"\0\0\0\0\0\0\0\0\0\0").unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 400 "), "what is neither: {answer:?}");
    }
}

#[test]
fn plain_http_is_redirected_where_it_is_asked_for_and_nothing_else_is_served_there() {
    let files = Files::new();
    let relay = files.relay(|config| config.http.tls.redirect = Some(([127, 0, 0, 1], 0).into()));
    let (from, port) = (relay.addresses.redirect.unwrap(), relay.addresses.http.port());
    for (method, path) in
        [("GET", "/watch/cam?chat=1"), ("POST", "/whip/cam"), ("GET", "/healthz"), ("GET", "/api/streams")]
    {
        let reply = request(&format!("http://{from}{path}"), method, &[], "");
        assert_eq!((reply.status, reply.body.as_str()), (308, ""));
        assert_eq!(reply.header("location"), format!("https://127.0.0.1:{port}{path}"));
        assert_eq!(reply.optional("strict-transport-security"), None);
    }
}

#[test]
fn plain_http_is_redirected_to_the_port_that_is_mapped_to_that_of_https() {
    let files = Files::new();
    for (public, target) in [(443, "https://127.0.0.1/watch/cam"), (8443, "https://127.0.0.1:8443/watch/cam")] {
        let relay = files.relay(|config| {
            config.http.tls.redirect = Some(([127, 0, 0, 1], 0).into());
            config.http.tls.public_port = Some(public);
        });
        let from = relay.addresses.redirect.unwrap();
        assert_eq!(request(&format!("http://{from}/watch/cam"), "GET", &[], "").header("location"), target);
    }
}

#[test]
fn strict_transport_security_is_sent_by_https_alone() {
    let files = Files::new();
    let day = Some(Duration::from_secs(86_400));
    let relay = files.relay(|config| config.http.tls.hsts = day);
    for path in ["/", "/healthz", "/nowhere"] {
        assert_eq!(relay.get(path).header("strict-transport-security"), "max-age=86400");
    }
    let plain = Relay::with(|config| {
        config.http.tls.hsts = day;
        config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    });
    let sent = |headers: &[(&str, &str)]| {
        plain.request("GET", "/", headers, "").optional("strict-transport-security").is_some()
    };
    assert!(!sent(&[]) && !sent(&[("x-forwarded-proto", "http")]));
    assert!(sent(&[("x-forwarded-proto", "https")]) && sent(&[("forwarded", "for=203.0.113.7;proto=https")]));
    let open = Relay::with(|config| config.http.tls.hsts = day);
    let reply = open.request("GET", "/", &[("x-forwarded-proto", "https")], "");
    assert_eq!(reply.optional("strict-transport-security"), None, "a proxy that is not trusted");
}

#[test]
fn a_self_signed_certificate_is_for_the_addresses_of_this_machine() {
    let relay = Relay::with(|config| config.http.tls.certificate = Some(CertificateSource::SelfSigned));
    let der = served(&relay);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(der)).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let trusting = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let trusting = Arc::new(trusting.with_no_client_auth());
    for name in ["localhost", "127.0.0.1"] {
        let name = ServerName::try_from(name).unwrap();
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(&trusting), name).unwrap(), plain(&relay));
        assert!(ask(&mut stream).starts_with("HTTP/1.1 200 "));
    }
    let name = ServerName::try_from("evil.example.org").unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(trusting, name).unwrap(), plain(&relay));
    assert!(stream.write_all(GET.as_bytes()).is_err());
}
