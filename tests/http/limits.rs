//! Bodies, headers and request rates beyond their limits.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use sluice::http::Limit;
use sluice::session::Quota;

use crate::relay::{FRAGMENT, Relay, SDP, WHEP_OFFER, WHIP_OFFER};

const SOON: Duration = Duration::from_millis(300);

/// Sends `text` and reads until the relay closes the connection.
fn raw(relay: &Relay, text: &str) -> String {
    let mut stream = TcpStream::connect(relay.addresses.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is as good as a close.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn bodies_have_a_maximum_size() {
    let relay = Relay::start();
    let (session, etag) = relay.publish("cam", &[]);
    let padded = |size: usize| format!("{WHIP_OFFER}{}", "a=x\r\n".repeat((size - WHIP_OFFER.len()) / 5));
    assert_ne!(relay.request("POST", "/whip/cam", &[SDP], &padded(60 * 1024)).status, 413);
    relay.request("POST", "/whip/cam", &[SDP], &padded(66 * 1024)).problem(413);
    let fragment = "a=end-of-candidates\r\n".repeat(400);
    relay.request("PATCH", &session, &[FRAGMENT, ("if-match", &etag)], &fragment).problem(413);
}

#[test]
fn ten_megabytes_are_refused_before_they_are_read() {
    let relay = Relay::start();
    let head = "POST /whip/cam HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nConnection: close\r\n";
    let answer = raw(&relay, &format!("{head}Content-Length: 10485760\r\n\r\nv=0"));
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // Without a length: chunks until the limit is passed.
    let chunk = format!("1000\r\n{}\r\n", "a".repeat(0x1000));
    let answer = raw(&relay, &format!("{head}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(17)));
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn a_body_that_does_not_arrive_is_given_up() {
    let relay = Relay::with(|config| config.http.body_deadline = SOON);
    let began = Instant::now();
    let answer = raw(
        &relay,
        "POST /whip/cam HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nContent-Length: 500\r\n\r\nv=0",
    );
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_answer_before_the_body_was_read_says_that_the_connection_closes() {
    let relay = Relay::start();
    let sdp = "application/sdp";
    for (path, kind, length, status) in [
        ("/whip/x", sdp, 150_000, 413),
        ("/whip/x", sdp, 70_000, 413),
        ("/whip/x", "text/x", 150_000, 415),
        ("/nix", sdp, 150_000, 404),
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n");
        let answer = raw(&relay, &format!("{head}Content-Length: {length}\r\n\r\nv=0"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
    }
    // After a body that was read, the connection serves the next request.
    let bad = "POST /whip/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nContent-Length: 3\r\n\r\nv=0";
    let next = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = raw(&relay, &format!("{bad}{next}"));
    assert!(answers.starts_with("HTTP/1.1 400 ") && answers.contains("HTTP/1.1 200 "), "{answers}");
}

#[test]
fn headers_that_do_not_arrive_end_the_connection_and_others_are_served_meanwhile() {
    let relay = Relay::with(|config| config.http.header_deadline = SOON);
    let slow: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(relay.addresses.http).unwrap();
            stream.write_all(b"POST /whip/cam HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            stream
        })
        .collect();
    assert_eq!(relay.get("/healthz").status, 200);
    for mut stream in slow {
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        let closed = ended.is_ok() || ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
        assert!(closed, "the relay closes it");
    }
}

#[test]
fn input_that_is_not_http_is_refused() {
    let relay = Relay::start();
    for nonsense in ["\u{16}\u{3}\u{1}\r\n\r\n", "GET\r\n\r\n", "POST /whip/cam HTTP/9.9\r\n\r\n"] {
        let answer = raw(&relay, nonsense);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let bomb = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    assert!(raw(&relay, &bomb).starts_with("HTTP/1.1 431 "));
    assert_eq!(relay.get("/healthz").status, 200);
}

#[test]
fn an_address_beyond_its_request_rate_gets_a_retry_after() {
    let number = |value| NonZeroU32::new(value).unwrap();
    let limit = Limit { per_second: number(1), burst: number(5), loopback: true };
    let relay = Relay::with(|config| config.http.limit = Some(limit));
    for _ in 0..5 {
        assert_eq!(relay.request("POST", "/whip/cam", &[SDP], "x").status, 400);
    }
    let reply = relay.request("POST", "/whip/cam", &[SDP, ("origin", "https://a.example")], WHIP_OFFER);
    reply.problem(429);
    assert_eq!(reply.header("retry-after"), "1");
    assert_eq!(reply.header("access-control-allow-origin"), "*", "a player must be able to read when");
    for method in ["DELETE", "PATCH"] {
        relay.request(method, "/session/AAAAAAAAAAAAAAAAAAAAAA", &[], "").problem(429);
    }
    for (method, path) in [("GET", "/whip/cam"), ("OPTIONS", "/whip/cam"), ("GET", "/metrics"), ("GET", "/watch/cam")] {
        assert!(relay.request(method, path, &[], "").status < 300, "{method} {path}");
    }
}

#[test]
fn a_token_beyond_its_request_rate_is_refused_from_every_address_and_other_tokens_are_not() {
    let number = |value| NonZeroU32::new(value).unwrap();
    let relay = Relay::with(|config| {
        config.auth.publish_token = Some("p".to_owned());
        config.auth.watch_token = Some("w".to_owned());
        config.http.token_limit = Some(Limit { per_second: number(1), burst: number(3), loopback: true });
    });
    let post = |token: &str| {
        let header = ("authorization", format!("Bearer {token}"));
        relay.request("POST", "/whip/cam", &[SDP, (header.0, &header.1)], "x")
    };
    for _ in 0..3 {
        assert_eq!(post("p").status, 400);
    }
    let held_back = (0..20).map(|_| post("p")).find(|reply| reply.status == 429).expect("one a second is allowed");
    assert!(held_back.problem(429).contains("token"));
    assert_eq!(held_back.header("retry-after"), "1");
    assert_eq!(post("w").status, 403);
    assert!((0..20).all(|_| post("guess").status == 401), "an unknown token fills no bucket");
}

#[test]
fn this_machine_has_no_request_limit() {
    let relay = Relay::start();
    assert!((0..700).all(|_| relay.request("POST", "/whip/cam", &[SDP], "x").status == 400));
}

#[test]
fn a_full_relay_and_a_full_stream_say_when_to_retry() {
    let full = Quota { sessions: 2, viewers: 1, sessions_per_address: 0 };
    let relay = Relay::with(|config| config.worker.quota = full);
    let page = [SDP, ("origin", "https://page.example")];
    let (session, etag) = relay.publish("cam", &[]);
    assert_eq!(relay.request("POST", "/whep/cam", &[SDP], WHEP_OFFER).status, 201);
    for (path, offer, says) in [
        ("/whep/cam", WHEP_OFFER, "this stream has as many viewers"),
        ("/whep/dog", WHEP_OFFER, "this relay is full"),
        ("/whip/dog", WHIP_OFFER, "this relay is full"),
    ] {
        let reply = relay.request("POST", path, &page, offer);
        assert!(reply.problem(503).contains(says), "{path}: {reply:?}");
        assert_eq!(reply.header("retry-after"), "10");
        assert_eq!(reply.header("access-control-allow-origin"), "*", "a page can read why");
    }
    // Existing sessions continue and can be changed.
    let fragment = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n";
    let restarted = relay.request("PATCH", &session, &[FRAGMENT, ("if-match", "*")], fragment);
    assert!(restarted.status == 200 && restarted.header("etag") != etag, "{restarted:?}");
    assert_eq!(relay.request("DELETE", &session, &[], "").status, 200);
    assert_eq!(relay.request("POST", "/whip/dog", &[SDP], WHIP_OFFER).status, 201);
    let metrics = relay.get("/metrics").body;
    for line in [
        "sluice_refused_sessions_total{reason=\"max_sessions\"} 2",
        "sluice_refused_sessions_total{reason=\"max_viewers\"} 1",
        "sluice_limits{limit=\"max_sessions\"} 2",
        "sluice_limits{limit=\"max_sessions_per_address\"} 0",
    ] {
        assert!(metrics.lines().any(|shown| shown == line), "{line}: {metrics}");
    }
}
