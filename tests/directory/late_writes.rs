//! A write that lands after its writer was told that it timed out, which the store in memory can do at will.

use sluice::cluster::{Claimed, Memory, Store, StoreError};

use super::node::{Node, publication, until};

#[test]
fn a_late_claim_is_found_by_its_owner() {
    let memory = Memory::default();
    let a = Node::connected("a", Store::Memory(memory.clone()));
    let of_a = publication("cam", 1);
    memory.pause_writes();
    assert_eq!(a.claim(&of_a), Err(StoreError::TimedOut));
    assert_eq!(a.origin("cam"), None);
    memory.resume();
    a.until_origin("cam", Some(("a", true)));
    let Some(landed) = a.directory.lookup(&of_a.stream) else { panic!("it has landed") };
    assert_eq!(a.claim(&of_a), Ok(Claimed::Won { epoch: landed.epoch, started: 1 }));
}

#[test]
fn a_late_claim_takes_nothing_from_another_node() {
    let memory = Memory::default();
    let a = Node::connected("a", Store::Memory(memory.clone()));
    let b = Node::connected("b", Store::Memory(memory.clone()));
    let (of_a, of_b) = (publication("cam", 1), publication("cam", 2));
    memory.pause_writes();
    // Both read the same value, and both writes wait: one of them finds that the other came first.
    let claims = [(&a, &of_a), (&b, &of_b)].map(|(node, of)| {
        let of = of.clone();
        node.begin(|directory| async move { directory.claim(&of).await })
    });
    for claim in claims {
        assert_eq!(claim.recv_timeout(super::node::PATIENCE).unwrap(), Err(StoreError::TimedOut));
    }
    memory.resume();
    until("one has landed", || a.origin("cam").is_some());
    assert!(matches!(b.claim(&of_b), Ok(Claimed::Won { .. })));
    assert_eq!(a.claim(&of_a), Ok(Claimed::Lost("b".parse().unwrap())));
}
