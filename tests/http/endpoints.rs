//! `/whip/{stream}` and `/whep/{stream}`.

use std::time::{SystemTime, UNIX_EPOCH};

use sluice::http::IceServers;

use crate::relay::{Relay, SDP, WHEP_OFFER, WHIP_OFFER};

const BOTH: [(&str, &str); 2] = [("/whip/cam", WHIP_OFFER), ("/whep/cam", WHEP_OFFER)];

#[test]
fn an_offer_is_answered_with_a_session() {
    let relay = Relay::start();
    for (path, offer) in BOTH {
        let reply = relay.request("POST", path, &[SDP], offer);
        assert_eq!(reply.status, 201, "{reply:?}");
        assert_eq!(reply.header("content-type"), "application/sdp");
        assert!(reply.header("location").starts_with("/session/"), "OBS joins the path to the origin");
        let etag = reply.header("etag");
        assert!(etag.len() > 10 && etag.starts_with('"') && etag.ends_with('"'), "a strong entity tag: {etag}");
        assert_eq!(reply.header("accept-patch"), "application/trickle-ice-sdpfrag");
        assert!(reply.body.starts_with("v=0\r\n") && reply.body.contains("a=ice-lite"), "{}", reply.body);
    }
}

#[test]
fn clients_learn_of_stun_and_turn_servers_with_a_session_and_not_without() {
    let relay = Relay::with(|config| {
        let urls = ["stun:stun.example.org", "turns:turn.example.org:443?transport=tcp"].map(str::to_owned);
        config.http.ice_servers = IceServers::new(urls.into(), Some("hunter2".to_owned())).unwrap();
    });
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (path, offer) in BOTH {
        let reply = relay.request("POST", path, &[SDP], offer);
        let links: Vec<&str> = reply.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
        assert_eq!(links[0], "<stun:stun.example.org>; rel=\"ice-server\"");
        let rest = links[1].strip_prefix("<turns:turn.example.org:443?transport=tcp>; rel=\"ice-server\"; username=\"");
        let (until, rest) = rest.unwrap().split_once(":sluice\"; credential=\"").unwrap();
        let (credential, rest) = rest.split_once('"').unwrap();
        assert!((began + 86_400..began + 86_460).contains(&until.parse().unwrap()), "{until}: good for a day");
        assert!(credential.len() == 28 && rest == "; credential-type=\"password\"", "{links:?}");
        assert!(!format!("{reply:?}").contains("hunter2"));
    }
    let refused = relay.request("POST", "/whip/cam", &[SDP], "no offer");
    assert!(refused.status == 400 && refused.optional("link").is_none(), "{refused:?}");
    let without = Relay::with(|config| config.worker.turn = false);
    assert!(without.request("POST", "/whip/cam", &[SDP], WHIP_OFFER).optional("link").is_none());
}

#[test]
fn early_viewers_get_a_retry_after_if_they_may_not_wait() {
    let relay = Relay::with(|config| config.worker.refuse_early_viewers = true);
    let reply = relay.request("POST", "/whep/cam", &[SDP], WHEP_OFFER);
    assert!(reply.problem(409).contains("no publisher"));
    assert_eq!(reply.header("retry-after"), "2");
    relay.request("POST", "/whep/cam", &[SDP], "no offer").problem(400);
    assert_eq!(relay.request("POST", "/whip/cam", &[SDP], WHIP_OFFER).status, 201);
}

#[test]
fn the_answer_has_the_address_for_media() {
    let relay = Relay::start();
    let candidate = format!(" 127.0.0.1 {} typ host", relay.addresses.media.port());
    for (path, offer) in BOTH {
        let answer = relay.request("POST", path, &[SDP], offer).body;
        let first = answer.lines().find(|line| line.starts_with("a=candidate:")).unwrap();
        assert!(first.ends_with(&candidate), "{first}");
        assert!(answer.contains("a=end-of-candidates"));
    }
}

#[test]
fn every_session_has_a_name_and_a_tag_of_its_own() {
    let relay = Relay::start();
    let (first, second) = (relay.publish("cam", &[]), relay.publish("cam", &[]));
    assert_ne!(first.0, second.0);
    assert_ne!(first.1, second.1);
    assert_eq!(first.0.len(), "/session/".len() + 22, "128 random bits");
}

#[test]
fn get_and_head_find_an_endpoint_and_no_body() {
    let relay = Relay::start();
    for method in ["GET", "HEAD"] {
        for (path, _) in BOTH {
            let reply = relay.request(method, path, &[], "");
            assert!((200..300).contains(&reply.status) && reply.body.is_empty(), "{method} {path}: {reply:?}");
        }
    }
    let head = relay.request("HEAD", "/whep/cam", &[], "");
    assert_eq!((head.status, head.header("content-type")), (200, "application/sdp"));
}

#[test]
fn a_body_of_another_type_is_refused_with_the_type_to_use() {
    let relay = Relay::start();
    for (path, offer) in BOTH {
        for headers in [&[("content-type", "text/plain")][..], &[]] {
            let reply = relay.request("POST", path, headers, offer);
            assert!(reply.problem(415).contains("application/sdp"));
            assert_eq!(reply.header("accept"), "application/sdp");
        }
        let parameters = [("content-type", "Application/SDP; charset=utf-8")];
        assert_eq!(relay.request("POST", path, &parameters, offer).status, 201);
    }
}

#[test]
fn a_client_that_does_not_accept_sdp_is_refused() {
    let relay = Relay::start();
    for (path, offer) in BOTH {
        relay.request("POST", path, &[SDP, ("accept", "text/html")], offer).problem(406);
        for accept in ["*/*", "application/sdp", "application/*"] {
            assert_eq!(relay.request("POST", path, &[SDP, ("accept", accept)], offer).status, 201);
        }
    }
}

#[test]
fn a_body_that_is_no_offer_is_a_client_error_and_never_a_server_error() {
    let relay = Relay::start();
    let second_video = WHIP_OFFER.replace("m=audio", "m=video");
    for (path, offer) in BOTH {
        relay.request("POST", path, &[SDP], "hello").problem(400);
        let empty = relay.request("POST", path, &[SDP, ("content-length", "0")], "").problem(400);
        assert!(empty.contains("send an SDP offer"), "{empty}");
        for cut in (0..offer.len()).step_by(97).filter(|cut| offer.is_char_boundary(*cut)) {
            let reply = relay.request("POST", path, &[SDP], &offer[..cut]);
            assert!((200..500).contains(&reply.status), "cut at {cut}: {reply:?}");
        }
    }
    relay.request("POST", "/whip/cam", &[SDP], &second_video).problem(422);
    // The wrong direction: a viewer's offer at the publisher's endpoint, and the other way round.
    assert!((400..500).contains(&relay.request("POST", "/whip/cam", &[SDP], WHEP_OFFER).status));
    assert!((400..500).contains(&relay.request("POST", "/whep/cam", &[SDP], WHIP_OFFER).status));
}

#[test]
fn hostile_stream_names_are_refused() {
    let relay = Relay::start();
    let long = format!("/whip/{}", "x".repeat(65));
    for path in ["/whip/a%20b", "/whip/%3Cscript%3E", "/whip/a%0Ab", "/whip/%FF", "/whip/a%2Fb", "/whip/..%2F", &long] {
        let status = relay.request("POST", path, &[SDP], WHIP_OFFER).status;
        assert!(status == 400 || status == 404, "{path}: {status}");
    }
    for path in ["/whip/", "/whip", "/whep/a/b", "/nothing"] {
        relay.request("POST", path, &[SDP], WHIP_OFFER).problem(404);
    }
    let metrics = relay.get("/metrics").body;
    assert!(!metrics.contains("<script") && metrics.lines().all(|line| line.starts_with('#') || line.contains(' ')));
}

#[test]
fn other_methods_are_refused_with_those_that_are_allowed() {
    let relay = Relay::start();
    for method in ["PUT", "DELETE", "PATCH", "BREW"] {
        let reply = relay.request(method, "/whip/cam", &[], "");
        reply.problem(405);
        for allowed in ["POST", "OPTIONS", "GET", "HEAD"] {
            assert!(reply.header("allow").contains(allowed), "{reply:?}");
        }
    }
    let reply = relay.request("POST", "/metrics", &[SDP], "x");
    reply.problem(405);
    assert!(reply.header("allow").contains("GET"));
}

#[test]
fn the_list_of_streams_follows_sessions() {
    let relay = Relay::start();
    assert_eq!(relay.get("/api/streams").body, "[]");
    let (session, _) = relay.publish("cam", &[]);
    let list: serde_json::Value = serde_json::from_str(&relay.get("/api/streams").body).unwrap();
    assert_eq!((&list[0]["name"], &list[0]["live"], &list[0]["viewers"]), (&"cam".into(), &false.into(), &0.into()));
    assert_eq!(relay.request("DELETE", &session, &[], "").status, 200);
    assert_eq!(relay.get("/api/streams").body, "[]");
}

#[test]
fn standby_in_a_publishers_query_is_0_or_1() {
    let relay = Relay::start();
    for (query, status) in
        [("?standby=1", 201), ("?standby=0", 201), ("?other=x&standby=1", 201), ("?standby=yes", 400)]
    {
        let reply = relay.request("POST", &format!("/whip/cam{query}"), &[SDP], WHIP_OFFER);
        assert_eq!(reply.status, status, "{query}: {reply:?}");
    }
    assert_eq!(relay.request("POST", "/whep/cam?standby=yes", &[SDP], WHEP_OFFER).status, 201, "viewers do not");
}

/// For example the client of an SFU, which receives several publishers.
#[test]
fn a_viewer_may_offer_more_sections_than_a_stream_has() {
    let relay = Relay::start();
    let (head, sections) = WHEP_OFFER.split_once("\r\nm=").unwrap();
    let sections: Vec<&str> = sections.split("\r\nm=").collect();
    let all: Vec<&str> = sections.iter().cycle().take(8).copied().collect();
    let named = all.iter().enumerate().map(|(mid, section)| {
        let lines = section
            .lines()
            .map(|line| if line.starts_with("a=mid:") { format!("a=mid:{mid}") } else { line.to_owned() });
        lines.collect::<Vec<_>>().join("\r\n")
    });
    let head: Vec<&str> = head.lines().filter(|line| !line.starts_with("a=group:")).collect();
    let offer = format!(
        "{}\r\na=group:BUNDLE 0 1 2 3 4 5 6 7\r\nm={}\r\n",
        head.join("\r\n"),
        named.collect::<Vec<_>>().join("\r\nm=")
    );
    let answer = relay.request("POST", "/whep/cam", &[SDP], &offer);
    assert_eq!(answer.status, 201, "{answer:?}");
    let lines: Vec<&str> = answer.body.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!((lines.len(), lines.iter().filter(|line| line.contains(" 0 UDP/")).count()), (8, 8 - sections.len()));
    relay.request("POST", "/whep/cam", &[SDP], &(offer + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n")).problem(422);
}

#[test]
fn a_compressed_body_is_refused_with_the_coding_to_use() {
    let relay = Relay::start();
    for (path, offer) in BOTH {
        for coding in ["gzip", "br", "zstd", "identity, gzip"] {
            let reply = relay.request("POST", path, &[SDP, ("content-encoding", coding)], offer);
            assert!(reply.problem(415).contains("Content-Encoding"));
            assert_eq!(reply.header("accept-encoding"), "identity");
        }
        assert_eq!(relay.request("POST", path, &[SDP, ("content-encoding", "identity")], offer).status, 201);
    }
}

#[test]
fn the_refusal_names_what_a_client_sent_instead_of_sdp() {
    let relay = Relay::start();
    let (session, etag) = relay.publish("other", &[]);
    for (path, offer) in BOTH {
        let json = serde_json::json!({ "type": "offer", "sdp": offer }).to_string();
        for (body, part) in [
            (format!("\u{feff}{offer}"), "byte order mark"),
            (format!("{offer}\0"), "NUL byte"),
            (json.clone(), "JSON"),
            (serde_json::json!(offer).to_string(), "in quotes"),
            (offer.replace("\r\n", "\\r\\n"), "real line ends"),
            ("type=offer&sdp=v%3D0%0D%0Ao%3D-".to_owned(), "HTML form"),
            (String::new(), "empty"),
            (" \r\n".to_owned(), "empty"),
        ] {
            let headers = [SDP, ("content-length", &body.len().to_string())];
            let sentence = relay.request("POST", path, &headers, &body).problem(400);
            assert!(sentence.contains(part) && !sentence.contains('\\'), "{part}: {sentence}");
        }
        for (kind, part) in [
            ("application/json", "JSON"),
            ("application/x-www-form-urlencoded", "HTML form"),
            ("multipart/form-data; boundary=x", "HTML form"),
        ] {
            let reply = relay.request("POST", path, &[("content-type", kind)], &json);
            assert!(reply.problem(415).contains(part), "{reply:?}");
        }
        // The parser's own quotes are escaped once.
        let sentence = relay.request("POST", path, &[SDP], "v=0\r\no=\"\\\r\n").problem(400);
        assert!(!sentence.contains("\\\\\\") && sentence.contains("no valid SDP"), "{sentence}");
    }
    let patch = |body: &str| {
        let headers = [("content-type", "application/trickle-ice-sdpfrag"), ("if-match", etag.as_str())];
        relay.request("PATCH", &session, &headers, body).problem(400)
    };
    let candidate = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host";
    let json = serde_json::json!({ "candidate": candidate, "sdpMid": "0" }).to_string();
    assert!(patch(&json).contains("JSON"));
    assert!(patch(&format!("a={candidate}\r\n\0")).contains("NUL byte"));
    assert!(patch(&format!("\u{feff}a={candidate}\r\n")).contains("byte order mark"));
}
