//! A relay behind a proxy: which address it takes for its client's.

use std::num::NonZeroU32;

use sluice::http::Limit;

use crate::relay::{FRAGMENT, Relay, SDP, WHEP_OFFER, WHIP_OFFER};

const CREDENTIALS: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n";

/// A relay that limits each client to two requests, and trusts these proxies.
fn behind(trusted: &[&str]) -> Relay {
    Relay::with(|config| {
        config.http.trusted_proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let [per_second, burst] = [1, 2].map(|number| NonZeroU32::new(number).unwrap());
        config.http.limit = Some(Limit { per_second, burst, loopback: false });
    })
}

fn post(relay: &Relay, forwarded_for: &str) -> u16 {
    relay.request("POST", "/whip/cam", &[SDP, ("x-forwarded-for", forwarded_for)], "no offer").status
}

#[test]
fn each_client_of_a_trusted_proxy_has_a_limit_of_its_own() {
    let relay = behind(&["127.0.0.0/8"]);
    assert_eq!([(); 3].map(|()| post(&relay, "203.0.113.7")), [400, 400, 429]);
    assert_eq!(post(&relay, "203.0.113.8"), 400, "another client is not held back");
    // The proxy appends its client's address to whatever the client wrote itself.
    for invented in ["192.0.2.1, 203.0.113.7", "127.0.0.1,203.0.113.7", "203.0.113.8, 203.0.113.7", "<>, 203.0.113.7"] {
        assert_eq!(post(&relay, invented), 429, "{invented}");
    }
}

#[test]
fn a_proxy_that_is_not_configured_is_not_trusted() {
    let relay = behind(&["198.51.100.0/24"]);
    // All of these are one client: a proxy on this machine, which is not exempt as this machine itself is.
    assert_eq!(["203.0.113.7", "203.0.113.8", "unknown"].map(|client| post(&relay, client)), [400, 400, 429]);
    assert!((0..20).all(|_| relay.request("POST", "/whip/cam", &[SDP], "no offer").status == 400));
}

#[test]
fn clients_that_a_trusted_proxy_names_unreadably_share_one_limit() {
    let shapes =
        ["unknown", "", ",", "203.0.113.7,", "127.0.0.1", "::1", "_hidden", "[203.0.113.7", "203.0.113.7:x", "0.0.0.0"];
    let relay = behind(&["127.0.0.0/8"]);
    let statuses: Vec<u16> = shapes.iter().map(|shape| post(&relay, shape)).collect();
    assert_eq!(statuses, [[400; 2].as_slice(), &[429; 8]].concat());
    assert_eq!(post(&relay, "203.0.113.7"), 400, "a named client has its own limit");
    assert_eq!(post(&relay, &"10.0.0.1,".repeat(1000)), 429);
    assert!((0..20).all(|_| relay.request("POST", "/whip/cam", &[SDP], "no offer").status == 400), "the proxy itself");
}

#[test]
fn a_trusted_proxy_names_its_client_in_the_header_that_it_sets() {
    for (header, one, same, other) in [
        ("forwarded", "for=203.0.113.7;proto=https", "For=\"203.0.113.7:99\"", "for=203.0.113.8"),
        ("forwarded", "for=\"[2001:db8::1]\"", "for=\"[2001:db8::2]:99\"", "for=\"[2001:db8:0:1::1]\""),
        ("x-real-ip", "203.0.113.7", "::ffff:203.0.113.7", "203.0.113.8"),
        ("x-forwarded-for", "203.0.113.7", "203.0.113.7:99", "203.0.113.8"),
    ] {
        let relay = behind(&["127.0.0.0/8"]);
        let post = |value: &str| relay.request("POST", "/whip/cam", &[SDP, (header, value)], "no offer").status;
        assert_eq!([one, same, one].map(post), [400, 400, 429], "{header}");
        assert_eq!(post(other), 400, "{header}: {other}");
    }
}

/// The addresses of the candidates in an answer.
fn addresses(answer: &str) -> Vec<String> {
    let lines = answer.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
    let lines = lines.filter(|line| line.contains(" udp "));
    let mut addresses: Vec<String> = lines.map(|line| line.split(' ').nth(4).unwrap().to_owned()).collect();
    addresses.dedup();
    addresses
}

#[test]
fn a_client_behind_a_proxy_on_this_machine_gets_no_loopback_candidate() {
    let relay = Relay::with(|config| {
        config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.worker.media = "0.0.0.0:0".parse().unwrap();
        config.worker.advertise = vec!["203.0.113.9".parse().unwrap()];
    });
    let candidates = |headers: &[(&str, &str)]| {
        let reply = relay.request("POST", "/whip/cam", &[&[SDP], headers].concat(), WHIP_OFFER);
        assert_eq!(reply.status, 201, "{reply:?}");
        let asks = [&[FRAGMENT, ("if-match", "*")], headers].concat();
        let restarted = relay.request("PATCH", reply.header("location"), &asks, CREDENTIALS);
        assert_eq!(addresses(&restarted.body), addresses(&reply.body), "a restart has the same candidates");
        addresses(&reply.body)
    };
    assert_eq!(candidates(&[]), ["203.0.113.9", "127.0.0.1"]);
    assert_eq!(candidates(&[("x-forwarded-for", "198.51.100.1")]), ["203.0.113.9"]);
}

#[test]
fn a_client_that_is_named_unreadably_has_a_session_limit_and_gets_no_loopback_candidate() {
    let relay = Relay::with(|config| {
        config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.worker.media = "0.0.0.0:0".parse().unwrap();
        config.worker.advertise = vec!["203.0.113.9".parse().unwrap()];
        config.worker.quota.sessions_per_address = 2;
    });
    let ask = |headers: &[(&str, &str)]| relay.request("POST", "/whep/cam", &[&[SDP], headers].concat(), WHEP_OFFER);
    let shapes = [
        [("x-forwarded-for", "9.9.9.9"), ("x-real-ip", "8.8.8.8")].as_slice(),
        &[("x-forwarded-for", "9.9.9.9"), ("forwarded", "for=_x")],
        &[("x-forwarded-for", "127.0.0.1")],
        &[("x-forwarded-for", "")],
    ];
    let replies = shapes.map(ask);
    assert_eq!(replies.each_ref().map(|reply| reply.status), [201, 201, 429, 429]);
    assert_eq!(addresses(&replies[0].body), ["203.0.113.9"]);
    assert_eq!([(); 3].map(|()| ask(&[("x-forwarded-for", "9.9.9.9")]).status), [201, 201, 429], "a named client");
    assert!((0..5).all(|_| ask(&[]).status == 201), "the proxy itself");
}

#[test]
fn clients_of_an_untrusted_proxy_on_this_machine_do_not_count_as_this_machine() {
    let relay = Relay::with(|config| config.worker.quota.sessions_per_address = 1);
    let ask =
        |headers: &[(&str, &str)]| relay.request("POST", "/whep/cam", &[&[SDP], headers].concat(), WHEP_OFFER).status;
    let named = ["9.9.9.9", "9.9.9.8"].map(|client| ask(&[("x-forwarded-for", client)]));
    assert_eq!((named, ask(&[])), ([201, 429], 201));
}

#[test]
fn clients_that_are_named_only_in_ignored_headers_share_one_limit() {
    let relay = Relay::with(|config| {
        config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.http.client_headers = vec!["x-real-ip".parse().unwrap()];
        let [per_second, burst] = [1, 2].map(|number| NonZeroU32::new(number).unwrap());
        config.http.limit = Some(Limit { per_second, burst, loopback: false });
        config.worker.quota.sessions_per_address = 1;
    });
    let post = |header, client| relay.request("POST", "/whip/cam", &[SDP, (header, client)], "no offer").status;
    let unread = [("x-forwarded-for", "9.9.9.9"), ("forwarded", "for=9.9.9.8"), ("x-forwarded-for", "9.9.9.7")];
    assert_eq!(unread.map(|(header, client)| post(header, client)), [400, 400, 429]);
    assert_eq!(post("x-real-ip", "9.9.9.9"), 400, "a named client has its own limit");
    assert!((0..20).all(|_| relay.request("POST", "/whip/cam", &[SDP], "no offer").status == 400), "the proxy itself");
}
