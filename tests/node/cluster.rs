//! Two relays and a NATS server as processes: what nodes know of each other, whose publisher has a stream, and that media
//! does not depend on the directory.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::binary::{OFFER, PATIENCE, Running, agent, relay, signal, sluice};
use crate::nats_server::NatsServer;

/// A node of the cluster with this directory.
fn node(server: &NatsServer, arguments: &[&str]) -> Running {
    let node = Running::start(&mut relay(&[&["--cluster", &server.url()], arguments].concat()));
    until("it is connected", || state(&node) == "connected");
    node
}

/// A publisher and one viewer of a stream on a node, until they are dropped. Their token is `publish`, where one is needed.
pub(crate) struct Published(Child);

impl Published {
    pub(crate) fn on(node: &Running, stream: &str) -> Self {
        let (whip, whep) = (format!("{}/whip/{stream}", node.origin), format!("{}/whep/{stream}", node.origin));
        let arguments = ["load", "--seconds", "600", "--viewers", "1", "--token", "publish"];
        let mut load = sluice(&[&arguments[..], &["--whip", &whip, "--whep", &whep]].concat());
        Self(load.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Published {
    /// It sends nothing from now on, and closes nothing.
    pub(crate) fn hang(&self) {
        signal(&self.0, "STOP");
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn json(node: &Running, path: &str) -> Vec<Value> {
    let (status, text) = node.get(path);
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// The entries of a stream in the list of the cluster.
fn entries(node: &Running, stream: &str) -> Vec<Value> {
    let mut list = json(node, "/api/streams?scope=cluster");
    list.retain(|entry| entry["name"] == stream);
    list
}

/// Whether a node lists a stream once, live, on itself or elsewhere, and claimed or not.
fn lists(node: &Running, stream: &str, here: bool, claimed: bool) -> bool {
    let entries = entries(node, stream);
    entries.len() == 1 && entries[0]["live"] == true && entries[0]["here"] == here && entries[0]["claimed"] == claimed
}

/// Ends the publisher of a stream, as an operator does.
fn end_publisher(node: &Running, stream: &str) {
    let sessions = json(node, "/api/sessions");
    let is_publisher = |session: &&Value| session["stream"] == stream && session["role"] == "publisher";
    let mut ended = 0;
    for session in sessions.iter().filter(is_publisher).filter(|session| session["state"] == "live") {
        let url = format!("{}/api/sessions/{}", node.origin, session["id"].as_str().unwrap());
        assert_eq!(agent().delete(url).call().unwrap().status(), 204);
        ended += 1;
    }
    assert_eq!(ended, 1, "{sessions:?}");
}

pub(crate) fn state(node: &Running) -> &'static str {
    let states = ["connected", "behind", "unreachable"];
    let is = |state: &str| node.metric(&format!("sluice_directory_state{{state=\"{state}\"}}")) == 1.0;
    states.into_iter().find(|state| is(state)).unwrap_or_default()
}

/// How many standbys are connected.
fn standbys(node: &Running) -> usize {
    let sessions = json(node, "/api/sessions");
    let is_standby = |session: &&Value| session["role"] == "publisher" && session["state"] == "waiting";
    sessions.iter().filter(is_standby).filter(|session| !session["srtp_profile"].is_null()).count()
}

pub(crate) fn replaced_publishers(node: &Running) -> f64 {
    node.metric("sluice_session_ends_total{reason=\"replaced\",role=\"publisher\"}")
}

#[track_caller]
pub(crate) fn until(what: &str, is_true: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed() < PATIENCE, "it does not come about that {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_later_publisher_on_another_node_replaces_the_first_one() {
    let server = NatsServer::start("");
    let a = node(&server, &["--node-url", "http://a.example/", "--region", "eu-west"]);
    let mut b = node(&server, &["--drain", "0"]);
    until("both know two nodes", || json(&a, "/api/nodes").len() == 2 && json(&b, "/api/nodes").len() == 2);
    let first = Published::on(&a, "cam");
    until("the other node lists the stream", || lists(&b, "cam", false, true));
    assert_eq!(entries(&b, "cam")[0]["url"], "http://a.example");
    assert!(lists(&a, "cam", true, true));
    let elsewhere = format!("{}/whip/cam?standby=1", b.origin);
    let refused = agent().post(&elsewhere).header("content-type", "application/sdp").send(OFFER).unwrap();
    assert_eq!(refused.status(), 409, "at another node it would replace the publisher");
    let standby = Published::on(&a, "cam?standby=1");
    until("it has a standby", || standbys(&a) == 1);
    let nodes = json(&b, "/api/nodes");
    let of_a = nodes.iter().find(|node| node["here"] == false).unwrap();
    assert_eq!((&of_a["url"], &of_a["streams"]), (&"http://a.example".into(), &1.into()));
    assert_eq!((&of_a["region"], &of_a["draining"], &of_a["legs"]), (&"eu-west".into(), &false.into(), &0.into()));
    until("it is known to be busy", || {
        json(&b, "/api/nodes").iter().any(|node| node["here"] == false && node["load"].as_f64() > Some(0.0))
    });
    assert_eq!(entries(&b, "cam")[0]["carriers"], Value::Array(Vec::new()));

    let second = Published::on(&b, "cam");
    until("the first publisher is replaced, and its standby", || replaced_publishers(&a) == 2.0);
    until("the stream is on the other node", || lists(&a, "cam", false, true) && lists(&b, "cam", true, true));
    assert!(json(&a, "/api/streams").iter().all(|stream| stream["live"] == false));
    assert_eq!(replaced_publishers(&b), 0.0);
    drop((first, standby));

    end_publisher(&b, "cam");
    drop(second);
    until("nobody has the stream", || entries(&a, "cam").is_empty() && entries(&b, "cam").is_empty());
    let third = Published::on(&b, "cam");
    until("it is published again", || lists(&a, "cam", false, true));
    let began = Instant::now();
    b.signal("TERM");
    assert!(b.ended().success());
    drop(third);
    until("the node and its stream are gone", || json(&a, "/api/nodes").len() == 1 && entries(&a, "cam").is_empty());
    assert!(began.elapsed() < Duration::from_secs(10), "before its lease has expired");
}

#[test]
fn media_and_readiness_and_new_publishers_do_not_depend_on_the_directory() {
    let mut server = NatsServer::start("");
    let (a, b) = (node(&server, &[]), node(&server, &[]));
    let _first = Published::on(&a, "cam");
    until("the other node lists the stream", || lists(&b, "cam", false, true));
    server.kill();
    until("both notice it", || state(&a) == "unreachable" && state(&b) == "unreachable");
    for path in ["/healthz", "/readyz"] {
        assert_eq!((a.get(path).0, b.get(path).0), (200, 200), "{path}");
    }
    let sent = || a.metric("sluice_rtp_packets_total{direction=\"out\"");
    let before = sent();
    until("packets go on", || sent() > before + 300.0);
    assert!(lists(&b, "cam", false, true), "what was known stays");

    // While it is away, one publisher of a new stream comes, then another one elsewhere.
    let _second = Published::on(&b, "new");
    until("a new publisher is live", || lists(&b, "new", true, false));
    assert_eq!(b.metric("sluice_provisional_streams"), 1.0);
    let _third = Published::on(&a, "new");
    until("its competitor is live too", || lists(&a, "new", true, false));

    server.start_again();
    until("the later one has the stream", || lists(&a, "new", true, true) && lists(&b, "new", false, true));
    until("the earlier one is replaced", || replaced_publishers(&b) == 1.0);
    until("all is claimed", || a.metric("sluice_provisional_streams") + b.metric("sluice_provisional_streams") == 0.0);
    assert_eq!((state(&a), state(&b)), ("connected", "connected"));
    assert_eq!(replaced_publishers(&a), 0.0);
    assert!(lists(&b, "cam", false, true));
}

#[test]
fn a_node_that_stood_still_past_its_lease_gives_its_stream_to_the_node_that_took_it() {
    let server = NatsServer::start("");
    let (a, b) = (node(&server, &[]), node(&server, &[]));
    let _first = Published::on(&a, "cam");
    until("the other node lists the stream", || lists(&b, "cam", false, true));
    a.signal("STOP");
    until("its lease has expired", || entries(&b, "cam")[0]["live"] == false);
    assert_eq!(json(&b, "/api/nodes").len(), 1);
    let _second = Published::on(&b, "cam");
    until("another node has the stream", || lists(&b, "cam", true, true));
    a.signal("CONT");
    let has_publisher = |node: &Running| json(node, "/api/streams").iter().any(|stream| stream["live"] == true);
    until("the first node has no publisher any more", || !has_publisher(&a));
    until("both list one stream", || lists(&a, "cam", false, true) && lists(&b, "cam", true, true));
    assert!(has_publisher(&b));
    assert_eq!(replaced_publishers(&b), 0.0);
}

#[test]
fn a_relay_starts_and_takes_publishers_while_the_directory_is_away() {
    let mut server = NatsServer::start("");
    server.kill();
    let a = Running::start(&mut relay(&["--cluster", &server.url()]));
    let _published = Published::on(&a, "cam");
    until("the publisher is live", || lists(&a, "cam", true, false));
    assert_eq!((a.get("/readyz").0, state(&a) != "connected"), (200, true));
    server.start_again();
    until("it is claimed", || lists(&a, "cam", true, true));
}

#[test]
fn a_relay_alone_lists_itself_and_its_streams() {
    let a = Running::start(&mut relay(&[]));
    until("it lists itself", || json(&a, "/api/nodes").len() == 1);
    let _published = Published::on(&a, "cam");
    until("it lists its stream", || lists(&a, "cam", true, true));
    assert_eq!(json(&a, "/api/nodes")[0]["streams"], 1);
    assert!(!a.get("/metrics").1.contains("sluice_directory_state"), "nothing of a cluster is shown");
}

#[test]
fn credentials_that_cannot_be_read_are_an_error_at_the_start() {
    let output = relay(&["--cluster", "nats://127.0.0.1:1", "--cluster-credentials", "/nowhere"]).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{errors}");
    assert!(errors.contains("/nowhere") && errors.contains("does not exist"), "{errors}");
}
