//! Nodes of a cluster as processes: a stream is watched at any of them, and published at any of them.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::Value;

use crate::binary::{Running, sluice};
use crate::cluster::{Published, state, until};
use crate::nats_server::NatsServer;
use crate::node_token::CLUSTER_SECRET;

/// The port of all nodes: each has an address of its own.
const PORT: u16 = 4701;

static NODES: AtomicU8 = AtomicU8::new(1);

/// A node that others call, at a loopback address that no other one has.
fn node(server: &NatsServer, arguments: &[&str]) -> Running {
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = format!("127.{high}.{low}.{}:{PORT}", NODES.fetch_add(1, Ordering::Relaxed));
    let (nats, url) = (server.url(), format!("http://{address}"));
    let own = ["--http", &address, "--media", "127.0.0.1:0", "--cluster", &nats, "--node-url", &url];
    let shared = ["--cluster-secret", CLUSTER_SECRET, "--cluster-allow", "127.0.0.0/8"];
    let node = Running::start(&mut sluice(&[&own[..], &shared, arguments].concat()));
    until("it is connected", || state(&node) == "connected");
    node
}

fn nodes<const N: usize>(server: &NatsServer) -> [Running; N] {
    let nodes = [(); N].map(|()| node(server, &[]));
    until("all know all", || nodes.iter().all(|node| json(node, "/api/nodes").len() == N));
    nodes
}

/// A viewer of `cam` that goes on until it is dropped.
struct Viewer(Child);

impl Viewer {
    fn of(node: &Running) -> Self {
        Self(load(node, "600").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn load(node: &Running, seconds: &str) -> Command {
    let whep = format!("{}/whep/cam", node.origin);
    sluice(&["load", "--seconds", seconds, "--viewers", "1", "--whep", &whep])
}

fn json(node: &Running, path: &str) -> Vec<Value> {
    serde_json::from_str(&node.get(path).1).unwrap()
}

/// RTP packets that a node has sent.
fn sent(node: &Running) -> f64 {
    node.metric("sluice_rtp_packets_total{direction=\"out\"")
}

/// Viewers' offers that a node has answered.
fn answered(node: &Running) -> f64 {
    node.metric("sluice_session_setup_seconds_count{phase=\"answer\"}")
}

fn goes_on(node: &Running, what: &str) {
    let before = sent(node);
    until(what, || sent(node) > before + 300.0);
}

#[test]
fn a_stream_is_watched_at_a_node_that_does_not_have_it_by_one_leg_for_all_viewers() {
    let server = NatsServer::start("");
    let [a, b] = nodes(&server);
    let _publisher = Published::on(&a, "cam");
    until("the other node knows the stream", || json(&b, "/api/streams?scope=cluster").len() == 1);
    let _first = Viewer::of(&b);
    goes_on(&b, "the viewer gets packets");
    let output = load(&b, "1").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "another viewer gets everything: {text}");
    let legs = json(&b, "/api/legs");
    assert_eq!((legs.len(), &legs[0]["state"]), (1, &"connected".into()), "{legs:?}");
    assert_eq!(b.metric("sluice_sessions{role=\"leg\""), 1.0);
    assert_eq!(a.metric("sluice_sessions{role=\"leg\""), 1.0);
    let listed = json(&b, "/api/streams?scope=cluster");
    assert_eq!((listed.len(), &listed[0]["here"]), (1, &false.into()), "the stream is not its own: {listed:?}");
    assert_eq!(b.metric("sluice_provisional_streams"), 0.0);
}

#[test]
fn viewers_that_wait_at_any_node_get_the_stream_when_it_appears_at_one() {
    let server = NatsServer::start("");
    let [a, b] = nodes(&server);
    let _viewer = Viewer::of(&b);
    until("the viewer waits", || answered(&b) == 1.0);
    let _publisher = Published::on(&a, "cam");
    goes_on(&b, "the viewer gets packets");
    assert_eq!(answered(&b), 1.0);
}

#[test]
fn viewers_everywhere_go_on_when_another_node_gets_the_publisher() {
    let server = NatsServer::start("");
    let [a, b, c] = nodes(&server);
    let _first = Published::on(&a, "cam");
    let _viewer = Viewer::of(&c);
    goes_on(&c, "the viewer gets packets");
    let _second = Published::on(&b, "cam");
    until("the first publisher is replaced", || {
        a.metric("sluice_session_ends_total{reason=\"replaced\",role=\"publisher\"}") == 1.0
    });
    until("both other nodes pull from the second one", || b.metric("sluice_sessions{role=\"leg\"") == 2.0);
    goes_on(&c, "the viewer of the third node goes on");
    goes_on(&a, "the viewer of the first node goes on");
    assert_eq!(answered(&c), 1.0, "without another offer");
}

#[test]
fn viewers_go_on_when_the_origin_is_killed_and_its_encoder_goes_to_another_node() {
    let server = NatsServer::start("");
    let [a, b, c] = nodes(&server);
    let publisher = Published::on(&a, "cam");
    let _viewer = Viewer::of(&c);
    goes_on(&c, "the viewer gets packets");
    drop((a, publisher));
    let _second = Published::on(&b, "cam");
    goes_on(&c, "the viewer goes on");
    assert_eq!(answered(&c), 1.0, "without another offer");
}

#[test]
fn of_two_nodes_that_are_to_pull_a_stream_one_has_it_and_gives_it_to_the_other() {
    let server = NatsServer::start("");
    let outside = Running::start(&mut crate::binary::relay(&[]));
    let _publisher = Published::on(&outside, "cam");
    let pull = format!("cam={}/whep/cam", outside.origin);
    let pulling = || node(&server, &["--pull", &pull, "--leg-allow", "127.0.0.0/8"]);
    let a = pulling();
    until("the first node has the stream", || {
        json(&a, "/api/streams?scope=cluster").iter().any(|it| it["claimed"] == true)
    });
    let b = pulling();
    until("the second one knows it", || json(&b, "/api/streams?scope=cluster").len() == 1);
    let _viewer = Viewer::of(&b);
    goes_on(&b, "the viewer gets packets");
    let legs = json(&b, "/api/legs");
    assert_eq!((&legs[0]["state"], &legs[1]["state"]), (&"idle".into(), &"connected".into()), "{legs:?}");
}
