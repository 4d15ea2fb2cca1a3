//! What holds for every store.

use std::time::{Duration, Instant};

use sluice::cluster::{Carried, Claimed, NodeId, StoreError, Timing};
use sluice::metrics::DirectoryState;

use super::node::{Node, PATIENCE, TIMING, claim, publication, until};
use super::servers::Server;

/// Runs each case against each store.
macro_rules! cases {
    ($($case:ident)+) => {
        mod memory {
            $(#[test] fn $case() { super::$case(&super::Server::memory()) })+
        }
        mod nats {
            $(#[test] fn $case() { super::$case(&super::Server::nats()) })+
        }
    };
}

cases! {
    of_two_claimants_one_wins
    the_later_start_has_the_stream
    a_released_stream_is_claimed_over_its_marker
    a_release_leaves_the_claim_of_another_node
    an_owner_that_stood_still_past_its_lease_loses_its_stream
    an_owner_that_stood_still_and_lost_nothing_keeps_its_stream
    a_claim_that_lands_after_its_timeout_is_found_and_makes_no_second_winner
    every_name_of_a_stream_can_be_claimed
    a_node_alone_in_an_empty_directory_has_read_everything
    a_directory_that_does_not_answer_keeps_what_is_known
    a_directory_that_has_lost_its_values_is_filled_again
    the_claims_of_a_node_that_has_gone_are_removed_by_the_first_node
    a_node_that_leaves_is_gone_at_once
    what_a_node_says_of_itself_is_read_by_others
    pulled_streams_are_listed_until_their_node_leaves
    a_list_that_is_lost_is_written_again
    the_list_of_a_node_that_has_gone_is_removed_by_the_first_node
    ten_thousand_pulled_streams_are_listed
}

fn is_won(claimed: &Claimed) -> bool {
    matches!(claimed, Claimed::Won { .. })
}

fn epoch(claimed: &Result<Claimed, StoreError>) -> u64 {
    match claimed {
        Ok(Claimed::Won { epoch, .. }) => *epoch,
        other => panic!("not won: {other:?}"),
    }
}

fn lost_to(node: &str) -> Result<Claimed, StoreError> {
    Ok(Claimed::Lost(node.parse::<NodeId>().unwrap()))
}

fn of_two_claimants_one_wins(server: &Server) {
    race(&Node::connected("a", server.store("a")), &Node::connected("b", server.store("b")));
}

/// Two nodes claim 300 streams at the same time: each round has one winner, the later start.
pub(crate) fn race(a: &Node, b: &Node) {
    for round in 0..300_u64 {
        let stream = format!("race-{round}");
        // Equal starts, or that of one or the other is later.
        let (of_a, of_b) = (publication(&stream, 10 + round % 3), publication(&stream, 11));
        let first = (a.begin(|it| claim(it, of_a.clone())), b.begin(|it| claim(it, of_b.clone())));
        let first = (first.0.recv().unwrap().unwrap(), first.1.recv().unwrap().unwrap());
        let (winner, loser) = if of_a.started > of_b.started { ("a", "b") } else { ("b", "a") };
        let last = (a.claim(&of_a).unwrap(), b.claim(&of_b).unwrap());
        let (kept, given_up) = if winner == "a" { (&last.0, &last.1) } else { (&last.1, &last.0) };
        assert!(is_won(kept), "round {round}: {last:?}");
        assert_eq!(Ok(given_up.clone()), lost_to(winner), "round {round}: {loser}");
        if let (Claimed::Won { epoch: at_a, .. }, Claimed::Won { epoch: at_b, .. }) = first {
            let is_later = if winner == "a" { at_a > at_b } else { at_b > at_a };
            assert!(is_later, "round {round}: one was replaced by the other, {at_a} and {at_b}");
        }
    }
}

fn the_later_start_has_the_stream(server: &Server) {
    let (a, b) = (Node::connected("a", server.store("a")), Node::connected("b", server.store("b")));
    let (early, late) = (publication("cam", 1_000), publication("cam", 2_000));
    let first = epoch(&a.claim(&early));
    b.until_origin("cam", Some(("a", true)));
    assert!(epoch(&b.claim(&late)) > first);
    assert_eq!(a.claim(&early), lost_to("b"));
    a.until_origin("cam", Some(("b", true)));
    let next = publication("cam", 3_000);
    assert!(epoch(&a.claim(&next)) > epoch(&Ok(Claimed::Won { epoch: first, started: 0 })) + 1);
    assert_eq!(a.directory.streams().len(), 1);
}

fn a_released_stream_is_claimed_over_its_marker(server: &Server) {
    let (a, b) = (Node::connected("a", server.store("a")), Node::connected("b", server.store("b")));
    for round in 0..5 {
        let publication = publication("cam", 1_000 - round);
        epoch(&a.claim(&publication));
        b.until_origin("cam", Some(("a", true)));
        a.release(&publication);
        b.until_origin("cam", None);
        // Its start is earlier, but nobody has the stream.
        let next = super::node::publication("cam", 10);
        epoch(&b.claim(&next));
        b.release(&next);
        b.release(&next);
    }
    a.until_origin("cam", None);
}

fn a_release_leaves_the_claim_of_another_node(server: &Server) {
    let (a, b) = (Node::connected("a", server.store("a")), Node::connected("b", server.store("b")));
    let (early, late) = (publication("cam", 1_000), publication("cam", 2_000));
    epoch(&a.claim(&early));
    epoch(&b.claim(&late));
    a.release(&early);
    assert_eq!(a.claim(&early), lost_to("b"));
}

fn an_owner_that_stood_still_past_its_lease_loses_its_stream(server: &Server) {
    let (a, b) = (Node::connected("a", server.store("a")), Node::connected("b", server.store("b")));
    let (of_a, of_b) = (publication("cam", 2_000), publication("cam", 1_000));
    epoch(&a.claim(&of_a));
    assert_eq!(b.claim(&of_b), lost_to("a"), "the owner lives");
    let frozen = a.freeze();
    b.until_origin("cam", Some(("a", false)));
    let Ok(Claimed::Won { started, .. }) = b.claim(&of_b) else { panic!("an expired lease ranks last") };
    assert_eq!(started, 2_001, "later than that of the owner");
    drop(frozen);
    assert_eq!(a.claim(&of_a), lost_to("b"));
    until("the first owner lives again", || b.nodes() == ["a", "b"]);
    assert_eq!(a.claim(&of_a), lost_to("b"));
    assert!(is_won(&b.claim(&of_b).unwrap()));
}

fn an_owner_that_stood_still_and_lost_nothing_keeps_its_stream(server: &Server) {
    let (a, b) = (Node::connected("a", server.store("a")), Node::connected("b", server.store("b")));
    let of_a = publication("cam", 2_000);
    let first = epoch(&a.claim(&of_a));
    let frozen = a.freeze();
    b.until_origin("cam", Some(("a", false)));
    drop(frozen);
    b.until_origin("cam", Some(("a", true)));
    assert_eq!(epoch(&a.claim(&of_a)), first);
}

fn a_claim_that_lands_after_its_timeout_is_found_and_makes_no_second_winner(server: &Server) {
    let (a, b) = (Node::connected("a", server.store("a")), Node::connected("b", server.store("b")));
    let (early, late) = (publication("cam", 1_000), publication("cam", 2_000));
    let claims = (0..50).map(|number| publication(&format!("other-{number}"), 1)).collect::<Vec<_>>();
    // Some are read before the pause, and their writes land after it.
    let begun: Vec<_> = claims.iter().map(|claimed| a.begin(|it| claim(it, claimed.clone()))).collect();
    server.pause();
    let of_a = a.begin(|it| claim(it, early.clone()));
    let outcome = of_a.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(outcome, Err(StoreError::TimedOut | StoreError::Unreachable)), "{outcome:?}");
    let begun: Vec<_> = begun.iter().map(|begun| begun.recv_timeout(PATIENCE).unwrap()).collect();
    server.resume();
    b.until_state(DirectoryState::Connected);
    a.until_state(DirectoryState::Connected);
    assert!(is_won(&b.claim(&late).unwrap()));
    assert_eq!(a.claim(&early), lost_to("b"));
    for (claimed, before) in claims.iter().zip(begun) {
        let now = epoch(&a.claim(claimed));
        assert!(before.is_err() || epoch(&before) == now, "what was won stays");
        b.until_origin(claimed.stream.to_string().as_str(), Some(("a", true)));
    }
}

fn every_name_of_a_stream_can_be_claimed(server: &Server) {
    let (a, b) = (Node::connected("a.~", server.store("a")), Node::connected("b", server.store("b")));
    let longest = "~.".repeat(32);
    for name in ["~", "a..b", ".a", "a.", "...", "-", "_", "A", &longest, &"x".repeat(64)] {
        epoch(&a.claim(&publication(name, 1)));
        b.until_origin(name, Some(("a.~", true)));
    }
    assert_eq!(b.directory.streams().len(), 10);
    assert_eq!(b.directory.nodes()[0].streams, 10);
}

fn a_node_alone_in_an_empty_directory_has_read_everything(server: &Server) {
    let a = Node::connected("a", server.store("a"));
    assert_eq!(a.nodes(), ["a"]);
    assert!(a.directory.streams().is_empty());
}

fn a_directory_that_does_not_answer_keeps_what_is_known(server: &Server) {
    let (a, b) = (Node::connected("a", server.store("a")), Node::connected("b", server.store("b")));
    epoch(&a.claim(&publication("cam", 1)));
    b.until_origin("cam", Some(("a", true)));
    server.pause();
    until("it is noticed", || b.directory.state() != DirectoryState::Connected);
    let began = Instant::now();
    while began.elapsed() < TIMING.lease + Duration::from_secs(1) {
        assert_eq!(b.origin("cam"), Some(("a".to_owned(), true)), "nobody is declared dead");
        assert_eq!(b.nodes(), ["a", "b"]);
        std::thread::yield_now();
    }
    server.resume();
    let resumed = Instant::now();
    b.until_state(DirectoryState::Connected);
    a.until_state(DirectoryState::Connected);
    assert!(resumed.elapsed() < Duration::from_secs(6), "{:?}", resumed.elapsed());
    until("both live", || b.nodes() == ["a", "b"] && b.origin("cam") == Some(("a".to_owned(), true)));
}

fn a_directory_that_has_lost_its_values_is_filled_again(server: &Server) {
    let (a, b) = (Node::connected("a", server.store("a")), Node::connected("b", server.store("b")));
    let of_a = publication("cam", 1);
    epoch(&a.claim(&of_a));
    b.until_origin("cam", Some(("a", true)));
    server.lose_values();
    b.until_origin("cam", None);
    until("both are announced again", || a.nodes() == ["a", "b"] && b.nodes() == ["a", "b"]);
    a.until_state(DirectoryState::Connected);
    epoch(&a.claim(&of_a));
    b.until_origin("cam", Some(("a", true)));
}

fn the_claims_of_a_node_that_has_gone_are_removed_by_the_first_node(server: &Server) {
    let (a, b) = (Node::connected("a", server.store("a")), Node::connected("b", server.store("b")));
    let c = Node::connected("c", server.store("c"));
    epoch(&c.claim(&publication("cam", 1)));
    epoch(&a.claim(&publication("own", 1)));
    drop(c);
    a.until_origin("cam", Some(("c", false)));
    b.until_origin("cam", Some(("c", false)));
    let now = Instant::now();
    let mut orphans = [sluice::cluster::Orphans::default(), sluice::cluster::Orphans::default()];
    let mut remove = |node: &Node, place: usize, at: Instant| {
        let mut of_node = std::mem::take(&mut orphans[place]);
        let removed = node.run(|directory| async move {
            of_node.remove(&directory, at).await.unwrap();
            of_node
        });
        orphans[place] = removed;
    };
    remove(&a, 0, now);
    remove(&b, 1, now);
    remove(&b, 1, now + TIMING.orphan * 2);
    assert_eq!(b.origin("cam"), Some(("c".to_owned(), false)), "that is for the first node");
    remove(&a, 0, now + TIMING.orphan / 2);
    assert_eq!(a.origin("cam"), Some(("c".to_owned(), false)), "it may come back");
    remove(&a, 0, now + TIMING.orphan * 2);
    b.until_origin("cam", None);
    b.until_origin("own", Some(("a", true)));
}

fn a_node_that_leaves_is_gone_at_once(server: &Server) {
    // Longer than the test waits.
    let timing = Timing { lease: PATIENCE * 3, ..TIMING };
    let (a, b) = (Node::connected("a", server.store("a")), Node::with("b", server.store("b"), timing));
    until("both live", || a.nodes() == ["a", "b"] && b.nodes() == ["a", "b"]);
    b.leave();
    until("one is left", || a.nodes() == ["a"]);
}

fn what_a_node_says_of_itself_is_read_by_others(server: &Server) {
    let (a, b) = (Node::connected("a", server.store("a")), Node::connected("b", server.store("b")));
    let of_a = |node: &Node| node.directory.nodes().into_iter().find(|listed| listed.node.to_string() == "a");
    until("it is listed", || of_a(&b).is_some_and(|listed| listed.region.as_deref() == Some("here")));
    a.directory.set_load(0.5);
    a.directory.set_legs(3);
    until("a heartbeat says it", || of_a(&b).is_some_and(|listed| (listed.load, listed.legs) == (0.5, 3)));
    assert!(!of_a(&b).unwrap().is_draining);
    a.directory.set_draining();
    until("it is known to end", || of_a(&b).unwrap().is_draining);
    assert_eq!(of_a(&b).unwrap().url.as_deref(), Some("http://a.example"));
}

fn carried(stream: &str, hops: u8, parent: &str) -> Carried {
    Carried { stream: stream.parse().unwrap(), epoch: 7, hops, parent: parent.parse().unwrap() }
}

/// The nodes that pull a stream, with their hops and parents, as a node has read them.
fn carriers(node: &Node, stream: &str) -> Vec<(String, u8, String)> {
    let carriers = node.directory.carriers(&stream.parse().unwrap());
    carriers.iter().map(|carrier| (carrier.node.to_string(), carrier.hops, carrier.parent.to_string())).collect()
}

fn until_carriers(node: &Node, stream: &str, expected: &[(&str, u8, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(name, hops, parent)| ((*name).to_owned(), *hops, (*parent).to_owned())).collect();
    until(&format!("{stream} is carried by {expected:?}"), || carriers(node, stream) == expected);
}

fn pulled_streams_are_listed_until_their_node_leaves(server: &Server) {
    let (a, b) = (Node::connected("a", server.store("a")), Node::connected("b", server.store("b")));
    a.directory.set_carried(vec![carried("cam", 1, "b"), carried("two", 3, "c")]);
    until_carriers(&b, "cam", &[("a", 1, "b")]);
    assert!(b.directory.carriers(&"cam".parse().unwrap())[0].is_live);
    assert_eq!(b.directory.view().url(a.directory.node()), Some("http://a.example"));
    a.directory.set_carried(vec![carried("cam", 2, "c")]);
    until_carriers(&b, "cam", &[("a", 2, "c")]);
    until_carriers(&b, "two", &[]);
    a.directory.set_carried(Vec::new());
    until_carriers(&b, "cam", &[]);
    a.directory.set_carried(vec![carried("cam", 1, "b")]);
    until_carriers(&b, "cam", &[("a", 1, "b")]);
    a.leave();
    until_carriers(&b, "cam", &[]);
}

fn a_list_that_is_lost_is_written_again(server: &Server) {
    let a = Node::connected("a", server.store("a"));
    a.directory.set_carried(vec![carried("cam", 1, "b")]);
    until_carriers(&a, "cam", &[("a", 1, "b")]);
    server.lose_values();
    // It has read nothing before.
    let b = Node::connected("b", server.store("b"));
    until_carriers(&b, "cam", &[("a", 1, "b")]);
}

fn the_list_of_a_node_that_has_gone_is_removed_by_the_first_node(server: &Server) {
    let (a, b) = (Node::connected("a", server.store("a")), Node::connected("b", server.store("b")));
    b.directory.set_carried(vec![carried("cam", 1, "a")]);
    until_carriers(&a, "cam", &[("b", 1, "a")]);
    drop(b);
    until("it does not live", || a.nodes() == ["a"]);
    assert_eq!(carriers(&a, "cam").len(), 1, "it may come back");
    a.run(|directory| async move {
        let (mut orphans, now) = (sluice::cluster::Orphans::default(), Instant::now());
        orphans.remove(&directory, now).await.unwrap();
        orphans.remove(&directory, now + TIMING.orphan * 2).await.unwrap();
    });
    until_carriers(&a, "cam", &[]);
}

fn ten_thousand_pulled_streams_are_listed(server: &Server) {
    let (a, b) = (Node::connected("a", server.store("a")), Node::connected("b", server.store("b")));
    let all = || (0..10_000).map(|number| carried(&format!("{number:0>64}"), 3, &"p".repeat(64))).collect::<Vec<_>>();
    a.directory.set_carried(all());
    let name = |number: usize| format!("{number:0>64}");
    until("all are read", || (0..10_000).step_by(101).all(|number| carriers(&b, &name(number)).len() == 1));
    // A change of one writes its part again, and leaves the others.
    let mut changed = all();
    changed[5_000].hops = 1;
    a.directory.set_carried(changed);
    until_carriers(&b, &name(5_000), &[("a", 1, &"p".repeat(64))]);
    until_carriers(&b, &name(9_999), &[("a", 3, &"p".repeat(64))]);
}
