//! Legs between two relays of one process: one dials the other from a socket of its own, over loopback.

use std::net::SocketAddr;

use sluice::name::Role;
use sluice::session::Stage;
use tokio::time::timeout;

use crate::client::{PATIENCE, Publisher, Viewer};
use crate::leg_offer::{dial, offer};
use crate::receive;
use crate::relay::Relay;

/// The UDP candidates of an answer.
fn candidates(answer: &str) -> Vec<SocketAddr> {
    let lines = answer.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
    let address = |line: &str| {
        let parts: Vec<&str> = line.split(' ').collect();
        let [_, _, "udp", _, ip, port, ..] = parts.as_slice() else { return None };
        Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
    };
    lines.filter_map(address).collect()
}

/// One relay begins a leg to another and is connected.
async fn connect(own: &Relay, other: &Relay, role: Role, stream: &str) {
    let name = stream.parse().expect("a name");
    let local = own.media().call(&name);
    let asks = if role == Role::Publisher { Role::Viewer } else { Role::Publisher };
    let created = other.create(asks, stream, &offer(&local, role, "actpass")).await;
    let candidates = candidates(&created.answer);
    let session = own.media().dial(dial(local, role, &created.answer, candidates)).expect("it dials");
    let live = async {
        while own.media().record(&session).is_none_or(|record| record.report().stage != Stage::Live) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, live).await.expect("the leg is connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_of_one_relay_get_what_is_published_at_another_whichever_of_the_two_dials() {
    let (origin, edge) = (Relay::start().await, Relay::start().await);
    for (stream, role) in [("pulled", Role::Publisher), ("pushed", Role::Viewer)] {
        let mut publisher = Publisher::join(&origin, stream).await;
        publisher.client.connected().await;
        match role {
            Role::Publisher => connect(&edge, &origin, role, stream).await,
            Role::Viewer => connect(&origin, &edge, role, stream).await,
        }
        let mut viewer = Viewer::join(&edge, stream).await;
        viewer.client.connected().await;
        let check = publisher.send_while(receive(&mut viewer, 60)).await;
        check.assert_continuous();
    }
    assert_eq!(edge.metric("sluice_sessions", &["role=\"leg\"", "state=\"connected\""]).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_streams_cross_between_the_same_two_relays() {
    let (origin, edge) = (Relay::start().await, Relay::start().await);
    let (mut publishers, mut viewers) = (Vec::new(), Vec::new());
    for stream in ["first", "second", "third"] {
        let mut publisher = Publisher::join(&origin, stream).await;
        publisher.client.connected().await;
        connect(&edge, &origin, Role::Publisher, stream).await;
        let mut viewer = Viewer::join(&edge, stream).await;
        viewer.client.connected().await;
        publishers.push(publisher);
        viewers.push(viewer);
    }
    for (mut publisher, mut viewer) in publishers.into_iter().zip(viewers) {
        publisher.send_while(receive(&mut viewer, 30)).await.assert_continuous();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_ends_soon_after_the_other_relay_has_stopped() {
    let (origin, edge) = (Relay::start().await, Relay::start().await);
    let mut publisher = Publisher::join(&origin, "stopped").await;
    publisher.client.connected().await;
    connect(&edge, &origin, Role::Publisher, "stopped").await;
    origin.shut_down().await;
    edge.no_sessions_left().await;
    let ends = ["closed", "leg_silent"].map(|reason| format!("reason=\"{reason}\""));
    let mut ended = 0.0;
    for reason in &ends {
        ended += edge.metric("sluice_session_ends_total", &["role=\"leg\"", reason]).await;
    }
    assert_eq!(ended, 1.0);
}
