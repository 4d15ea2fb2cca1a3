//! Many nodes at once.

use std::time::{Duration, Instant};

use sluice::cluster::Timing;
use sluice::metrics::DirectoryState;

use super::node::{Node, until};
use super::servers::{start, store};

/// The nodes of the cluster, unless `SLUICE_NODES` says another number: 200 take a minute of both cores.
const NODES: usize = 20;

#[test]
fn many_nodes_are_back_in_step_30_s_after_their_server_starts_again() {
    let count = std::env::var("SLUICE_NODES").map_or(NODES, |nodes| nodes.parse().unwrap());
    let mut servers = start();
    let start = |number: usize| {
        let name = format!("n{number}");
        Node::with(&name, store(&servers, &name), Timing::default())
    };
    let began = Instant::now();
    let nodes: Vec<_> = (0..count).map(start).collect();
    let is_in_step = |node: &Node| node.directory.state() == DirectoryState::Connected && node.nodes().len() == count;
    until_all("every node knows all others", || nodes.iter().all(is_in_step));
    let first = began.elapsed();
    servers.iter_mut().for_each(super::nats_server::NatsServer::kill);
    until_all("every node notices it", || nodes.iter().all(|node| node.directory.state() != DirectoryState::Connected));
    assert!(nodes.iter().all(|node| node.nodes().len() == count), "nobody is declared dead");
    servers.iter_mut().for_each(super::nats_server::NatsServer::start_again);
    let began = Instant::now();
    until_all("every node is back in step", || nodes.iter().all(is_in_step));
    let back = began.elapsed();
    #[expect(clippy::print_stdout, reason = "the times are what it is run for")]
    let print =
        || println!("{count} nodes: {first:.1?} from the first start, {back:.1?} after the start of their servers");
    print();
    assert!(back < Duration::from_secs(30), "{back:?}");
}

/// As `until`, with more patience.
fn until_all(what: &str, is_true: impl Fn() -> bool) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) && !is_true() {
        std::thread::sleep(Duration::from_millis(50));
    }
    until(what, is_true);
}
