//! How the binary ends: SIGTERM lets sessions go on for a while and takes no new ones.

use std::time::{Duration, Instant};

use ureq::http::Response;
use ureq::{Agent, Body};

use crate::binary::{Running, sluice};

const OFFER: &str = include_str!("../golden/ffmpeg-9.0.2-av.offer.sdp");

fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).build().new_agent()
}

fn relay(drain: &str) -> Running {
    Running::start(&mut sluice(&["--http", "127.0.0.1:0", "--media", "127.0.0.1:0", "--drain", drain]))
}

fn post(relay: &Running) -> Response<Body> {
    let request = agent().post(format!("{}/whip/cam", relay.origin)).header("content-type", "application/sdp");
    request.send(OFFER).unwrap()
}

/// Starts a session and returns its URL.
fn publish(relay: &Running) -> String {
    let created = post(relay);
    assert_eq!(created.status(), 201);
    format!("{}{}", relay.origin, created.headers()["location"].to_str().unwrap())
}

fn status(relay: &Running, path: &str) -> u16 {
    agent().get(format!("{}{path}", relay.origin)).call().unwrap().status().as_u16()
}

/// Waits until the relay says that it drains.
fn draining(relay: &Running) {
    let began = Instant::now();
    while status(relay, "/readyz") != 503 {
        assert!(began.elapsed() < Duration::from_secs(10), "it does not drain");
    }
}

#[test]
fn a_draining_relay_keeps_its_sessions_takes_no_new_ones_and_ends_when_the_last_has_left() {
    let mut relay = relay("600");
    let session = publish(&relay);
    assert_eq!(status(&relay, "/readyz"), 200);
    relay.signal("TERM");
    draining(&relay);
    let refused = post(&relay);
    assert_eq!(refused.status(), 503);
    assert!(refused.headers()["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0);
    assert_eq!(status(&relay, "/healthz"), 200, "whoever restarts sick processes lets it be");
    assert!(!relay.has_ended());
    assert_eq!(agent().delete(session).call().unwrap().status(), 200);
    assert_eq!(relay.ended().code(), Some(0));
    let log = relay.log();
    assert!(log.contains("draining") && log.contains("sessions=1") && log.contains("stopped"), "{log}");
}

#[test]
fn sessions_that_remain_are_ended_after_the_drain_time() {
    let mut relay = relay("1");
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
        let mut relay = relay("600");
        publish(&relay);
        relay.signal(signals[0]);
        if !signals[1].is_empty() {
            draining(&relay);
            relay.signal(signals[1]);
        }
        assert_eq!(relay.ended().code(), Some(0), "{signals:?}");
    }
}
