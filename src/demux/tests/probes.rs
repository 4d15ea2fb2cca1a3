//! The round-trip time: a probe goes over the selected path, and one answer from there is accepted.

use super::*;

#[test]
fn the_answer_to_a_probe_measures_the_round_trip_time_and_does_not_move_media() {
    let mut bed = Bed::connected();
    bed.sent();
    let now = bed.now;
    bed.demux.probe(own_key(), now);
    let probes = bed.our_checks();
    let [(to, probe)] = probes.as_slice() else { panic!("not one probe: {probes:?}") };
    assert_eq!(*to, path(1));
    let answer = bed.client.answer(probe);
    bed.pass(millis(40));
    assert_eq!(bed.arrive(2, &answer), Demultiplexed::Foreign, "from elsewhere");
    assert_eq!(bed.demux.facts(own_key()).unwrap().round_trip, None);
    assert_eq!(bed.arrive(1, &answer), Demultiplexed::Answered);
    assert_eq!(bed.demux.facts(own_key()).unwrap().round_trip, Some(millis(40)));
    assert_eq!(bed.arrive(1, &answer), Demultiplexed::Foreign, "once");
    assert_eq!((bed.demux.path(own_key()), bed.events()), (Some(path(1)), vec![]));
}

#[test]
fn a_probe_is_not_repeated_and_its_answer_must_be_signed_by_the_client() {
    let mut bed = Bed::connected();
    bed.sent();
    let now = bed.now;
    bed.demux.probe(own_key(), now);
    let (_, probe) = bed.our_checks().remove(0);
    let mut request = Message::new();
    request.unmarshal_binary(&probe).unwrap();
    let forged = bed.client.answer_signed(&request.transaction_id, "another password of 22");
    assert_eq!(bed.arrive(1, &forged), Demultiplexed::Foreign);
    bed.pass(millis(3_000));
    assert!(bed.our_checks().is_empty());
    assert_eq!(bed.demux.facts(own_key()).unwrap().round_trip, None);
}

#[test]
fn a_client_that_is_not_connected_gets_no_check() {
    let mut bed = Bed::admitted();
    bed.check(1, true);
    bed.sent();
    let now = bed.now;
    bed.demux.probe(own_key(), now);
    bed.demux.probe(Key::in_place(99), now);
    assert!(bed.our_checks().is_empty());
}
