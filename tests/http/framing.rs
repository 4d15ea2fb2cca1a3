//! Requests on the wire: HTTP versions, framings and request targets that clients and proxies use.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::relay::{Relay, WHEP_OFFER, WHIP_OFFER};

const HEAD: &str = "Content-Type: application/sdp\r\nConnection: close\r\n";

/// Sends the pieces one after the other and reads until the relay closes the connection.
fn send(relay: &Relay, pieces: &[&str]) -> String {
    let mut stream = TcpStream::connect(relay.addresses.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for piece in pieces {
        stream.write_all(piece.as_bytes()).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn both() -> [(&'static str, &'static str); 2] {
    [("/whip/cam", WHIP_OFFER), ("/whep/cam", WHEP_OFFER)]
}

#[test]
fn http_1_0_is_answered_with_or_without_a_host() {
    let relay = Relay::start();
    for (path, offer) in both() {
        for host in ["", "Host: x\r\n"] {
            let head = format!("POST {path} HTTP/1.0\r\n{host}Content-Type: application/sdp\r\n");
            let answer = send(&relay, &[&head, &format!("Content-Length: {}\r\n\r\n{offer}", offer.len())]);
            assert!(answer.starts_with("HTTP/1.0 201 "), "{answer}");
            assert!(!answer.to_ascii_lowercase().contains("transfer-encoding"), "{answer}");
            assert!(answer.contains("\r\n\r\nv=0\r\n") && answer.contains("a=end-of-candidates"), "{answer}");
        }
    }
}

#[test]
fn bodies_may_come_in_chunks_of_any_size() {
    let relay = Relay::start();
    for (path, offer) in both() {
        for size in [1, 7, 1000, 65_536] {
            // hyper takes 16 KiB of chunk extensions in one body.
            let extension = if size > 1 { ";x=y" } else { "" };
            let chunks: Vec<String> = offer
                .as_bytes()
                .chunks(size)
                .map(|chunk| format!("{:X}{extension}\r\n{}\r\n", chunk.len(), str::from_utf8(chunk).unwrap()))
                .collect();
            let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n");
            let answer = send(&relay, &[&head, &chunks.concat(), "0\r\nX-Trailer: x\r\n\r\n"]);
            assert!(answer.starts_with("HTTP/1.1 201 "), "{size}: {answer}");
        }
    }
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let relay = Relay::start();
    for (path, offer) in both() {
        let mut stream = TcpStream::connect(relay.addresses.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let length = offer.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\n{HEAD}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(offer.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    }
    // The client gets the answer that the body is too large at once, before it has sent it.
    let head =
        format!("POST /whip/cam HTTP/1.1\r\nHost: x\r\n{HEAD}Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
    assert!(send(&relay, &[&head]).starts_with("HTTP/1.1 413 "));
}

#[test]
fn a_target_may_be_a_whole_url() {
    let relay = Relay::start();
    for (path, offer) in both() {
        for authority in [relay.addresses.http.to_string(), "relay.example".to_owned()] {
            let length = offer.len();
            let head = format!(
                "POST http://{authority}{path}?x=y HTTP/1.1\r\nHost: {authority}\r\n{HEAD}Content-Length: {length}\r\n\r\n"
            );
            let answer = send(&relay, &[&head, offer]);
            assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
            assert!(answer.to_ascii_lowercase().contains("\r\nlocation: /session/"), "{answer}");
        }
    }
}

#[test]
fn options_with_an_asterisk_lists_the_methods() {
    let answer = send(&Relay::start(), &["OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]);
    assert!(answer.starts_with("HTTP/1.1 204 ") && answer.to_ascii_lowercase().contains("\r\nallow: get"), "{answer}");
}
