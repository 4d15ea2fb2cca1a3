//! A relay that a proxy serves below a path: every path in its answers begins with that path.

use sluice::http::BasePath;

use crate::relay::{FRAGMENT, Relay, SDP, WHEP_OFFER, WHIP_OFFER, request};

const CREDENTIALS: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n";

fn trusting(base_path: &str) -> Relay {
    Relay::with(|config| {
        config.http.base_path = base_path.parse::<BasePath>().unwrap();
        config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
}

/// The paths that a page links to and loads.
fn links(page: &str) -> Vec<&str> {
    page.split("=\"/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn with_a_base_path_a_session_is_created_changed_and_ended_below_it() {
    let relay = trusting("/media/relay");
    for endpoint in ["/media/relay/whip/cam", "/whip/cam"] {
        let made = relay.request("POST", endpoint, &[SDP], WHIP_OFFER);
        assert_eq!(made.status, 201, "a proxy may remove the path or leave it");
        let location = made.header("location").to_owned();
        assert!(location.starts_with("/media/relay/session/"), "{location}");
        let restarted = relay.request("PATCH", &location, &[FRAGMENT, ("if-match", "*")], CREDENTIALS);
        assert_eq!(restarted.status, 200, "{restarted:?}");
        assert_eq!(relay.request("DELETE", &location, &[], "").status, 200);
    }
    assert_eq!(relay.request("POST", "/media/relay/whep/cam?a=b", &[SDP], WHEP_OFFER).status, 201);
    for path in ["/media/relay", "/media/relay/", "/", "/media/relay/healthz", "/healthz", "/media/relay/api/streams"] {
        assert_eq!(relay.get(path).status, 200, "{path}");
    }
    for path in ["/media", "/media/relays", "/media/relay/media/relay/", "/media/relayhealthz"] {
        relay.get(path).problem(404);
    }
}

#[test]
fn the_admin_address_has_the_base_path_too() {
    let relay = Relay::with(|config| {
        config.http.base_path = "/relay".parse().unwrap();
        config.http.admin = Some("127.0.0.1:0".parse().unwrap());
    });
    let admin = relay.addresses.admin.unwrap();
    for path in ["/relay/metrics", "/metrics", "/relay/api/streams"] {
        assert_eq!(request(&format!("http://{admin}{path}"), "GET", &[], "").status, 200, "{path}");
    }
}

#[test]
fn the_prefix_that_a_trusted_proxy_removed_is_restored() {
    for base_path in ["/", "/other"] {
        let relay = trusting(base_path);
        for (prefix, location) in
            [("/relay", "/relay/session/"), ("/a/b/", "/a/b/session/"), ("/watch", "/watch/session/")]
        {
            let made = relay.request("POST", "/whep/cam", &[SDP, ("x-forwarded-prefix", prefix)], WHEP_OFFER);
            assert!(made.header("location").starts_with(location), "{made:?}");
            let page = relay.request("GET", "/watch/cam", &[("x-forwarded-prefix", prefix)], "").body;
            let expected = prefix[1..].trim_end_matches('/').to_owned() + "/";
            assert!(links(&page).len() > 10 && links(&page).iter().all(|link| link.starts_with(&expected)), "{page}");
        }
    }
}

#[test]
fn a_prefix_that_is_no_path_or_comes_from_an_untrusted_client_is_ignored() {
    let location = |relay: &Relay, prefix: &str| {
        let made = relay.request("POST", "/whep/cam", &[SDP, ("x-forwarded-prefix", prefix)], WHEP_OFFER);
        assert_eq!(made.status, 201, "{made:?}");
        made.header("location").to_owned()
    };
    let long = format!("/{}", "a".repeat(300));
    let relay = trusting("/");
    for wrong in
        ["//evil.example", "https://evil.example", "/../x", "/a?b", "/a\"b", "/<script>", "relay", "/a,/b", &long]
    {
        assert!(location(&relay, wrong).starts_with("/session/"), "{wrong}");
        let page = relay.request("GET", "/", &[("x-forwarded-prefix", wrong)], "").body;
        assert!(links(&page).contains(&"assets/index.js") && !page.contains("evil"), "{page}");
    }
    let stranger = Relay::start();
    assert!(location(&stranger, "/relay").starts_with("/session/"), "only configured proxies are trusted");
}

#[test]
fn pages_and_problems_load_below_the_base_path() {
    let relay = trusting("/relay");
    for path in
        ["/", "/relay", "/relay/", "/relay/publish/cam", "/relay/watch/cam", "/watch/cam", "/relay/nothing/here"]
    {
        let page = relay.request("GET", path, &[("accept", "text/html")], "").body;
        assert!(!links(&page).is_empty(), "{page}");
        for link in links(&page) {
            assert!(link.starts_with("relay/"), "{path}: {link}");
            assert!(relay.get(&format!("/{link}")).status == 200, "{link}");
        }
    }
    let plain = Relay::start().get("/watch/cam").body;
    assert!(links(&plain).contains(&"assets/watch.js"), "{plain}");
}

#[test]
fn the_openapi_document_names_the_base_path_as_its_server() {
    let server = |relay: &Relay, headers: &[(&str, &str)]| {
        let document = relay.request("GET", "/api/openapi.json", headers, "").body;
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        document["servers"][0]["url"].as_str().unwrap().to_owned()
    };
    assert_eq!(server(&Relay::start(), &[]), "/");
    let relay = trusting("/relay");
    assert_eq!(server(&relay, &[]), "/relay");
    assert_eq!(server(&relay, &[("x-forwarded-prefix", "/other")]), "/other");
}
