//! ICE restart (RFC 8445 9): both generations live until the new one has a proven path.

use super::*;

fn restarted() -> (Bed, Client) {
    let mut bed = Bed::connected();
    let next = Client::new("next");
    bed.demux.restart(own_key(), next.admission());
    (bed, next)
}

#[test]
fn the_old_credentials_and_path_live_until_the_new_path_is_proven() {
    let (mut bed, next) = restarted();
    assert_eq!(bed.check(1, true), Demultiplexed::Answered);
    assert_eq!(bed.arrive(2, &next.check(true)), Demultiplexed::Answered);
    assert_eq!(bed.demux.path(own_key()), Some(path(1)));
    let checks = bed.our_checks();
    assert_eq!(bed.arrive(2, &next.answer(&checks[0].1)), Demultiplexed::Answered);
    assert_eq!(bed.demux.path(own_key()), Some(path(2)));
    let old = bed.client.check(true);
    assert_eq!(bed.arrive(1, &old), Demultiplexed::UnknownUfrag { ufrag: bed.client.relay.ufrag.clone() });
    assert_eq!(bed.arrive(2, &next.check(true)), Demultiplexed::Answered);
    let retired = DemuxEvent::Retired { key: own_key(), ufrag: bed.client.relay.ufrag.clone() };
    assert!(bed.events().contains(&retired), "the worker learns that the old user name fragment is retired");
}

#[test]
fn a_restart_from_the_same_address_needs_no_new_proof() {
    let (mut bed, next) = restarted();
    assert_eq!(bed.arrive(1, &next.check(true)), Demultiplexed::Answered);
    assert_eq!((bed.our_checks(), bed.demux.path(own_key())), (vec![], Some(path(1))));
    let old = bed.client.check(true);
    assert!(matches!(bed.arrive(1, &old), Demultiplexed::UnknownUfrag { .. }));
}

#[test]
fn a_second_restart_replaces_one_that_was_never_used() {
    let (mut bed, unused) = restarted();
    let last = Client::new("last");
    bed.demux.restart(own_key(), last.admission());
    assert!(matches!(bed.arrive(2, &unused.check(true)), Demultiplexed::UnknownUfrag { .. }));
    assert_eq!(bed.events(), [DemuxEvent::Retired { key: own_key(), ufrag: unused.relay.ufrag }]);
    assert_eq!(bed.check(1, true), Demultiplexed::Answered);
    assert_eq!(bed.arrive(2, &last.check(true)), Demultiplexed::Answered);
}

#[test]
fn a_restart_during_the_handshake_keeps_the_handshake() {
    let mut bed = Bed::opened();
    let next = Client::new("next");
    bed.demux.restart(own_key(), next.admission());
    assert_eq!(bed.arrive(1, &next.check(true)), Demultiplexed::Answered);
    bed.complete_on(1);
    assert_eq!(bed.demux.path(own_key()), Some(path(1)));
    assert_eq!(bed.arrive(1, &next.check(true)), Demultiplexed::Answered);
    let old = bed.client.check(true);
    assert!(matches!(bed.arrive(1, &old), Demultiplexed::UnknownUfrag { .. }));
}
