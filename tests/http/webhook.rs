//! A webhook that decides: what it is asked, how often, and what happens when it does not answer as it should.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice::config::Config;

use crate::operator::{Answering, Server};
use crate::relay::{Relay, SDP, WHEP_OFFER, request};

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
