//! What strangers can write into the log of the binary, and how much of it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::binary::{Running, agent, relay};

/// Sends the same request again and again on one connection; returns when all are answered.
fn ask(origin: &str, request: &str, times: usize) {
    let mut stream = TcpStream::connect(origin.trim_start_matches("http://")).unwrap();
    for _ in 0..times {
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut bytes = [0; 4_096];
            let length = stream.read(&mut bytes).unwrap();
            assert!(length > 0, "the relay hangs up");
            answer.extend_from_slice(&bytes[..length]);
        }
    }
}

#[test]
fn many_requests_of_one_client_write_few_log_lines_at_any_level() {
    for arguments in [&["--log", "debug"][..], &[]] {
        let options = ["--drain", "0", "--publish-token", "secret"];
        let mut relay = Running::start(&mut relay(&[&options, arguments].concat()));
        let head = "POST /whip/cam HTTP/1.1\r\nHost: relay\r\nContent-Type: application/sdp\r\nContent-Length: 3\r\n";
        // Without a token, with a wrong one, with an offer that is none, and of something else altogether.
        ask(&relay.origin, &format!("{head}\r\nv=0"), 300);
        ask(&relay.origin, &format!("{head}Authorization: Bearer wrong\r\n\r\nv=0"), 300);
        ask(&relay.origin, &format!("{head}Authorization: Bearer secret\r\n\r\nv=0"), 300);
        ask(&relay.origin, "HEAD /nothing HTTP/1.1\r\nHost: relay\r\n\r\n", 300);
        relay.signal("TERM");
        assert!(relay.ended().success());
        let log = relay.log();
        let lines = log.lines().count();
        assert!(lines < 80, "{lines} lines of 1,200 requests:\n{log}");
        assert!(log.contains("stopped"), "{log}");
        if !arguments.is_empty() {
            assert!(log.contains("repeated lines were not logged"), "{log}");
        }
    }
}

#[test]
fn a_log_that_nobody_reads_stops_neither_sessions_nor_the_end() {
    let (_unread, log) = std::io::pipe().unwrap();
    let mut relay = Running::start_logging(&mut relay(&["--drain", "0"]), log);
    // Each writes a line; a pipe holds some 250 of them.
    for _ in 0..400 {
        let session = relay.session(&relay.post(None));
        assert_eq!(agent().delete(session).call().unwrap().status(), 200);
    }
    relay.signal("TERM");
    assert_eq!(relay.ended().code(), Some(0));
}
