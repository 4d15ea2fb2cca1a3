//! Media on the HTTP port: the relay distinguishes frames of ICE-TCP, HTTP and TLS, and closes a connection that sends
//! nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sluice::config::Config;
use sluice::http::CertificateSource;
use sluice::ice::stun::{self, Class, StunMessage};

use crate::relay::{Relay, SDP, WHIP_OFFER};
use crate::tls::{is_closed, metric, until};

/// Longer than any of these tests may take.
const LONG: Duration = Duration::from_secs(30);

fn taking_media(change: impl FnOnce(&mut Config)) -> Relay {
    Relay::with(|config| {
        config.http.media = Some(true);
        change(config);
    })
}

fn connect(relay: &Relay) -> TcpStream {
    let stream = TcpStream::connect(relay.addresses.http).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// The value of the first line of an answer that begins with `name`.
fn value<'a>(answer: &'a str, name: &str) -> &'a str {
    answer.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in {answer}"))
}

/// Sends a check of the session in a frame, and returns the class of the answer.
fn check(stream: &mut TcpStream, answer: &str) -> Class {
    let [own, relays] = [WHIP_OFFER, answer].map(|sdp| value(sdp, "a=ice-ufrag:"));
    let username = format!("{relays}:{own}");
    let request = stun::request(&[7; 12], &username, 1, &stun::key(value(answer, "a=ice-pwd:")));
    stream.write_all(&(request.len() as u16).to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut datagram = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut datagram).unwrap();
        // The relay begins DTLS at once.
        if let Some(message) = StunMessage::parse(&datagram) {
            return message.class;
        }
    }
}

#[test]
fn the_http_port_takes_media_beside_requests_and_is_a_candidate_after_all_others() {
    let plain = taking_media(|_| {});
    let tls = taking_media(|config| {
        config.http.tls.certificate = Some(CertificateSource::SelfSigned);
    });
    for relay in [plain, tls] {
        let answer = relay.request("POST", "/whip/cam", &[SDP], WHIP_OFFER).body;
        let candidates: Vec<&str> = answer.lines().filter(|line| line.starts_with("a=candidate:")).collect();
        let shown = |candidate: &&str| candidate.split(' ').skip(2).step_by(3).map(str::to_owned).collect::<Vec<_>>();
        let [media, http] = [relay.addresses.media.port(), relay.addresses.http.port()].map(|port| port.to_string());
        let expected = [["udp".to_owned(), media.clone()], ["tcp".to_owned(), media], ["tcp".to_owned(), http]];
        let places: Vec<Vec<String>> = candidates.iter().map(|candidate| shown(candidate)[..2].to_vec()).collect();
        assert_eq!(places, expected, "{answer}");
        let mut stream = connect(&relay);
        assert!(matches!(check(&mut stream, &answer), Class::Success));
        assert_eq!(relay.get("/healthz").status, 200, "requests are served too");
        assert_eq!(metric(&relay, "sluice_ice_tcp_connections"), Some(1.0));
    }
}

#[test]
fn a_connection_that_sends_nothing_is_closed_and_so_is_one_whose_frames_name_no_session() {
    let relay = taking_media(|config| config.http.header_deadline = Duration::from_millis(100));
    let began = Instant::now();
    assert!(is_closed(connect(&relay)) && began.elapsed() >= Duration::from_millis(100));
    let closed = |counter: &str| metric(&relay, counter).unwrap_or(0.0);
    until("the silent one is counted", || closed("sluice_http_closed_total{reason=\"silent\"}") >= 1.0);
    let mut malformed = connect(&relay);
    malformed.write_all(&[5, 255, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    assert!(is_closed(malformed));
    until("the malformed one is counted", || closed("sluice_ice_tcp_closed_total{reason=\"malformed\"}") == 1.0);
}

#[test]
fn one_client_holds_few_connections_for_media_on_the_http_port() {
    let relay = taking_media(|config| config.worker.workers = std::num::NonZeroUsize::MIN);
    let held: Vec<TcpStream> = (0..40).map(|_| connect(&relay)).collect();
    for mut stream in &held {
        stream.write_all(b"\0").unwrap();
    }
    until("8 are closed", || metric(&relay, "sluice_ice_tcp_closed_total{reason=\"full\"}") == Some(8.0));
    until("32 are open", || metric(&relay, "sluice_ice_tcp_connections") == Some(32.0));
}

#[test]
fn without_media_on_the_http_port_frames_are_refused_and_the_port_is_no_candidate() {
    let relay = Relay::start();
    let answer = relay.request("POST", "/whip/cam", &[SDP], WHIP_OFFER).body;
    assert!(
        !answer.contains(&format!(" {} typ host", relay.addresses.http.port())),
        "a listener on a loopback address"
    );
    let mut stream = connect(&relay);
    stream.write_all(b"\0\x14\0\x01\0\0\x21\x12\xa4\x42").unwrap();
    assert!(is_closed(stream) || metric(&relay, "sluice_ice_tcp_connections").is_none_or(|open| open == 0.0));
}
