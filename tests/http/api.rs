//! `/api`: streams and sessions as JSON.

use serde_json::Value;

use crate::relay::{Relay, Reply, SDP, WHEP_OFFER};

fn json(reply: &Reply) -> Value {
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"), "{reply:?}");
    serde_json::from_str(&reply.body).unwrap()
}

fn id_of(location: &str) -> &str {
    location.rsplit('/').next().unwrap()
}

#[test]
fn a_session_is_shown_from_its_offer_to_after_its_end() {
    let relay = Relay::start();
    let (location, _) = relay.publish("cam", &[("user-agent", "test/1")]);
    let path = format!("/api/sessions/{}", id_of(&location));
    let session = json(&relay.get(&path));
    assert_eq!(session["id"], id_of(&location));
    assert_eq!((&session["role"], &session["stream"]), (&"publisher".into(), &"cam".into()));
    assert_eq!((&session["state"], &session["user_agent"]), (&"waiting".into(), &"test/1".into()));
    assert!(session["since_seconds"].as_f64().is_some_and(|seconds| seconds < 60.0));
    assert_eq!(session["tracks"], Value::Array(Vec::new()));
    assert!(session["offered"]["codecs"].as_array().unwrap().contains(&"H264".into()), "{session}");
    assert_eq!(session["stun"]["checks"], 0);
    assert_eq!(session["client_address"], "127.0.0.1");
    assert_eq!(session["told_addresses"][0], relay.addresses.media.to_string());
    assert_eq!(relay.request("DELETE", &location, &[], "").status, 200);
    let session = json(&relay.get(&path));
    assert_eq!((&session["state"], &session["ended"]["reason"]), (&"ended".into(), &"abandoned".into()));
    assert!(session["ended"]["seconds_ago"].as_f64().is_some_and(|seconds| seconds < 60.0));
}

#[test]
fn the_node_names_its_addresses_for_media_and_what_looks_wrong() {
    let relay = Relay::start();
    let node = json(&relay.get("/api/node"));
    assert_eq!(node["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(node["media_addresses"][0], relay.addresses.media.to_string());
    let said = node["self_check"].to_string();
    assert!(said.contains("sluice check-reachability URL") && said.contains("addresses are private"), "{said}");
}

#[test]
fn a_session_that_did_not_connect_is_explained_with_the_addresses_that_it_was_given() {
    let relay = Relay::with(|config| config.http.media = Some(true));
    let (session, _) = relay.publish("cam", &[]);
    let path = session.replace("/session/", "/api/sessions/");
    let explanation = || json(&relay.get(&path))["explanation"].as_str().map(str::to_owned);
    assert_eq!(explanation(), None, "it is too young to tell");
    let began = std::time::Instant::now();
    let sentence = loop {
        if let Some(sentence) = explanation() {
            break sentence;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(30));
        std::thread::yield_now();
    };
    let (media, http) = (relay.addresses.media, relay.addresses.http);
    for part in ["no valid check".to_owned(), format!("{media} by UDP, and {media}, {http} by TCP")] {
        assert!(sentence.contains(&part), "{part}: {sentence}");
    }
    let said = json(&relay.get("/api/node"))["self_check"].to_string();
    assert!(said.contains(&format!("then {http} by TCP (the port of HTTP)")), "{said}");
}

#[test]
fn all_sessions_are_listed_the_newest_first_and_those_that_ended_with_their_reason() {
    let relay = Relay::start();
    assert_eq!(json(&relay.get("/api/sessions")), Value::Array(Vec::new()));
    let locations = ["one", "two", "three"].map(|stream| relay.publish(stream, &[]).0);
    assert_eq!(relay.request("DELETE", &locations[1], &[], "").status, 200);
    let list = json(&relay.get("/api/sessions"));
    let shown: Vec<_> = list.as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap()).collect();
    let expected: Vec<_> = locations.iter().rev().map(|location| id_of(location)).collect();
    assert_eq!(shown, expected);
    assert_eq!((&list[0]["state"], &list[1]["ended"]["reason"]), (&"waiting".into(), &"abandoned".into()));
}

#[test]
fn a_stream_is_shown_with_its_sessions_the_publisher_first() {
    let relay = Relay::start();
    assert_eq!(relay.request("POST", "/whep/cam", &[SDP], WHEP_OFFER).status, 201);
    assert_eq!(relay.request("POST", "/whep/other", &[SDP], WHEP_OFFER).status, 201);
    relay.publish("cam", &[]);
    let stream = json(&relay.get("/api/streams/cam"));
    assert_eq!((&stream["name"], &stream["live"], &stream["viewers"]), (&"cam".into(), &false.into(), &0.into()));
    let sessions = stream["sessions"].as_array().unwrap();
    let roles: Vec<_> = sessions.iter().map(|session| session["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["publisher", "viewer"]);
    assert!(sessions.iter().all(|session| session["stream"] == "cam"));
}

#[test]
fn unknown_names_and_ids_are_not_found_and_a_malformed_name_is_refused() {
    let relay = Relay::start();
    relay.get("/api/streams/cam").problem(404);
    relay.get("/api/streams/a%20b").problem(400);
    for id in ["AAAAAAAAAAAAAAAAAAAAAA", "x", "%FF"] {
        relay.get(&format!("/api/sessions/{id}")).problem(404);
    }
}

#[test]
fn a_kicked_session_ends_at_once_and_its_record_says_so() {
    let relay = Relay::start();
    let viewer = relay.request("POST", "/whep/cam", &[SDP], WHEP_OFFER).header("location").to_owned();
    for session in [relay.publish("cam", &[]).0, viewer] {
        let path = format!("/api/sessions/{}", id_of(&session));
        let kicked = relay.request("DELETE", &path, &[], "");
        assert_eq!((kicked.status, kicked.body.as_str()), (204, ""));
        relay.get(&session).problem(404);
        relay.request("DELETE", &path, &[], "").problem(404);
        assert_eq!(json(&relay.get(&path))["ended"]["reason"], "kicked");
    }
    assert!(relay.get("/metrics").body.contains("sluice_session_ends_total{reason=\"kicked\",role=\"viewer\"} 1"));
    relay.request("DELETE", "/api/sessions/AAAAAAAAAAAAAAAAAAAAAA", &[], "").problem(404);
}
