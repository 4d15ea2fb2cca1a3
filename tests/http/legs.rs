//! Pulls and pushes, without media: when they call another server, what that one is asked, and what an operator reads when
//! it refuses.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sluice::config::Config;
use sluice::legs::{Configured, Mode, TokenSource};
use sluice::metrics::LegDirection;

use crate::relay::{Relay, SDP, WHEP_OFFER};
use crate::tls::{metric, until};

/// A server that answers every request with this text, and passes the requests on.
fn server(answer: String) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let (requests, received) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut request, mut buffer) = (stream.unwrap(), String::new(), [0; 16 * 1024]);
            let is_whole = |text: &str| {
                let length = text
                    .lines()
                    .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
                text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length.unwrap_or(0))
            };
            while !is_whole(&request) {
                match stream.read(&mut buffer) {
                    Ok(count @ 1..) => request += &String::from_utf8_lossy(&buffer[..count]),
                    _ => break,
                }
            }
            let _ = stream.write_all(answer.as_bytes());
            if requests.send(request).is_err() {
                return;
            }
        }
    });
    (origin, received)
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

fn pull(url: &str) -> Configured {
    Configured {
        direction: LegDirection::Pull,
        stream: "cam".parse().unwrap(),
        url: url.parse().unwrap(),
        mode: Mode::Always,
        token: TokenSource::None,
    }
}

fn pulling(configured: Configured, change: impl FnOnce(&mut Config)) -> Relay {
    Relay::with(|config| {
        config.legs.configured = vec![configured];
        config.legs.allowed = vec!["127.0.0.0/8".parse().unwrap()];
        config.legs.pauses = Duration::from_millis(10)..=Duration::from_millis(40);
        change(config);
    })
}

fn leg(relay: &Relay) -> serde_json::Value {
    let legs: serde_json::Value = serde_json::from_str(&relay.get("/api/legs").body).unwrap();
    legs[0].clone()
}

fn failures(relay: &Relay, reason: &str) -> f64 {
    metric(relay, &format!("sluice_leg_failures_total{{reason=\"{reason}\"}}")).unwrap()
}

#[test]
fn a_pull_that_is_refused_says_why_and_goes_on_trying() {
    let sdp = "content-type: application/sdp\r\nlocation: /session/7\r\n";
    let declined = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 0 UDP/TLS/RTP/SAVPF 96\r\n";
    for (answer, reason, part) in [
        (response("401 Unauthorized", "", ""), "unauthorized", "401"),
        (response("403 Forbidden", "", r#"{"detail":"not this stream"}"#), "unauthorized", "not this stream"),
        (response("404 Not Found", "", ""), "not_found", "404"),
        (response("500 Oh", "", ""), "refused", "500"),
        (response("200 OK", "content-type: text/html\r\n", "<html>"), "refused", "200"),
        (response("201 Created", sdp, "<html>"), "answer", "read as an offer"),
        (response("201 Created", sdp, declined), "answer", "accepts none of the media"),
        (response("201 Created", "content-type: text/html\r\nlocation: /s\r\n", "<html>"), "answer", "application/sdp"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(), "unreachable", "http or https"),
    ] {
        let (origin, requests) = server(answer);
        let relay = pulling(pull(&format!("{origin}/whep/cam?secret=hunter2")), |_| {});
        until("it has tried twice", || failures(&relay, reason) >= 2.0);
        let shown = leg(&relay);
        assert!(shown["failure"].as_str().unwrap().contains(part), "{shown}");
        assert_eq!(shown["url"], format!("{origin}/whep/cam"), "the query may be a secret");
        let posted = requests.recv().unwrap();
        assert!(posted.starts_with("POST /whep/cam?secret=hunter2 ") && posted.contains("a=recvonly"), "{posted}");
        if reason == "answer" && part != "application/sdp" {
            until("the session there is ended", || requests.try_iter().any(|it| it.starts_with("DELETE /session/7 ")));
        }
    }
}

#[test]
fn a_server_of_this_machine_is_asked_only_if_it_is_listed_also_behind_a_redirect() {
    let (origin, requests) = server(response("404 Not Found", "", ""));
    let relay = pulling(pull(&format!("{origin}/whep/cam")), |config| {
        config.legs.allowed = vec!["10.0.0.0/8".parse().unwrap()]
    });
    until("it is refused", || failures(&relay, "address") >= 2.0);
    assert!(leg(&relay)["failure"].as_str().unwrap().contains("--leg-allow"));
    let port = origin.rsplit(':').next().unwrap();
    let (redirecting, redirected) =
        server(response("307 Temporary Redirect", &format!("location: http://[::1]:{port}/whep/cam\r\n"), ""));
    let other = pulling(pull(&format!("{redirecting}/whep/cam")), |_| {});
    until("it is refused", || failures(&other, "address") >= 2.0);
    assert!(redirected.try_iter().count() >= 2 && requests.try_recv().is_err());
}

#[test]
fn a_candidate_of_this_machine_is_not_dialled_unless_it_is_listed() {
    let parent = Relay::start();
    let url = parent.url("/whep/cam").replace("127.0.0.1", "localhost");
    let relay = pulling(pull(&url), |config| config.legs.allowed = vec!["10.0.0.0/8".parse().unwrap()]);
    until("the server is not asked", || failures(&relay, "address") >= 1.0);
    assert_eq!(metric(&parent, "sluice_session_setup_seconds_count{phase=\"answer\"}"), Some(0.0));
}

#[test]
fn a_token_is_read_for_each_try_and_sent() {
    let path = std::env::temp_dir().join(format!("sluice-legs-token-{}", std::process::id()));
    let (origin, requests) = server(response("401 Unauthorized", "", ""));
    let configured = Configured { token: TokenSource::File(path.clone()), ..pull(&format!("{origin}/whep/cam")) };
    let relay = pulling(configured, |_| {});
    until("it has no token", || failures(&relay, "token") >= 1.0);
    std::fs::write(&path, "let-me\n").unwrap();
    let posted = requests.recv_timeout(Duration::from_secs(20)).unwrap().to_ascii_lowercase();
    assert!(posted.contains("authorization: bearer let-me\r\n"), "{posted}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_pull_on_demand_begins_with_the_first_viewer_and_ends_some_time_after_the_last() {
    let parent = Relay::start();
    let configured = Configured { mode: Mode::OnDemand, ..pull(&parent.url("/whep/cam")) };
    let relay = pulling(configured, |config| config.legs.idle = Duration::from_millis(500));
    assert_eq!(leg(&relay)["state"], "idle");
    assert_eq!(metric(&relay, "sluice_legs{direction=\"pull\",state=\"idle\"}"), Some(1.0));
    let reply = relay.request("POST", "/whep/cam", &[SDP], WHEP_OFFER);
    assert_eq!(reply.status, 201, "{reply:?}");
    let asked = Instant::now();
    until("it runs", || leg(&relay)["state"] == "connected");
    until("it ends again", || leg(&relay)["state"] == "idle");
    assert!(asked.elapsed() >= Duration::from_millis(500), "{:?}", asked.elapsed());
    until("the session there has ended", || {
        let sessions: Vec<serde_json::Value> = serde_json::from_str(&parent.get("/api/sessions").body).unwrap();
        sessions.len() == 1 && sessions[0]["state"] == "ended"
    });
    assert_eq!(leg(&relay)["failures"], 0);
    relay.request("POST", "/whep/other", &[SDP], WHEP_OFFER);
    assert_eq!(leg(&relay)["state"], "idle", "another stream is not its matter");
}

#[test]
fn early_viewers_of_a_stream_that_is_pulled_are_not_refused() {
    let parent = Relay::start();
    let configured = Configured { mode: Mode::OnDemand, ..pull(&parent.url("/whep/cam")) };
    let relay = pulling(configured, |config| config.worker.refuse_early_viewers = true);
    assert_eq!(relay.request("POST", "/whep/cam", &[SDP], WHEP_OFFER).status, 201);
    assert_eq!(relay.request("POST", "/whep/other", &[SDP], WHEP_OFFER).status, 409);
}
