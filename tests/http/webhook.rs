//! A webhook that decides: what it is asked, how often, and what happens when it does not answer as it should.

use std::io::Write as _;
use std::net::TcpStream;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice::config::Config;
use sluice::http::Limit;

use crate::operator::{Answering, Server};
use crate::relay::{Relay, Reply, SDP, WHEP_OFFER, request};

const TOKEN: (&str, &str) = ("authorization", "Bearer of-a-player");

fn answer(value: &Value) -> Answering {
    Answering::With(200, value.to_string())
}

fn relay(server: &Server) -> Relay {
    Relay::with(|config: &mut Config| {
        config.auth.webhook = Some(server.url());
        config.auth.webhook_secret = Some("shared".to_owned());
        config.auth.publish_token = Some("static".to_owned());
    })
}

#[test]
fn a_webhook_is_asked_about_token_action_stream_and_client_and_its_limits_count() {
    let server = Server::answering(answer(&json!({"allow": true, "max_viewers": 1, "subject": "alice"})));
    let relay = relay(&server);
    let watch = || relay.request("POST", "/whep/cam", &[SDP, TOKEN], WHEP_OFFER);
    let session = watch();
    assert_eq!(session.status, 201);
    watch().problem(429);
    let asked = server.asked();
    let [request] = &asked[..] else { panic!("it is asked once: {asked:?}") };
    assert!(request.starts_with("POST /path?query=1 "), "{request}");
    let lines = request.to_ascii_lowercase();
    assert!(lines.contains("authorization: bearer shared\r\n") && lines.contains("content-type: application/json\r\n"));
    let body: Value = serde_json::from_str(&request[request.find("\r\n{").unwrap()..]).unwrap();
    let expected = json!({"token": "of-a-player", "action": "watch", "stream": "cam", "client": "127.0.0.1"});
    assert_eq!(body, expected);
    // The session stays its client's, whatever the webhook does later.
    server.change(Answering::Down);
    assert_eq!(relay.request("DELETE", session.header("location"), &[TOKEN], "").status, 200);
}

fn limit(burst: u32) -> Limit {
    let number = |value| NonZeroU32::new(value).unwrap();
    Limit { per_second: number(1), burst: number(burst), loopback: true }
}

/// Waits until `is_so`, and fails if it is not within 20 s.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_webhook_by_https_is_believed_if_the_named_authority_has_signed_for_it_and_asked_over_kept_connections() {
    let (server, authority) = Server::by_https(answer(&json!({"allow": true})));
    let (_, other) = Server::by_https(Answering::Down);
    let file = |name: &str, text: &str| {
        let path = std::env::temp_dir().join(format!("sluice-webhook-{name}-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    };
    let [authority, other] = [file("authority", &authority), file("other", &other)];
    let status = |authority: Option<&PathBuf>, tokens: &[&str]| {
        let relay = Relay::with(|config: &mut Config| {
            config.auth.webhook = Some(server.url());
            config.auth.access_ca = authority.cloned();
        });
        let ask = |token: &&str| {
            let token = format!("Bearer {token}");
            relay.request("GET", "/whep/cam", &[("authorization", &token)], "").status
        };
        tokens.iter().map(ask).collect::<Vec<_>>()
    };
    assert_eq!(status(Some(&authority), &["a", "b", "c", "d", "e", "f", "g", "h"]), [200; 8]);
    let (asked, connections) = (server.asked().len(), server.connections());
    // The client opens another one where the server has sent octets since the answer, such as a session ticket of TLS.
    assert!(asked == 8 && connections <= 4, "{asked} questions over {connections} connections: they are kept");
    assert_eq!((status(Some(&other), &["a"]), status(None, &["a"])), (vec![503], vec![503]));
    assert_eq!(server.asked().len(), asked, "no token is sent to a server without a trusted certificate");
    for path in [authority, other] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn an_administrator_may_be_known_to_the_webhook_alone() {
    let server = Server::answering(answer(&json!({"allow": true})));
    let relay = relay(&server);
    assert_eq!(relay.request("GET", "/api/sessions", &[TOKEN], "").status, 200);
    assert!(server.asked()[0].ends_with(r#""action":"admin","client":"127.0.0.1"}"#), "{:?}", server.asked());
    server.change(answer(&json!({"allow": false})));
    relay.request("GET", "/api/sessions", &[("authorization", "Bearer other")], "").problem(401);
}

#[test]
fn a_token_that_is_known_otherwise_and_a_request_without_one_ask_no_webhook() {
    let server = Server::answering(answer(&json!({"allow": true})));
    let relay = relay(&server);
    assert_eq!(relay.request("GET", "/whip/cam", &[("authorization", "Bearer static")], "").status, 204);
    relay.request("GET", "/whep/cam", &[("authorization", "Bearer static")], "").problem(403);
    relay.request("GET", "/whep/cam", &[], "").problem(401);
    assert!(server.asked().is_empty());
}

#[test]
fn the_same_question_is_not_asked_again_at_once() {
    let server = Server::answering(answer(&json!({"allow": true})));
    let relay = relay(&server);
    let get = |stream: &str, token: &str| {
        let token = format!("Bearer {token}");
        relay.request("GET", &format!("/whep/{stream}"), &[("authorization", &token)], "").status
    };
    for _ in 0..5 {
        assert_eq!(get("cam", "a"), 200);
    }
    assert_eq!(server.asked().len(), 1);
    assert_eq!((get("stage", "a"), get("cam", "b")), (200, 200));
    assert_eq!(server.asked().len(), 3, "another stream and another token are other questions");
    server.change(answer(&json!({"allow": false})));
    for _ in 0..5 {
        assert_eq!(get("cam", "c"), 401);
    }
    assert_eq!(server.asked().len(), 4, "a refusal is kept too");
}

#[test]
fn a_webhook_that_does_not_decide_lets_nobody_in() {
    let right = Server::answering(answer(&json!({"allow": true})));
    for answering in [
        Answering::Down,
        Answering::Never,
        Answering::Endless,
        Answering::Elsewhere(right.url()),
        Answering::With(500, r#"{"allow": true}"#.to_owned()),
        Answering::With(200, "yes".to_owned()),
        Answering::With(200, "[".repeat(10_000)),
        Answering::With(200, r#"{"allow": "true"}"#.to_owned()),
        Answering::With(200, r#"{"allow": true, "max_bitrate": -1}"#.to_owned()),
    ] {
        let server = Server::answering(answering.clone());
        let relay = relay(&server);
        let began = Instant::now();
        let refused = relay.request("POST", "/whep/cam", &[SDP, TOKEN], WHEP_OFFER);
        assert!(refused.problem(503).contains("cannot be decided"), "{answering:?}");
        assert_eq!(refused.header("retry-after"), "5");
        assert!(began.elapsed() < Duration::from_secs(10), "{answering:?}: {:?}", began.elapsed());
        server.change(answer(&json!({"allow": true})));
        let later = relay.request("POST", "/whep/cam", &[SDP, TOKEN], WHEP_OFFER);
        assert_eq!(later.status, 201, "a failure is not kept: {answering:?}");
    }
    assert!(right.asked().is_empty(), "redirects are not followed");
}

#[test]
fn a_webhook_is_asked_32_questions_at_a_time() {
    let server = Server::answering(Answering::Never);
    let relay = relay(&server);
    let url = relay.url("/whep/cam");
    std::thread::scope(|scope| {
        for number in 0..60 {
            let url = &url;
            scope.spawn(move || {
                let token = format!("Bearer number-{number}");
                request(url, "GET", &[("authorization", &token)], "").problem(503);
            });
        }
    });
    // The server may see the end of a question a moment after the beginning of the next one.
    let most = server.most_open();
    assert!((1..=40).contains(&most), "{most}");
    assert_eq!(relay.get("/healthz").status, 200);
    let metrics = relay.request("GET", "/metrics", &[("authorization", "Bearer static")], "");
    assert_eq!(metrics.status, 403, "the tokens of the settings need no webhook");
}

#[test]
fn one_address_has_four_questions_open_and_another_is_answered_meanwhile() {
    let server = Server::answering(Answering::Never);
    let relay = Relay::with(|config| {
        config.auth.webhook = Some(server.url());
        config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    });
    let url = relay.url("/whep/cam");
    let watch = |client: &str, token: &str| {
        request(&url, "GET", &[("authorization", &format!("Bearer {token}")), ("x-forwarded-for", client)], "")
    };
    std::thread::scope(|scope| {
        for number in 0..40 {
            let watch = &watch;
            scope.spawn(move || watch("192.0.2.1", &format!("number-{number}")));
        }
        wait_until("four questions are open", || server.most_open() >= 4);
        server.change(answer(&json!({"allow": true})));
        assert_eq!(watch("192.0.2.2", "other").status, 200);
    });
    // A question may have ended, unseen by the server, before the answers changed.
    assert!(server.most_open() <= 8, "{}", server.most_open());
}

#[test]
fn bodies_that_arrive_slowly_keep_no_other_client_of_their_address_from_the_webhook() {
    let server = Server::answering(answer(&json!({"allow": true})));
    let relay = relay(&server);
    let mut slow = Vec::new();
    for number in 0..8 {
        let mut stream = TcpStream::connect(relay.addresses.http).unwrap();
        let head = format!(
            "POST /whep/cam HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer slow-{number}\r\nContent-Type: application/sdp\r\n\
             Content-Length: 4000\r\n\r\nv"
        );
        stream.write_all(head.as_bytes()).unwrap();
        slow.push(stream);
    }
    wait_until("all tokens are accepted", || server.asked().len() == 8);
    let session = relay.request("POST", "/whep/cam", &[SDP, TOKEN], WHEP_OFFER);
    assert_eq!(session.status, 201, "{}", session.body);
    assert_eq!(relay.request("DELETE", session.header("location"), &[TOKEN], "").status, 200);
}

#[test]
fn a_token_of_the_webhook_is_no_guess_where_its_session_has_ended() {
    let server = Server::answering(answer(&json!({"allow": true})));
    let relay = Relay::with(|config: &mut Config| {
        config.auth.webhook = Some(server.url());
        config.http.failure_limit = limit(1);
    });
    let session = relay.request("POST", "/whep/cam", &[SDP, TOKEN], WHEP_OFFER);
    let location = session.header("location");
    assert_eq!(relay.request("DELETE", location, &[TOKEN], "").status, 200);
    for method in ["DELETE", "GET", "PATCH"] {
        relay.request(method, location, &[TOKEN], "").problem(404);
    }
    assert_eq!(relay.request("POST", "/whep/cam", &[SDP, TOKEN], WHEP_OFFER).status, 201, "it is not slowed down");
}

#[test]
fn the_rate_limit_comes_before_the_webhook_for_every_method_and_path() {
    for (method, path) in [
        ("GET", "/whip/cam"),
        ("HEAD", "/whep/cam"),
        ("POST", "/whep/cam"),
        ("GET", "/metrics"),
        ("GET", "/api/node"),
        ("GET", "/session"),
        ("GET", "/session/layer"),
        ("GET", "admin/metrics"),
        ("GET", "admin/api/sessions"),
    ] {
        let server = Server::answering(answer(&json!({"allow": false})));
        let relay = Relay::with(|config| {
            config.auth.webhook = Some(server.url());
            config.auth.publish_token = Some("static".to_owned());
            (config.http.limit, config.http.failure_limit) = (Some(limit(3)), limit(1000));
            config.http.admin = path.starts_with("admin").then(|| "127.0.0.1:0".parse().unwrap());
        });
        let began = Instant::now();
        let (session, _) = relay.publish("cam", &[("authorization", "Bearer static")]);
        let url = match (path.strip_prefix("admin"), path.strip_prefix("/session")) {
            (Some(path), _) => format!("http://{}{path}", relay.addresses.admin.unwrap()),
            (_, Some(below)) => relay.url(&format!("{session}{below}")),
            _ => relay.url(path),
        };
        let ask = |number: u32| request(&url, method, &[SDP, ("authorization", &format!("Bearer {number}"))], "");
        let replies: Vec<Reply> = (0..15).map(ask).collect();
        let passed = replies.iter().filter(|reply| reply.status == 401).count();
        assert!(replies.iter().all(|reply| [401, 429].contains(&reply.status)), "{method} {path}: {replies:?}");
        assert_eq!(server.asked().len(), passed, "{method} {path}");
        let allowed = 3 + began.elapsed().as_secs() as usize;
        assert!((1..=allowed).contains(&passed), "{method} {path}: {passed}");
    }
}

#[test]
fn guesses_that_arrive_together_are_counted_before_more_of_them_pass() {
    let server = Server::answering(answer(&json!({"allow": false})));
    let relay = Relay::with(|config| {
        config.auth.webhook = Some(server.url());
        config.http.failure_limit = limit(2);
    });
    let url = relay.url("/whep/cam");
    let began = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..60 {
            let url = &url;
            scope.spawn(move || request(url, "GET", &[("authorization", &format!("Bearer {number}"))], ""));
        }
    });
    // Two, one more that has to wait, one a second, and three that were asked beside another one each time.
    let most = 3 + 4 * (1 + began.elapsed().as_secs() as usize);
    assert!(server.asked().len() <= most, "{} in {:?}", server.asked().len(), began.elapsed());
}

#[test]
fn a_renewed_token_with_the_same_subject_and_grant_changes_the_session() {
    let server = Server::answering(answer(&json!({"allow": true, "subject": "alice"})));
    let relay = relay(&server);
    let (session, etag) = relay.publish("cam", &[TOKEN]);
    let get = |token: &str| relay.request("GET", &session, &[("authorization", &format!("Bearer {token}"))], "");
    assert_eq!(get("renewed").status, 204);
    assert!(
        server.asked()[1].contains(r#""token":"renewed","action":"publish","stream":"cam""#),
        "{:?}",
        server.asked()
    );
    for (answer_of, status) in [
        (json!({"allow": true, "subject": "bob"}), 404),
        (json!({"allow": true}), 404),
        (json!({"allow": true, "subject": "alice", "max_layer": 1}), 404),
        (json!({"allow": false}), 401),
    ] {
        server.change(answer(&answer_of));
        get(&format!("for-{answer_of}").replace(|letter: char| !letter.is_ascii_alphanumeric(), "-")).problem(status);
    }
    server.change(Answering::Down);
    get("another").problem(503);
    assert_eq!(get("renewed").status, 204, "that answer is kept");
    get("static").problem(404);
    let fragment = "a=end-of-candidates\r\n";
    let patch = [crate::relay::FRAGMENT, ("if-match", &etag), ("authorization", "Bearer renewed")];
    assert_eq!(relay.request("PATCH", &session, &patch, fragment).status, 204);
}

/// A relay that asks again after 200 ms, and the session of a viewer.
fn watched(server: &Server, end_with_token: bool) -> (Relay, String) {
    let relay = Relay::with(|config| {
        config.auth.webhook = Some(server.url());
        config.auth.admin_token = Some("admin".to_owned());
        config.auth.end_with_token = end_with_token;
        config.auth.webhook_again = Some(Duration::from_millis(200));
    });
    let session = relay.request("POST", "/whep/cam", &[SDP, TOKEN], WHEP_OFFER);
    assert_eq!(session.status, 201);
    let session = session.header("location").to_owned();
    (relay, session)
}

/// Why a session has ended.
fn ended(relay: &Relay, session: &str) -> Option<String> {
    let path = session.replace("/session/", "/api/sessions/");
    let record = relay.request("GET", &path, &[("authorization", "Bearer admin")], "").body;
    let record: Value = serde_json::from_str(&record).unwrap();
    record["ended"]["reason"].as_str().map(str::to_owned)
}

#[test]
fn a_session_ends_when_the_webhook_refuses_its_token_and_not_when_it_does_not_answer() {
    let server = Server::answering(answer(&json!({"allow": true})));
    let ((ending, session), (lasting, other)) = (watched(&server, true), watched(&server, false));
    wait_until("it is asked again while it allows", || server.asked().len() >= 4);
    server.change(Answering::With(500, "{}".to_owned()));
    let asked = server.asked().len();
    wait_until("it is asked again after it did not answer", || server.asked().len() >= asked + 2);
    assert_eq!(ended(&ending, &session), None, "no answer is no refusal");
    server.change(answer(&json!({"allow": false})));
    wait_until("the session ends", || ended(&ending, &session).is_some());
    // A session that ends before it has connected may be said to have never connected.
    let reason = ended(&ending, &session).unwrap();
    assert!(["token_revoked", "never_connected"].contains(&reason.as_str()), "{reason}");
    assert_eq!(ended(&lasting, &other), None, "without the setting it goes on");
    ending.request("GET", &session, &[TOKEN], "").problem(404);
}

#[test]
fn an_answer_that_ends_soon_is_asked_for_again_and_keeps_the_session() {
    let server = Server::answering(answer(&json!({"allow": true, "expires_in": 3})));
    let (relay, session) = watched(&server, true);
    let began = Instant::now();
    wait_until("the first answer has ended", || {
        assert_eq!(ended(&relay, &session), None, "after {:?}", began.elapsed());
        began.elapsed() > Duration::from_secs(4)
    });
    server.change(Answering::Down);
    wait_until("the session ends with the last answer", || ended(&relay, &session).is_some());
}
