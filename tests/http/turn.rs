//! TURN by TCP and by TLS, with a client that knows what is in the 201 alone: a check reaches the session, and the
//! connection ends with it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use md5::{Digest as _, Md5};
use ring::hmac;
use sluice::http::CertificateSource;
use sluice::ice::stun;

use crate::relay::{Relay, Reply, SDP, WHIP_OFFER};
use crate::tls::{any_client, secure};
use crate::turn_message::{found, message, peer, read};

/// Longer than any of these tests may take.
const LONG: Duration = Duration::from_secs(30);
const UDP: (u16, &[u8]) = (0x0019, &[17, 0, 0, 0]);

/// What the Link header of a 201 says of the relay's own server.
struct Server {
    url: String,
    username: String,
    password: String,
}

impl Server {
    fn of(reply: &Reply) -> Self {
        let mut links = reply.headers.get_all("link").iter().map(|link| link.to_str().unwrap());
        let link = links.find(|link| link.starts_with("<turn")).unwrap();
        let part =
            |before: &str, after: char| link.split_once(before).unwrap().1.split(after).next().unwrap().to_owned();
        assert!(link.ends_with("credential-type=\"password\""), "{link}");
        Self { url: part("<", '>'), username: part("username=\"", '"'), password: part("credential=\"", '"') }
    }

    fn key(&self) -> hmac::Key {
        let key = Md5::digest(format!("{}:sluice:{}", self.username, self.password));
        hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key)
    }
}

fn line<'a>(sdp: &'a str, name: &str) -> &'a str {
    sdp.lines().find_map(|line| line.strip_prefix(name)).unwrap()
}

/// XOR-PEER-ADDRESS of the first candidate.
fn first_candidate(answer: &str) -> Vec<u8> {
    let words: Vec<&str> = line(answer, "a=candidate:").split(' ').collect();
    let (ip, port): (std::net::Ipv4Addr, u16) = (words[4].parse().unwrap(), words[5].parse().unwrap());
    peer(ip, port)
}

/// Allocates, sends a check to the first candidate and waits for its answer.
fn use_session(stream: &mut (impl Read + Write), server: &Server, answer: &str) {
    let key = server.key();
    stream.write_all(&message(0x0003, &[UDP], None)).unwrap();
    let (kind, challenge) = read(stream);
    assert_eq!((kind, &found(&challenge, 0x0009)[..4]), (0x0113, &[0, 0, 4, 1][..]));
    let (realm, nonce) = (found(&challenge, 0x0014), found(&challenge, 0x0015));
    let candidate = first_candidate(answer);
    let request = |method: u16, own: (u16, &[u8])| {
        let attributes = [own, (0x0006, server.username.as_bytes()), (0x0014, &realm), (0x0015, &nonce)];
        message(method, &attributes, Some(&key))
    };
    stream.write_all(&request(0x0003, UDP)).unwrap();
    assert_eq!(read(stream).0, 0x0103);
    let [client, relay] = [WHIP_OFFER, answer].map(|sdp| line(sdp, "a=ice-ufrag:"));
    let check = stun::request(&[7; 12], &format!("{relay}:{client}"), 1, &stun::key(line(answer, "a=ice-pwd:")));
    // A new allocation loses datagrams at first, so the check is sent again.
    loop {
        stream.write_all(&request(0x0008, (0x0012, &candidate))).unwrap();
        stream.write_all(&message(0x0016, &[(0x0012, &candidate), (0x0013, &check)], None)).unwrap();
        loop {
            let (kind, attributes) = read(stream);
            if kind == 0x0108 {
                break;
            }
            assert_eq!((kind, found(&attributes, 0x0012)), (0x0017, candidate.clone()));
            let datagram = found(&attributes, 0x0013);
            // DTLS of the relay may come first.
            if datagram[..2] == [1, 1] {
                return assert_eq!(datagram[8..20], [7; 12]);
            }
        }
    }
}

fn allocations(relay: &Relay) -> f64 {
    let text = relay.get("/metrics").body;
    text.lines().find_map(|line| line.strip_prefix("sluice_turn_allocations ")).unwrap().parse().unwrap()
}

/// Posts an offer, uses the server of the answer on a connection that `connect` opens, and ends the session.
fn whole<S: Read + Write>(relay: &Relay, scheme: &str, port: u16, connect: impl FnOnce(TcpStream) -> S) {
    let reply = relay.request("POST", "/whip/cam", &[SDP], WHIP_OFFER);
    let server = Server::of(&reply);
    assert_eq!(server.url, format!("{scheme}:127.0.0.1:{port}?transport=tcp"));
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut stream = connect(stream);
    use_session(&mut stream, &server, &reply.body);
    assert_eq!(allocations(relay), 1.0);
    assert_eq!(relay.request("DELETE", reply.header("location"), &[], "").status, 200);
    // The relay closes the connection; TLS may miss its farewell.
    while stream.read(&mut [0; 2_048]).is_ok_and(|read| read > 0) {}
    let began = Instant::now();
    while allocations(relay) > 0.0 {
        assert!(began.elapsed() < LONG, "the allocation outlives its session");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_check_passes_by_turn_on_the_media_port_and_the_allocation_ends_with_its_session() {
    let relay = Relay::start();
    whole(&relay, "turn", relay.addresses.media.port(), |stream| stream);
}

#[test]
fn a_check_passes_by_turn_on_the_http_port() {
    let relay = Relay::with(|config| config.http.media = Some(true));
    whole(&relay, "turn", relay.addresses.http.port(), |stream| stream);
}

#[test]
fn a_check_passes_by_turn_inside_of_tls_on_the_https_port() {
    let relay = Relay::with(|config| {
        config.http.media = Some(true);
        config.http.tls.certificate = Some(CertificateSource::SelfSigned);
    });
    whole(&relay, "turns", relay.addresses.http.port(), |stream| secure(stream, any_client()).unwrap());
    assert_eq!(relay.get("/healthz").status, 200, "requests are served too");
}

#[test]
fn without_turn_no_server_is_announced_and_its_messages_end_the_connection() {
    let relay = Relay::with(|config| config.worker.turn = false);
    let reply = relay.request("POST", "/whip/cam", &[SDP], WHIP_OFFER);
    assert!(!reply.headers.get_all("link").iter().any(|link| link.to_str().unwrap().starts_with("<turn")));
    let mut stream = TcpStream::connect(relay.addresses.media).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(&message(0x0003, &[UDP], None)).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
    let _ = stream.shutdown(Shutdown::Both);
}
