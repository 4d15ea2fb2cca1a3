//! Players of other origins.

use sluice::http::Origins;

use crate::relay::{Relay, SDP, WHEP_OFFER};

const ORIGIN: (&str, &str) = ("origin", "https://player.example");

#[test]
fn options_says_what_endpoint_and_session_take() {
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
    let plain = relay.request("OPTIONS", "/whip/cam", &[], "");
    assert_eq!(plain.header("accept-post"), "application/sdp");
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
fn a_list_of_origins_is_kept_and_nothing_is_reflected() {
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
