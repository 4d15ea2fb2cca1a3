//! A connection on which nothing arrives any more, and no error comes.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sluice::cluster::{Nats, NatsConfig, Store};
use sluice::metrics::DirectoryState;

use super::nats_server::NatsServer;
use super::node::{Node, TIMING, publication, until};
use super::servers::{store, with_jetstream};

/// How long the marker of an expired lease is kept.
const MARKER: Duration = Duration::from_secs(1);

/// A way to a server on which everything stops while it is a hole.
struct Way {
    url: String,
    is_hole: Arc<AtomicBool>,
}

impl Way {
    fn to(server: &NatsServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let (is_hole, to) = (Arc::new(AtomicBool::new(false)), server.url().replace("nats://", ""));
        let hole = Arc::clone(&is_hole);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&to) else { continue };
                let ways = [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))];
                for (from, to) in ways {
                    let hole = Arc::clone(&hole);
                    let (from, to) = (from.unwrap(), to.unwrap());
                    std::thread::spawn(move || pass(from, to, &hole));
                }
            }
        });
        Self { url, is_hole }
    }

    fn set_hole(&self, is_hole: bool) {
        self.is_hole.store(is_hole, Ordering::Relaxed);
    }
}

/// Passes on what comes. What comes while the way is a hole is lost, and both sides learn nothing of it.
fn pass(mut from: TcpStream, mut to: TcpStream, hole: &AtomicBool) {
    let mut octets = [0; 16 * 1024];
    let mut was_hole = false;
    while let Ok(length @ 1..) = from.read(&mut octets) {
        was_hole |= hole.load(Ordering::Relaxed);
        // A stream that lacks octets is of no use afterwards.
        if !was_hole && to.write_all(&octets[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn a_node_that_is_cut_off_for_longer_than_a_marker_is_kept_lists_nobody_who_has_gone_meanwhile() {
    let server = NatsServer::start("");
    with_jetstream(&server.url(), async |jetstream| {
        let config = async_nats::jetstream::kv::Config {
            bucket: "sluice".to_owned(),
            limit_markers: Some(MARKER),
            ..Default::default()
        };
        jetstream.create_key_value(config).await.unwrap();
    });
    let servers = [server];
    let way = Way::to(&servers[0]);
    let config = NatsConfig { servers: vec![way.url.parse().unwrap()], ..NatsConfig::default() };
    let a = Node::connected("a", store(&servers, "a"));
    let c = Node::connected("c", store(&servers, "c"));
    let b = Node::connected("b", Store::Nats(Nats::new(config, "b").unwrap()));
    let of_a = publication("cam", 1);
    a.claim(&of_a).unwrap();
    b.until_origin("cam", Some(("a", true)));
    until("all live", || b.nodes() == ["a", "b", "c"]);
    way.set_hole(true);
    b.until_state(DirectoryState::Unreachable);
    a.release(&of_a);
    drop(c);
    until("the lease has expired", || a.nodes() == ["a"]);
    // The marker of the lease has gone too: a watch that goes on learns nothing of it.
    let began = Instant::now();
    until("the marker is gone", || began.elapsed() > MARKER * 3);
    assert_eq!(b.nodes(), ["a", "b", "c"], "who is cut off declares nobody dead");
    assert_eq!(b.origin("cam"), Some(("a".to_owned(), true)));
    way.set_hole(false);
    let healed = Instant::now();
    b.until_state(DirectoryState::Connected);
    until("only living nodes are listed", || b.nodes() == ["a", "b"] && b.origin("cam").is_none());
    assert!(healed.elapsed() < TIMING.lease + Duration::from_secs(10), "{:?}", healed.elapsed());
}
