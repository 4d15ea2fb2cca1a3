//! `/session/{id}`: candidates, restarts, the end.

use crate::relay::{FRAGMENT, Relay, SDP, WHEP_OFFER};

const CANDIDATE: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n\
                         a=mid:0\r\na=candidate:1 1 udp 2130706431 10.0.0.9 5000 typ host\r\na=end-of-candidates\r\n";

#[test]
fn a_session_lives_until_it_is_deleted() {
    let relay = Relay::start();
    let (session, etag) = relay.publish("cam", &[]);
    for method in ["GET", "HEAD"] {
        let reply = relay.request(method, &session, &[], "");
        assert_eq!((reply.status, reply.body.as_str(), reply.header("etag")), (204, "", etag.as_str()));
    }
    // DELETE ignores entity tags.
    let reply = relay.request("DELETE", &session, &[("if-match", "\"old\"")], "");
    assert_eq!(reply.status, 200, "exactly 200: OBS accepts no other status");
    assert_eq!(reply.body, "{}", "it is too young for an explanation");
    for method in ["DELETE", "GET"] {
        relay.request(method, &session, &[], "").problem(404);
    }
    relay.request("PATCH", &session, &[FRAGMENT, ("if-match", &etag)], CANDIDATE).problem(404);
}

#[test]
fn an_unknown_session_is_not_found() {
    let relay = Relay::start();
    for path in ["/session/AAAAAAAAAAAAAAAAAAAAAA", "/session/x", "/session/%FF", "/session/a%2Fb"] {
        for method in ["GET", "DELETE", "PATCH"] {
            relay.request(method, path, &[FRAGMENT, ("if-match", "*")], "").problem(404);
        }
    }
    relay.get("/session/").problem(404);
}

#[test]
fn candidates_are_accepted_with_an_empty_answer() {
    let relay = Relay::start();
    let (session, etag) = relay.publish("cam", &[]);
    let unresolvable = CANDIDATE.replace("10.0.0.9", "6c1f0cdd-9f4e-4b9a-a5c7-8d5a2f9f2f1e.local");
    let tcp = CANDIDATE.replace(" udp ", " tcp ");
    for fragment in [CANDIDATE, &unresolvable, &tcp] {
        let reply = relay.request("PATCH", &session, &[FRAGMENT, ("if-match", &etag)], fragment);
        assert_eq!((reply.status, reply.body.as_str(), reply.optional("etag")), (204, "", None), "{reply:?}");
    }
}

#[test]
fn a_patch_must_be_a_fragment_for_the_current_ice_session() {
    let relay = Relay::start();
    let (session, etag) = relay.publish("cam", &[]);
    let reply = relay.request("PATCH", &session, &[SDP, ("if-match", &etag)], CANDIDATE);
    assert!(reply.problem(415).contains("application/trickle-ice-sdpfrag"));
    relay.request("PATCH", &session, &[FRAGMENT], CANDIDATE).problem(428);
    relay.request("PATCH", &session, &[FRAGMENT, ("if-match", "\"old\"")], CANDIDATE).problem(412);
    let weak = format!("W/{etag}");
    let sentence = relay.request("PATCH", &session, &[FRAGMENT, ("if-match", &weak)], CANDIDATE).problem(412);
    assert!(sentence.contains("weak entity tag") && sentence.contains("without W/"), "{sentence}");
    for nonsense in ["hello", "", "a=candidate", "\r\n\r\n"] {
        let reply = relay.request("PATCH", &session, &[FRAGMENT, ("if-match", &etag)], nonsense);
        assert!(reply.status == 400 || nonsense == "a=candidate", "{nonsense:?}: {reply:?}");
    }
    assert_eq!(relay.get(&session).status, 204, "the session goes on");
}

#[test]
fn a_restart_gives_new_credentials_and_a_new_tag() {
    let relay = Relay::start();
    let answer = relay.request("POST", "/whep/cam", &[SDP], WHEP_OFFER);
    let (session, old) = (answer.header("location").to_owned(), answer.header("etag").to_owned());
    for any in ["*", "\"*\""] {
        let reply = relay.request("PATCH", &session, &[FRAGMENT, ("if-match", any)], CANDIDATE);
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("content-type"), "application/trickle-ice-sdpfrag");
        assert_ne!(reply.header("etag"), old);
        for line in ["a=ice-ufrag:", "a=ice-pwd:", "a=candidate:", "a=end-of-candidates"] {
            assert!(reply.body.contains(line), "{}", reply.body);
        }
        let ufrag = reply.body.lines().find(|line| line.starts_with("a=ice-ufrag:")).unwrap();
        assert!(!answer.body.contains(ufrag), "the credentials are new");
        relay.request("PATCH", &session, &[FRAGMENT, ("if-match", &old)], CANDIDATE).problem(412);
        let newest = reply.header("etag").to_owned();
        assert_eq!(relay.request("PATCH", &session, &[FRAGMENT, ("if-match", &newest)], CANDIDATE).status, 204);
    }
}

#[test]
fn a_failed_restart_leaves_the_session_running() {
    let relay = Relay::start();
    let (session, etag) = relay.publish("cam", &[]);
    let lone = "a=candidate:1 1 udp 2130706431 10.0.0.9 5000 typ host\r\n";
    relay.request("PATCH", &session, &[FRAGMENT, ("if-match", "*")], lone).problem(400);
    let short = CANDIDATE.replace("0123456789012345678901", "short");
    relay.request("PATCH", &session, &[FRAGMENT, ("if-match", "*")], &short).problem(400);
    assert_eq!(relay.get(&session).header("etag"), etag);
}

#[test]
fn other_methods_on_a_session_are_refused() {
    let relay = Relay::start();
    let (session, _) = relay.publish("cam", &[]);
    let reply = relay.request("POST", &session, &[SDP], "x");
    reply.problem(405);
    for allowed in ["PATCH", "DELETE", "GET", "HEAD", "OPTIONS"] {
        assert!(reply.header("allow").contains(allowed), "{reply:?}");
    }
}

/// As browsers, Pion, libdatachannel, GStreamer and OBS send them, and as people write them by hand.
#[test]
fn fragments_of_every_shape_are_accepted() {
    const MEDIA: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n";
    const CREDENTIALS: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n";
    const HOST: &str = "a=candidate:1 1 udp 2130706431 10.0.0.9 5000 typ host\r\n";
    const END: &str = "a=end-of-candidates\r\n";
    let relay = Relay::start();
    let (session, etag) = relay.publish("cam", &[]);
    let bare = etag.trim_matches('"');
    for (shape, fragment) in [
        ("the example of RFC 9725", format!("a=group:BUNDLE 0 1\r\n{MEDIA}{CREDENTIALS}{HOST}{END}")),
        ("credentials above the section", format!("{CREDENTIALS}{MEDIA}{HOST}")),
        ("a candidate alone", HOST.to_owned()),
        ("the end alone", END.to_owned()),
        ("credentials and nothing new", CREDENTIALS.to_owned()),
        ("line feeds alone", format!("{CREDENTIALS}{MEDIA}{HOST}{END}").replace("\r\n", "\n")),
        ("no end of the last line", format!("{MEDIA}{HOST}{END}").trim_end().to_owned()),
        ("a name for an address", HOST.replace("10.0.0.9", "6c1f0cdd-9f4e-4b9a-a5c7-8d5a2f9f2f1e.local")),
        ("IPv6", HOST.replace("10.0.0.9", "2001:db8::9")),
        ("TCP", HOST.replace(" udp ", " tcp ").replace("typ host", "typ host tcptype active")),
        ("a reflexive one", HOST.replace("typ host", "typ srflx raddr 10.0.0.9 rport 5000")),
        (
            "a relayed one with more words",
            HOST.replace("typ host", "typ relay raddr 0.0.0.0 rport 0 generation 0 ufrag abcd network-cost 999"),
        ),
        (
            "two sections",
            format!("{MEDIA}{CREDENTIALS}{HOST}m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n{CREDENTIALS}{HOST}{END}"),
        ),
        ("blank lines between", format!("\r\n{MEDIA}\r\n{HOST}\r\n")),
    ] {
        for tag in [etag.as_str(), bare] {
            let reply = relay.request("PATCH", &session, &[FRAGMENT, ("if-match", tag)], &fragment);
            assert_eq!((reply.status, reply.body.as_str()), (204, ""), "{shape}");
        }
    }
    assert_eq!(relay.get(&session).header("etag"), etag, "none of them restarts ICE");
}
