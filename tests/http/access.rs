//! Tokens: which of them publish, watch, administer, and change a session.

use sluice::config::Config;

use crate::relay::{FRAGMENT, Relay, SDP, WHEP_OFFER, WHIP_OFFER};

const PUBLISHER: (&str, &str) = ("authorization", "Bearer pub-secret");
const VIEWER: (&str, &str) = ("authorization", "bearer watch-secret");
const ADMIN: (&str, &str) = ("authorization", "Bearer admin-secret");
const STRANGER: (&str, &str) = ("authorization", "Bearer guess");

fn with_tokens(config: &mut Config) {
    config.auth.publish_token = Some("pub-secret".to_owned());
    config.auth.watch_token = Some("watch-secret".to_owned());
    config.auth.admin_token = Some("admin-secret".to_owned());
}

#[test]
fn each_token_opens_its_own_endpoint() {
    let relay = Relay::with(with_tokens);
    assert_eq!(relay.request("POST", "/whip/cam", &[SDP, PUBLISHER], WHIP_OFFER).status, 201);
    assert_eq!(relay.request("POST", "/whep/cam", &[SDP, VIEWER], WHEP_OFFER).status, 201);
    for (path, offer, other) in [("/whip/cam", WHIP_OFFER, VIEWER), ("/whep/cam", WHEP_OFFER, PUBLISHER)] {
        for method in ["POST", "GET"] {
            let body = if method == "POST" { offer } else { "" };
            let none = relay.request(method, path, &[SDP], body);
            none.problem(401);
            assert_eq!(none.header("www-authenticate"), "Bearer realm=\"sluice\"");
            let wrong = relay.request(method, path, &[SDP, STRANGER], body);
            wrong.problem(401);
            assert!(wrong.header("www-authenticate").contains("invalid_token"));
            relay.request(method, path, &[SDP, other], body).problem(403);
        }
    }
}

#[test]
fn a_token_in_a_query_counts_as_one_in_the_header_and_is_not_in_the_location() {
    let relay = Relay::with(with_tokens);
    let created = relay.request("POST", "/whip/cam?standby=0&token=pub-secret", &[SDP], WHIP_OFFER);
    assert_eq!(created.status, 201);
    let session = created.header("location");
    assert!(!session.contains('?') && !format!("{:?}", created.headers).contains("pub-secret"), "{created:?}");
    assert_eq!(relay.request("GET", &format!("{session}?token=pub-secret"), &[], "").status, 204);
    relay.request("GET", session, &[], "").problem(401);
    relay.request("POST", "/whip/cam?token=guess", &[SDP], WHIP_OFFER).problem(401);
    relay.request("POST", "/whip/cam?access_token=pub-secret", &[SDP], WHIP_OFFER).problem(401);
    relay.request("POST", "/whip/cam?standby=2&token=pub-secret", &[SDP], WHIP_OFFER).problem(400);
    // The header has priority.
    relay.request("POST", "/whip/cam?token=pub-secret", &[SDP, STRANGER], WHIP_OFFER).problem(401);
    assert_eq!(relay.request("POST", "/whip/cam?token=guess", &[SDP, PUBLISHER], WHIP_OFFER).status, 201);
    assert_eq!(relay.get("/metrics?token=admin-secret").status, 200);
}

#[test]
fn a_client_that_guesses_tokens_is_slowed_down_and_one_without_a_token_is_not() {
    let number = |value| std::num::NonZeroU32::new(value).unwrap();
    let relay = Relay::with(|config| {
        with_tokens(config);
        config.auth.watch_token = None;
        config.auth.public_watch = true;
        config.http.failure_limit = sluice::http::Limit { per_second: number(1), burst: number(3), loopback: true };
    });
    let get = |token: &(&'static str, &'static str)| relay.request("GET", "/whip/cam", &[*token], "");
    let slowed = (0..20).map(|_| get(&STRANGER)).find(|reply| reply.status != 401).expect("guesses are slowed down");
    assert!(slowed.problem(429).contains("unknown tokens"));
    assert_eq!(slowed.header("retry-after"), "1");
    get(&PUBLISHER).problem(429);
    relay.request("GET", "/metrics?token=guess", &[], "").problem(429);
    assert_eq!(relay.get("/whep/cam").status, 200, "without a token nothing is guessed");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while get(&PUBLISHER).status != 204 {
        assert!(std::time::Instant::now() < deadline, "the right token counts again after a moment");
        std::thread::yield_now();
    }
    let metrics = relay.request("GET", "/metrics", &[ADMIN], "").body;
    for reason in ["unknown_token", "slowed_down"] {
        let line = metrics
            .lines()
            .find(|line| line.starts_with(&format!("sluice_access_refused_total{{reason=\"{reason}\"}}")));
        assert!(line.is_some_and(|line| !line.ends_with(" 0")), "{line:?}");
    }
}

#[test]
fn a_publish_token_alone_leaves_watching_closed_until_it_is_opened() {
    let closed = Relay::with(|config| config.auth.publish_token = Some("pub-secret".to_owned()));
    closed.request("POST", "/whep/cam", &[SDP], WHEP_OFFER).problem(401);
    let open = Relay::with(|config| {
        config.auth.publish_token = Some("pub-secret".to_owned());
        config.auth.public_watch = true;
    });
    assert_eq!(open.request("POST", "/whep/cam", &[SDP], WHEP_OFFER).status, 201);
    open.request("POST", "/whip/cam", &[SDP], WHIP_OFFER).problem(401);
}

#[test]
fn a_session_belongs_to_the_token_that_made_it() {
    let relay = Relay::with(with_tokens);
    let (session, _) = relay.publish("cam", &[PUBLISHER]);
    let fragment = "a=end-of-candidates\r\n";
    for (method, body) in [("DELETE", ""), ("GET", ""), ("PATCH", fragment)] {
        let headers = |token: &[(&'static str, &'static str)]| [&[FRAGMENT, ("if-match", "*")], token].concat();
        relay.request(method, &session, &headers(&[]), body).problem(401);
        relay.request(method, &session, &headers(&[STRANGER]), body).problem(401);
        let foreign = relay.request(method, &session, &headers(&[VIEWER]), body).problem(404);
        let unknown = relay.request(method, "/session/AAAAAAAAAAAAAAAAAAAAAA", &headers(&[VIEWER]), body).problem(404);
        assert_eq!(foreign, unknown, "a foreign session and an unknown one get the same answer");
    }
    assert_eq!(relay.request("DELETE", &session, &[PUBLISHER], "").status, 200);
}

#[test]
fn an_anonymous_viewer_cannot_end_the_publisher() {
    let relay = Relay::with(|config| {
        config.auth.publish_token = Some("pub-secret".to_owned());
        config.auth.public_watch = true;
    });
    let (session, _) = relay.publish("cam", &[PUBLISHER]);
    relay.request("DELETE", &session, &[], "").problem(401);
    let viewer = relay.request("POST", "/whep/cam", &[SDP], WHEP_OFFER).header("location").to_owned();
    assert_eq!(relay.request("DELETE", &viewer, &[], "").status, 200);
    assert_eq!(relay.request("GET", &session, &[PUBLISHER], "").status, 204);
}

#[test]
fn streams_sessions_and_metrics_are_for_the_administrator() {
    let relay = Relay::with(with_tokens);
    let session = relay.publish("secret-cam", &[PUBLISHER]).0.replace("/session/", "/api/sessions/");
    let paths = [("GET", "/api/streams"), ("GET", "/api/streams/secret-cam"), ("GET", "/metrics"), ("GET", &session)];
    for (method, path) in paths.into_iter().chain([("DELETE", session.as_str())]) {
        let none = relay.request(method, path, &[], "");
        none.problem(401);
        assert_eq!(none.header("www-authenticate"), "Bearer realm=\"sluice\"");
        relay.request(method, path, &[STRANGER], "").problem(401);
        for token in [PUBLISHER, VIEWER] {
            relay.request(method, path, &[token], "").problem(403);
        }
    }
    for (method, path) in paths {
        assert_eq!(relay.request(method, path, &[ADMIN], "").status, 200, "{path}");
    }
    assert!(relay.request("GET", "/api/streams", &[ADMIN], "").body.contains("secret-cam"));
    assert_eq!(relay.request("DELETE", &session, &[ADMIN], "").status, 204);
}

#[test]
fn without_an_admin_token_a_relay_with_other_tokens_cannot_be_administered() {
    let relay = Relay::with(|config| config.auth.publish_token = Some("pub-secret".to_owned()));
    for headers in [&[][..], &[PUBLISHER], &[STRANGER]] {
        for path in ["/metrics", "/api/streams"] {
            assert!(relay.request("GET", path, headers, "").problem(403).contains("admin-token"));
        }
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(relay.get(path).status, 200);
    }
}

#[test]
fn an_administrator_neither_publishes_nor_watches() {
    let relay = Relay::with(with_tokens);
    relay.request("POST", "/whip/cam", &[SDP, ADMIN], WHIP_OFFER).problem(403);
    relay.request("POST", "/whep/cam", &[SDP, ADMIN], WHEP_OFFER).problem(403);
    let (session, _) = relay.publish("cam", &[PUBLISHER]);
    relay.request("DELETE", &session, &[ADMIN], "").problem(404);
}

#[test]
fn a_preflight_needs_no_token() {
    let relay = Relay::with(with_tokens);
    let headers = [("origin", "https://a.example"), ("access-control-request-method", "POST")];
    for path in ["/whip/cam", "/whep/cam", "/session/AAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(relay.request("OPTIONS", path, &headers, "").status, 204);
    }
}
