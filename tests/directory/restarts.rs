//! A server that ends and starts again, or starts late.

use std::time::{Duration, Instant};

use sluice::cluster::{Claimed, Timing};
use sluice::metrics::DirectoryState;

use super::nats_server::NatsServer;
use super::node::{Node, publication, until};
use super::servers::{is_cluster, start, store, with_jetstream};

/// How soon everything is known again, from when a server answers, or three have elected a leader. One takes less than 2 s
/// unless the machine is busy.
fn back() -> Duration {
    Duration::from_secs(if is_cluster() { 15 } else { 5 })
}

#[test]
fn servers_that_are_killed_are_followed_again_and_the_map_is_kept_meanwhile() {
    let mut servers = start();
    let (a, b) = (Node::connected("a", store(&servers, "a")), Node::connected("b", store(&servers, "b")));
    let of_a = publication("cam", 1);
    let won = a.claim(&of_a);
    b.until_origin("cam", Some(("a", true)));
    servers.iter_mut().for_each(NatsServer::kill);
    b.until_state(DirectoryState::Unreachable);
    assert!(a.claim(&publication("other", 1)).is_err(), "nothing waits for a server that is away");
    // Longer than a lease: a node that is not heard because the server is away is not dead.
    let away = Instant::now();
    while away.elapsed() < Duration::from_secs(3) {
        assert_eq!(b.origin("cam"), Some(("a".to_owned(), true)));
        assert_eq!(b.nodes(), ["a", "b"]);
        std::thread::sleep(Duration::from_millis(100));
    }
    servers.iter_mut().for_each(NatsServer::start_again);
    let began = Instant::now();
    for node in [&a, &b] {
        node.until_state(DirectoryState::Connected);
    }
    assert!(began.elapsed() < back(), "{:?}", began.elapsed());
    until("both live", || a.nodes() == ["a", "b"] && b.nodes() == ["a", "b"]);
    assert_eq!(a.claim(&of_a), won, "its values were in files");
}

#[test]
fn servers_that_end_one_after_the_other_are_followed() {
    let mut servers = start();
    let (a, b) = (Node::connected("a", store(&servers, "a")), Node::connected("b", store(&servers, "b")));
    a.claim(&publication("cam", 1)).unwrap();
    b.until_origin("cam", Some(("a", true)));
    for (number, server) in servers.iter_mut().enumerate() {
        server.kill();
        if !is_cluster() {
            server.start_again();
        }
        let began = Instant::now();
        until("a stream can be claimed", || a.claim(&publication(&format!("cam-{number}"), 1)).is_ok());
        for node in [&a, &b] {
            node.until_state(DirectoryState::Connected);
        }
        assert!(began.elapsed() < back(), "{:?}", began.elapsed());
        b.until_origin(&format!("cam-{number}"), Some(("a", true)));
        assert_eq!(b.origin("cam").map(|(node, _)| node).as_deref(), Some("a"));
        if is_cluster() {
            server.start_again();
        }
    }
}

#[test]
fn without_a_majority_of_servers_the_map_is_kept() {
    let mut servers = start();
    let (a, b) = (Node::connected("a", store(&servers, "a")), Node::connected("b", store(&servers, "b")));
    a.claim(&publication("cam", 1)).unwrap();
    b.until_origin("cam", Some(("a", true)));
    let majority = servers.len() / 2 + 1;
    servers[..majority].iter_mut().for_each(NatsServer::kill);
    until("it is noticed", || b.directory.state() != DirectoryState::Connected);
    assert!(a.claim(&publication("other", 1)).is_err());
    assert_eq!(b.origin("cam").map(|(node, _)| node).as_deref(), Some("a"));
    servers[0].start_again();
    for node in [&a, &b] {
        node.until_state(DirectoryState::Connected);
    }
    b.until_origin("cam", Some(("a", true)));
}

#[test]
fn a_bucket_in_memory_that_is_lost_with_its_servers_is_filled_again() {
    let mut servers = start();
    let replicas = servers.len();
    with_jetstream(&servers[0].url(), async |jetstream| {
        let config = async_nats::jetstream::kv::Config {
            bucket: "sluice".to_owned(),
            storage: async_nats::jetstream::stream::StorageType::Memory,
            num_replicas: replicas,
            limit_markers: Some(Duration::from_secs(3600)),
            ..Default::default()
        };
        // Three servers that have just started may still elect a leader.
        while jetstream.create_key_value(config.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let (a, b) = (Node::connected("a", store(&servers, "a")), Node::connected("b", store(&servers, "b")));
    let of_a = publication("cam", 1);
    a.claim(&of_a).unwrap();
    b.until_origin("cam", Some(("a", true)));
    servers.iter_mut().for_each(NatsServer::kill);
    servers.iter_mut().for_each(NatsServer::start_again);
    b.until_origin("cam", None);
    until("both live", || a.nodes() == ["a", "b"] && b.nodes() == ["a", "b"]);
    a.until_state(DirectoryState::Connected);
    assert!(matches!(a.claim(&of_a), Ok(Claimed::Won { .. })));
    b.until_origin("cam", Some(("a", true)));
}

#[test]
fn servers_that_start_after_the_nodes_are_followed() {
    let mut servers = start();
    servers.iter_mut().for_each(NatsServer::kill);
    let a = Node::start("a", store(&servers, "a"));
    a.until_state(DirectoryState::Unreachable);
    servers.iter_mut().for_each(NatsServer::start_again);
    let began = Instant::now();
    a.until_state(DirectoryState::Connected);
    // The bucket is made after the second answer that there is none.
    assert!(began.elapsed() < back() * 2, "{:?}", began.elapsed());
    assert!(matches!(a.claim(&publication("cam", 1)), Ok(Claimed::Won { .. })));
}

#[test]
fn nobody_is_declared_dead_while_the_leader_of_three_servers_stands_still_for_8_s() {
    let servers = NatsServer::start_three();
    let node = |name: &str| Node::with(name, store(&servers, name), Timing::default());
    let (a, b) = (node("a"), node("b"));
    for node in [&a, &b] {
        node.until_state(DirectoryState::Connected);
    }
    a.claim(&publication("cam", 1)).unwrap();
    b.until_origin("cam", Some(("a", true)));
    until("both live", || a.nodes() == ["a", "b"] && b.nodes() == ["a", "b"]);
    let mut leader = None;
    with_jetstream(&servers[0].url(), async |jetstream| {
        let info = jetstream.get_stream("KV_sluice").await.unwrap().cached_info().clone();
        leader = info.cluster.and_then(|cluster| cluster.leader);
    });
    let leader = leader.unwrap();
    let leader = servers.iter().find(|server| server.name().as_deref() == Some(&leader)).unwrap();
    leader.signal("STOP");
    let began = Instant::now();
    let mut is_stopped = true;
    // Longer than a lease after the standstill.
    while began.elapsed() < Duration::from_secs(26) {
        if is_stopped && began.elapsed() > Duration::from_secs(8) {
            leader.signal("CONT");
            is_stopped = false;
        }
        for node in [&a, &b] {
            assert_eq!(node.nodes(), ["a", "b"], "{:?}", began.elapsed());
            assert_eq!(node.origin("cam"), Some(("a".to_owned(), true)), "{:?}", began.elapsed());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    for node in [&a, &b] {
        node.until_state(DirectoryState::Connected);
    }
    assert!(matches!(b.claim(&publication("other", 1)), Ok(Claimed::Won { .. })));
}
