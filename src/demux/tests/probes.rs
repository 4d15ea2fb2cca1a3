//! How far away a client is: asked where its media goes, believed only from there and only once.

use super::*;

#[test]
fn the_answer_to_a_probe_tells_the_round_trip_and_moves_nothing() {
    let mut bed = Bed::connected();
    bed.sent();
    let now = bed.now;
    bed.demux.probe(KEY, now);
    let probes = bed.our_checks();
    let [(to, probe)] = probes.as_slice() else { panic!("not one probe: {probes:?}") };
    assert_eq!(*to, path(1));
    let answer = bed.client.answer(probe);
    bed.pass(millis(40));
    assert_eq!(bed.arrive(2, &answer), Demultiplexed::Foreign, "from elsewhere");
    assert_eq!(bed.demux.facts(KEY).unwrap().round_trip, None);
    assert_eq!(bed.arrive(1, &answer), Demultiplexed::Answered);
    assert_eq!(bed.demux.facts(KEY).unwrap().round_trip, Some(millis(40)));
    assert_eq!(bed.arrive(1, &answer), Demultiplexed::Foreign, "once");
    assert_eq!((bed.demux.path(KEY), bed.events()), (Some(path(1)), vec![]));
}

#[test]
fn a_probe_is_not_repeated_and_an_answer_must_be_the_clients() {
    let mut bed = Bed::connected();
    bed.sent();
    let now = bed.now;
    bed.demux.probe(KEY, now);
    let (_, probe) = bed.our_checks().remove(0);
    let mut request = Message::new();
    request.unmarshal_binary(&probe).unwrap();
    let forged = bed.client.answer_signed(&request.transaction_id, "another password of 22");
    assert_eq!(bed.arrive(1, &forged), Demultiplexed::Foreign);
    bed.pass(millis(3_000));
    assert!(bed.our_checks().is_empty());
    assert_eq!(bed.demux.facts(KEY).unwrap().round_trip, None);
}

#[test]
fn a_client_that_is_not_connected_gets_no_check() {
    let mut bed = Bed::admitted();
    bed.check(1, true);
    bed.sent();
    let now = bed.now;
    bed.demux.probe(KEY, now);
    bed.demux.probe(Key(99), now);
    assert!(bed.our_checks().is_empty());
}
