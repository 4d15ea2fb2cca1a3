//! Players of other origins.

use sluice::http::Origins;

use crate::relay::{Relay, SDP, WHEP_OFFER};

const ORIGIN: (&str, &str) = ("origin", "https://player.example");

#[test]
fn options_lists_what_endpoints_and_sessions_accept() {
    let relay = Relay::start();
    for path in ["/whip/cam", "/whep/cam", "/session/AAAAAAAAAAAAAAAAAAAAAA"] {
        let reply = relay.request("OPTIONS", path, &[ORIGIN, ("access-control-request-method", "PATCH")], "");
        assert_eq!((reply.status, reply.body.as_str()), (204, ""));
        assert_eq!(reply.header("accept-post"), "application/sdp");
        assert_eq!(reply.header("accept-patch"), "application/trickle-ice-sdpfrag");
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        for method in ["POST", "PATCH", "DELETE", "OPTIONS"] {
            assert!(reply.header("access-control-allow-methods").contains(method));
        }
        for header in ["Authorization", "Content-Type", "If-Match"] {
            assert!(reply.header("access-control-allow-headers").contains(header));
        }
    }
    for (path, methods) in [
        ("/whip/cam", &["GET", "HEAD", "POST", "OPTIONS"][..]),
        ("/whep/cam", &["GET", "HEAD", "POST", "OPTIONS"]),
        ("/session/AAAAAAAAAAAAAAAAAAAAAA", &["GET", "HEAD", "PATCH", "DELETE", "OPTIONS"]),
        ("/", &["GET", "HEAD", "OPTIONS"]),
        ("/watch/cam", &["GET", "HEAD", "OPTIONS"]),
        ("/metrics", &["GET", "HEAD", "OPTIONS"]),
        ("/api/sessions/AAAAAAAAAAAAAAAAAAAAAA", &["GET", "HEAD", "DELETE", "OPTIONS"]),
    ] {
        let plain = relay.request("OPTIONS", path, &[], "");
        let mut allowed: Vec<&str> = plain.header("allow").split(',').map(str::trim).collect();
        let mut expected = methods.to_vec();
        allowed.sort_unstable();
        expected.sort_unstable();
        assert_eq!((plain.status, allowed), (204, expected), "{path}");
    }
    assert_eq!(relay.request("OPTIONS", "/whip/cam", &[], "").header("accept-post"), "application/sdp");
}

#[test]
fn any_page_may_read_answers_and_errors_and_never_with_credentials() {
    let relay = Relay::start();
    for body in [WHEP_OFFER, "nonsense"] {
        let reply = relay.request("POST", "/whep/cam", &[SDP, ORIGIN], body);
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        for name in ["Location", "ETag", "Link", "Accept-Patch", "Retry-After"] {
            assert!(reply.header("access-control-expose-headers").contains(name), "{reply:?}");
        }
        assert_eq!(reply.optional("access-control-allow-credentials"), None);
    }
}

#[test]
fn only_listed_origins_are_allowed_and_none_is_reflected() {
    let listed = vec!["https://player.example".to_owned(), "http://localhost:3000".to_owned()];
    let relay = Relay::with(|config| config.http.origins = Origins::Listed(listed));
    let reply = relay.request("POST", "/whep/cam", &[SDP, ORIGIN], WHEP_OFFER);
    assert_eq!(reply.header("access-control-allow-origin"), "https://player.example");
    assert_eq!(reply.header("vary"), "Origin");
    for origin in ["https://evil.example", "https://player.example.evil", "null", "http://player.example"] {
        let reply = relay.request("POST", "/whep/cam", &[SDP, ("origin", origin)], WHEP_OFFER);
        assert_eq!(reply.optional("access-control-allow-origin"), None, "{origin}");
        assert_eq!(reply.header("vary"), "Origin");
    }
}

#[test]
fn pages_and_metrics_are_for_their_own_origin() {
    let relay = Relay::start();
    for path in ["/", "/metrics", "/api/streams", "/watch/cam"] {
        let reply = relay.request("GET", path, &[ORIGIN], "");
        assert_eq!(reply.optional("access-control-allow-origin"), None, "{path}");
    }
}

/// As browsers and libraries send them: Chromium, Firefox, Safari, with tracing, with many headers on several lines,
/// with none, from a sandboxed frame, for a path that does not exist.
#[test]
fn preflights_of_every_shape_are_allowed_what_they_request() {
    let relay = Relay::start();
    let many = (0..30).map(|number| format!("x-header-{number}")).collect::<Vec<_>>().join(",");
    for (path, origin, method, headers) in [
        ("/whip/cam", "https://a.example", "POST", Some("authorization,content-type")),
        ("/whep/cam", "http://localhost:3000", "POST", Some("content-type")),
        ("/session/AAAAAAAAAAAAAAAAAAAAAA", "https://a.example", "PATCH", Some("content-type, if-match")),
        ("/session/AAAAAAAAAAAAAAAAAAAAAA", "https://a.example", "DELETE", None),
        ("/whep/cam", "https://a.example", "POST", Some("traceparent,tracestate,baggage,sentry-trace,x-b3-traceid")),
        ("/whep/cam", "https://a.example", "POST", Some(many.as_str())),
        ("/whep/cam", "null", "POST", Some("Content-Type")),
        ("/whep/", "https://a.example", "POST", Some("content-type,x-request-id")),
    ] {
        let mut asked = vec![("origin", origin), ("access-control-request-method", method)];
        asked.extend(headers.map(|headers| ("access-control-request-headers", headers)));
        let reply = relay.request("OPTIONS", path, &asked, "");
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (204, "*"), "{path}");
        assert!(reply.header("access-control-allow-methods").contains(method), "{reply:?}");
        let allowed = reply.header("access-control-allow-headers").to_ascii_lowercase();
        let allowed: Vec<&str> = allowed.split(", ").collect();
        for header in headers.iter().flat_map(|headers| headers.split(',')) {
            assert!(allowed.contains(&header.trim().to_ascii_lowercase().as_str()), "{header}: {allowed:?}");
        }
        assert_eq!(reply.optional("access-control-allow-credentials"), None);
    }
}

#[test]
fn a_page_that_is_not_listed_is_allowed_nothing() {
    let relay = Relay::with(|config| config.http.origins = Origins::Listed(vec!["https://a.example".to_owned()]));
    for path in ["/whip/cam", "/nothing"] {
        let asked = [("origin", "https://b.example"), ("access-control-request-method", "POST")];
        let reply =
            relay.request("OPTIONS", path, &[&asked[..], &[("access-control-request-headers", "x")]].concat(), "");
        for name in ["origin", "methods", "headers"] {
            assert_eq!(reply.optional(&format!("access-control-allow-{name}")), None, "{reply:?}");
        }
    }
}

#[test]
fn an_origin_is_the_same_with_its_default_port_and_a_wildcard_covers_its_subdomains() {
    let listed = ["https://a.example:443", "https://*.b.example", "http://C.example:8000"].map(str::to_owned);
    let relay = Relay::with(|config| config.http.origins = Origins::Listed(listed.to_vec()));
    for (origin, allowed) in [
        ("https://a.example", true),
        ("https://x.b.example", true),
        ("https://x.y.b.example", true),
        ("http://c.example:8000", true),
        ("http://a.example", false),
        ("https://a.example:8443", false),
        ("https://b.example", false),
        ("https://evil-b.example", false),
        ("https://x.b.example.evil", false),
        ("null", false),
    ] {
        let reply = relay.request("POST", "/whep/cam", &[SDP, ("origin", origin)], WHEP_OFFER);
        assert_eq!(reply.optional("access-control-allow-origin"), allowed.then_some(origin));
    }
}

#[test]
fn every_error_can_be_read_by_the_page_that_made_it() {
    let relay = Relay::with(|config| {
        config.auth.publish_token = Some("p".to_owned());
        config.auth.public_watch = true;
    });
    let large = "a=x\r\n".repeat(20_000);
    for (method, path, headers, body, status) in [
        ("POST", "/whep/cam", &[SDP][..], "nonsense", 400),
        ("POST", "/whip/cam", &[SDP], WHEP_OFFER, 401),
        ("POST", "/whep/", &[SDP], WHEP_OFFER, 404),
        ("POST", "/nothing/at/all", &[SDP], WHEP_OFFER, 404),
        ("DELETE", "/session/AAAAAAAAAAAAAAAAAAAAAA", &[], "", 404),
        ("PUT", "/whep/cam", &[SDP], WHEP_OFFER, 405),
        ("POST", "/session/AAAAAAAAAAAAAAAAAAAAAA", &[SDP], WHEP_OFFER, 405),
        ("POST", "/watch/cam", &[SDP], WHEP_OFFER, 405),
        ("POST", "/whep/cam", &[SDP, ("accept", "text/html")], WHEP_OFFER, 406),
        ("POST", "/whep/cam", &[SDP], &large, 413),
        ("POST", "/whep/cam", &[("content-type", "text/plain")], WHEP_OFFER, 415),
        ("POST", "/whep/cam", &[SDP, ("content-encoding", "gzip")], WHEP_OFFER, 415),
        ("POST", "/whep/cam", &[SDP], &WHEP_OFFER.replace("recvonly", "sendonly"), 422),
    ] {
        let reply = relay.request(method, path, &[headers, &[ORIGIN]].concat(), body);
        assert!(!reply.problem(status).is_empty());
        assert_eq!(reply.header("access-control-allow-origin"), "*", "{method} {path} {status}");
        assert!(status != 405 || reply.header("allow").contains("OPTIONS"), "{reply:?}");
    }
    // Operator endpoints reveal nothing to other pages, not even errors.
    for path in ["/api/streams", "/metrics"] {
        let reply = relay.request("GET", path, &[ORIGIN], "");
        assert_eq!((reply.status, reply.optional("access-control-allow-origin")), (403, None), "{path}");
    }
}
