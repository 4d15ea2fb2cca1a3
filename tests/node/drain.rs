//! How the binary ends: SIGTERM lets sessions go on for a while and takes no new ones.

use std::fs::{self, OpenOptions};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::binary::{Running, agent, relay};

fn start(drain: &str) -> Running {
    Running::start(&mut relay(&["--drain", drain]))
}

/// Starts a session and returns its URL.
fn publish(relay: &Running) -> String {
    relay.session(&relay.post(None))
}

/// Waits until the relay says that it drains.
fn draining(relay: &Running) {
    let began = Instant::now();
    while relay.get("/readyz").0 != 503 {
        assert!(began.elapsed() < Duration::from_secs(10), "it does not drain");
    }
}

#[test]
fn a_draining_relay_keeps_its_sessions_takes_no_new_ones_and_ends_when_the_last_has_left() {
    let mut relay = start("600");
    let session = publish(&relay);
    assert_eq!(relay.get("/readyz").0, 200);
    relay.signal("TERM");
    draining(&relay);
    let refused = relay.post(None);
    assert_eq!(refused.status(), 503);
    assert!(refused.headers()["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0);
    assert_eq!(relay.get("/healthz").0, 200, "whoever restarts sick processes lets it be");
    assert!(!relay.has_ended());
    assert_eq!(agent().delete(session).call().unwrap().status(), 200);
    assert_eq!(relay.ended().code(), Some(0));
    let log = relay.log();
    assert!(log.contains("draining") && log.contains("sessions=1") && log.contains("stopped"), "{log}");
}

#[test]
fn sessions_that_remain_are_ended_after_the_drain_time() {
    let mut relay = start("1");
    publish(&relay);
    let asked = Instant::now();
    relay.signal("TERM");
    assert_eq!(relay.ended().code(), Some(0));
    assert!(asked.elapsed() >= Duration::from_secs(1), "they had their time");
    assert!(relay.log().contains("reason=\"shutdown\""), "the relay ended them");
}

#[test]
fn a_second_signal_or_an_interrupt_ends_everything_at_once() {
    for signals in [["TERM", "TERM"], ["TERM", "INT"], ["INT", ""]] {
        let mut relay = start("600");
        publish(&relay);
        relay.signal(signals[0]);
        if !signals[1].is_empty() {
            draining(&relay);
            relay.signal(signals[1]);
        }
        assert_eq!(relay.ended().code(), Some(0), "{signals:?}");
    }
}

#[test]
fn a_reload_that_waits_for_its_file_keeps_the_relay_neither_from_serving_nor_from_ending() {
    let file = std::env::temp_dir().join(format!("sluice-{}-silent.toml", std::process::id()));
    fs::write(&file, "").unwrap();
    let mut relay = Running::start(&mut relay(&["--config", file.to_str().unwrap()]));
    // A pipe into which nothing is written is a file that does not answer.
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    relay.signal("HUP");
    let silent = OpenOptions::new().write(true).open(&file).expect("it opens once the relay reads it");
    assert_eq!(relay.get("/healthz").0, 200);
    relay.signal("TERM");
    assert_eq!(relay.ended().code(), Some(0));
    drop(silent);
    fs::remove_file(&file).unwrap();
}
