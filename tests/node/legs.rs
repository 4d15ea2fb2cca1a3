//! Relays as processes that pull streams from each other and push them to each other, with media.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::binary::{PATIENCE, Running, relay, sluice};

/// A relay with these legs, which may be on this machine.
fn with_legs(arguments: &[&str]) -> Running {
    Running::start(&mut relay(&[&["--leg-allow", "127.0.0.0/8"], arguments].concat()))
}

/// `sluice load` that goes on until it is dropped.
struct Load(Child);

impl Load {
    /// Publishes here and watches there.
    fn begin(whip: Option<String>, whep: &str) -> Self {
        let mut load = sluice(&["load", "--seconds", "600", "--viewers", "1", "--whep", whep]);
        load.args(whip.iter().flat_map(|whip| ["--whip", whip.as_str()]));
        Self(load.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn legs(relay: &Running) -> Vec<Value> {
    serde_json::from_str(&relay.get("/api/legs").1).unwrap()
}

fn is_connected(relay: &Running) -> bool {
    legs(relay).iter().all(|leg| leg["state"] == "connected")
}

/// RTP packets that a relay has sent.
fn sent(relay: &Running) -> f64 {
    relay.metric("sluice_rtp_packets_total{direction=\"out\"")
}

#[track_caller]
fn until(what: &str, is_true: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed() < PATIENCE, "it does not come about that {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_stream_is_pulled_from_one_relay_and_pushed_to_another() {
    let a = Running::start(&mut relay(&[]));
    let c = Running::start(&mut relay(&[]));
    let pull = format!("cam={}/whep/cam", a.origin);
    let push = format!("cam={}/whip/other", c.origin);
    let b = with_legs(&["--pull", &pull, "--push", &push]);
    let publisher = Load::begin(Some(format!("{}/whip/cam", a.origin)), &format!("{}/whep/cam", a.origin));
    until("both legs run", || is_connected(&b));
    assert_eq!(b.metric("sluice_legs{direction=\"pull\",state=\"connected\"}"), 1.0);
    assert_eq!(b.metric("sluice_legs{direction=\"push\",state=\"connected\"}"), 1.0);
    let whep = format!("{}/whep/other", c.origin);
    let output = sluice(&["load", "--seconds", "1", "--viewers", "2", "--whep", &whep]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "viewers behind both legs get everything: {text}");
    drop(publisher);
    // The publisher has gone without a word; its sessions end by silence. A relay that stops ends its sessions elsewhere.
    drop(b);
}

#[test]
fn a_relay_that_stops_ends_its_sessions_on_other_servers() {
    let a = Running::start(&mut relay(&[]));
    let pull = format!("cam={}/whep/cam", a.origin);
    let mut b = with_legs(&["--pull", &pull, "--drain", "0"]);
    until("the leg runs", || is_connected(&b));
    until("the other relay knows it", || a.metric("sluice_sessions{") == 1.0);
    b.signal("TERM");
    assert!(b.ended().success());
    until("its session has ended", || a.metric("sluice_sessions{") == 0.0);
    let ends = |reason: &str| a.metric(&format!("sluice_session_ends_total{{reason=\"{reason}\""));
    assert_eq!(ends("deleted") + ends("closed"), 1.0, "on purpose");
}

#[test]
fn a_viewer_sees_the_stream_again_when_the_server_of_a_pull_has_died_and_returned() {
    let a = Running::start(&mut relay(&[]));
    let address = a.origin.strip_prefix("http://").unwrap().to_owned();
    let whip = format!("{}/whip/cam", a.origin);
    let b = with_legs(&["--pull", &format!("cam={}/whep/cam", a.origin)]);
    let publisher = Load::begin(Some(whip.clone()), &format!("{}/whep/cam", a.origin));
    let _viewer = Load::begin(None, &format!("{}/whep/cam", b.origin));
    until("the viewer gets packets", || sent(&b) > 300.0);
    let began = Instant::now();
    drop((a, publisher));
    until("the leg has failed", || legs(&b)[0]["failures"].as_u64() > Some(0));
    assert!(began.elapsed() < Duration::from_secs(3), "a dead leg is noticed within 600 ms: {:?}", began.elapsed());
    let before = sent(&b);
    let a = Running::start(&mut sluice(&["--http", &address, "--media", "127.0.0.1:0"]));
    let _publisher = Load::begin(Some(whip), &format!("{}/whep/cam", a.origin));
    until("the viewer gets packets again", || sent(&b) > before + 300.0);
    assert_eq!(b.metric("sluice_session_ends_total{reason=\"silent\",role=\"viewer\"}"), 0.0);
    assert_eq!(b.metric("sluice_session_setup_seconds_count{phase=\"answer\"}"), 1.0, "it has posted once");
    assert!(is_connected(&b), "{:?}", legs(&b));
}

#[test]
fn a_client_that_publishes_takes_the_place_of_a_pull_which_returns_when_it_has_gone() {
    let a = Running::start(&mut relay(&[]));
    let b = with_legs(&["--pull", &format!("cam={}/whep/cam", a.origin)]);
    let _publisher = Load::begin(Some(format!("{}/whip/cam", a.origin)), &format!("{}/whep/cam", a.origin));
    until("the leg runs", || is_connected(&b));
    let own = Load::begin(Some(format!("{}/whip/cam", b.origin)), &format!("{}/whep/cam", b.origin));
    until("the leg is not wanted", || legs(&b)[0]["state"] == "idle");
    let before = sent(&b);
    until("the client's stream is sent", || sent(&b) > before + 300.0);
    assert_eq!(legs(&b)[0]["failures"], 0);
    let sessions: Vec<Value> = serde_json::from_str(&b.get("/api/sessions").1).unwrap();
    for session in sessions.iter().filter(|it| it["role"] == "publisher" && it["state"] == "live") {
        let url = format!("{}/api/sessions/{}", b.origin, session["id"].as_str().unwrap());
        assert_eq!(crate::binary::agent().delete(url).call().unwrap().status(), 204);
    }
    until("the leg runs again", || is_connected(&b));
    drop(own);
}

#[test]
fn pulls_are_reloaded() {
    let a = Running::start(&mut relay(&[]));
    let path = std::env::temp_dir().join(format!("sluice-legs-{}.toml", std::process::id()));
    let write = |stream: &str| {
        let url = format!("{}/whep/cam", a.origin);
        std::fs::write(&path, format!("[[pull]]\nstream = '{stream}'\nurl = '{url}'\n")).unwrap();
    };
    write("one");
    let b = with_legs(&["--config", path.to_str().unwrap()]);
    until("the leg runs", || legs(&b)[0]["stream"] == "one" && is_connected(&b));
    write("two");
    b.signal("HUP");
    until("the other leg runs", || legs(&b).len() == 1 && legs(&b)[0]["stream"] == "two" && is_connected(&b));
    until("the first one has ended", || a.metric("sluice_sessions{") == 1.0);
    std::fs::remove_file(&path).unwrap();
}
