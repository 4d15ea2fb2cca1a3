//! Web pages that let their own name point to an open relay (DNS rebinding), and requests that name no host.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use sluice::http::Origins;

use crate::relay::Relay;

/// The status of an answer to a request head, and the whole answer.
fn ask(relay: &Relay, head: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(relay.addresses.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

fn get(relay: &Relay, path: &str, headers: &str) -> u16 {
    ask(relay, &format!("GET {path} HTTP/1.1\r\n{headers}")).0
}

const SECRET: [&str; 3] = ["/api/streams", "/api/sessions", "/api/openapi.json"];

#[test]
fn an_open_relay_serves_its_api_only_under_names_that_no_stranger_can_own() {
    let relay = Relay::with(|config| config.http.allowed_hosts = vec!["relay.example.org".parse().unwrap()]);
    for path in SECRET {
        for host in [
            "127.0.0.1",
            "[::1]:8080",
            "localhost:8080",
            "LocalHost.",
            "a.localhost",
            "relay",
            "x.local:80",
            "relay.example.org",
        ] {
            assert_eq!(get(&relay, path, &format!("Host: {host}\r\n")), 200, "{path} {host}");
        }
        for host in ["evil.example", "EVIL.example.:8080", "127.0.0.1.evil.example", "relay.example.org.evil", ""] {
            let (status, answer) = ask(&relay, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n"));
            assert!(status == 403 && answer.contains("--allow-host"), "{path} {host}: {answer}");
        }
    }
    let id = "/api/sessions/AAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(ask(&relay, &format!("DELETE {id} HTTP/1.1\r\nHost: evil.example\r\n")).0, 403);
    assert_eq!(ask(&relay, &format!("DELETE {id} HTTP/1.1\r\nHost: localhost\r\n")).0, 404);
    assert_eq!(get(&relay, "http://evil.example/api/streams", "Host: localhost\r\n"), 403, "the target counts");
    assert_eq!(get(&relay, "http://localhost/api/streams", "Host: evil.example\r\n"), 200);
    // Prometheus scrapes under any name, health reveals nothing, and pages, WHIP and WHEP have their own rules.
    for path in ["/metrics", "/healthz", "/readyz", "/", "/watch/cam", "/whip/cam", "/whep/cam"] {
        assert!(get(&relay, path, "Host: evil.example\r\n") < 300, "{path}");
    }
}

#[test]
fn an_open_relay_does_not_serve_its_api_to_pages_of_other_origins() {
    let relay = Relay::with(|config| config.http.origins = Origins::Listed(vec!["https://player.example".to_owned()]));
    let ask = |origin: &str| get(&relay, "/api/streams", &format!("Host: localhost:8080\r\nOrigin: {origin}\r\n"));
    assert_eq!(ask("http://localhost:8080"), 200);
    for foreign in
        ["https://player.example", "http://localhost:3000", "http://evil.example", "null", "", "http://127.0.0.1:8080"]
    {
        assert_eq!(ask(foreign), 403, "{foreign}");
    }
    let two = "Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil.example\r\n";
    assert_eq!(get(&relay, "/api/streams", two), 403);
}

#[test]
fn an_open_relay_keeps_to_its_listed_origins_under_every_name() {
    let listed =
        || Relay::with(|config| config.http.origins = Origins::Listed(vec!["https://player.example".to_owned()]));
    let ask = |relay: &Relay, host: &str, origin: &str| {
        get(relay, "/whep/cam", &format!("Host: {host}\r\nOrigin: {origin}\r\n"))
    };
    let relay = listed();
    assert_eq!(ask(&relay, "anything.example", "https://player.example"), 200);
    assert_eq!(ask(&relay, "localhost:8080", "http://localhost:8080"), 200, "the relay's own page");
    assert_eq!(ask(&relay, "evil.example", "http://evil.example"), 403);
    assert_eq!(ask(&relay, "localhost", "http://evil.example"), 403);
    assert_eq!(get(&relay, "/whep/cam", "Host: anything.example\r\n"), 200, "what is no page has no origin");
    assert_eq!(
        ask(&Relay::start(), "evil.example", "http://evil.example"),
        200,
        "every page may watch unless origins are listed"
    );
}

#[test]
fn with_an_admin_token_any_host_name_works_and_listed_pages_may_read_the_api() {
    let relay = Relay::with(|config| {
        (config.auth.publish_token, config.auth.admin_token) = (Some("p".to_owned()), Some("a".to_owned()));
        config.http.origins = Origins::Listed(vec!["https://panel.example".to_owned()]);
    });
    let token = "Authorization: Bearer a\r\nHost: relay.example\r\n";
    assert_eq!(get(&relay, "/api/streams", token), 200);
    let (status, answer) =
        ask(&relay, &format!("GET /api/streams HTTP/1.1\r\n{token}Origin: https://panel.example\r\n"));
    assert!(status == 200 && answer.contains("access-control-allow-origin: https://panel.example\r\n"), "{answer}");
    let (status, answer) =
        ask(&relay, &format!("GET /api/streams HTTP/1.1\r\n{token}Origin: https://evil.example\r\n"));
    assert!(status == 200 && !answer.contains("access-control-allow-origin"), "{answer}");
    let preflight = "Host: relay.example\r\nAccess-Control-Request-Method: DELETE\r\nOrigin: https://panel.example\r\n";
    let (status, answer) = ask(&relay, &format!("OPTIONS /api/sessions/x HTTP/1.1\r\n{preflight}"));
    assert!(
        status == 204 && answer.contains("access-control-allow-methods: ") && answer.contains("DELETE"),
        "{answer}"
    );
    let any = Relay::with(|config| {
        (config.auth.publish_token, config.auth.admin_token) = (Some("p".to_owned()), Some("a".to_owned()));
    });
    let (_, answer) = ask(&any, &format!("GET /api/streams HTTP/1.1\r\n{token}Origin: https://panel.example\r\n"));
    assert!(!answer.contains("access-control-allow-origin"), "never for all: {answer}");
}

#[test]
fn a_request_names_its_host_once() {
    let relay = Relay::start();
    for headers in [
        "",
        "Host: a\r\nHost: b\r\n",
        "Host: a b\r\n",
        "Host: user@a\r\n",
        "Host: a:b\r\n",
        "Host: [::1\r\n",
        "Host: \u{e4}\r\n",
    ] {
        for path in ["/healthz", "/api/streams", "/whep/cam"] {
            let (status, answer) = ask(&relay, &format!("GET {path} HTTP/1.1\r\n{headers}"));
            assert!(status == 400 && answer.contains("Host header"), "{path} {headers}: {answer}");
        }
    }
    // HTTP/1.0 needs none, and has no name then.
    assert_eq!(ask(&relay, "GET /healthz HTTP/1.0\r\n").0, 200);
    assert_eq!(ask(&relay, "GET /whep/cam HTTP/1.0\r\n").0, 200);
    assert_eq!(ask(&relay, "GET /api/streams HTTP/1.0\r\n").0, 403);
    assert_eq!(ask(&relay, "GET /api/streams HTTP/1.0\r\nHost: localhost\r\n").0, 200);
    assert_eq!(get(&relay, "http://a/healthz", ""), 200, "the target has it");
}
