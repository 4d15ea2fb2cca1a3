//! Media moves only to an address from which a check of ours was answered.

use super::*;

#[test]
fn a_nominated_address_gets_media_once_it_has_answered_a_check() {
    let mut bed = Bed::connected();
    assert_eq!(bed.check(2, true), Demultiplexed::Answered);
    assert_eq!(bed.demux.path(own_key()), Some(path(1)));
    let checks = bed.our_checks();
    let [(to, check)] = checks.as_slice() else {
        panic!("not one check: {checks:?}");
    };
    assert_eq!(*to, path(2));
    let answer = bed.client.answer(check);
    assert_eq!(bed.arrive(2, &answer), Demultiplexed::Answered);
    assert_eq!(
        (bed.demux.path(own_key()), bed.events()),
        (Some(path(2)), vec![DemuxEvent::Moved { key: own_key(), path: path(2) }])
    );
    assert_eq!(bed.arrive(2, RTP), Demultiplexed::Rtp(own_key()));
    assert_eq!(bed.arrive(1, RTP), Demultiplexed::Rtp(own_key()), "what was under way still counts");
    assert_eq!(bed.demux.facts(own_key()).unwrap().moves, 1);
}

#[test]
fn an_address_that_never_answers_gets_three_small_checks_and_no_media() {
    let mut bed = Bed::connected();
    bed.check(66, true);
    let mut sent = bed.our_checks();
    bed.pass(millis(5_000));
    sent.extend(bed.our_checks());
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|(to, check)| *to == path(66) && check.len() < 160));
    assert_eq!((bed.demux.path(own_key()), bed.events()), (Some(path(1)), vec![]));
}

#[test]
fn many_forged_addresses_get_checks_only_at_a_bounded_rate() {
    let mut bed = Bed::connected();
    let mut checks = 0;
    for step in 0..10_000_u32 {
        bed.check((step % 200) as u8 + 2, true);
        bed.pass(millis(1));
        checks += bed.our_checks().len();
        assert_eq!(bed.demux.path(own_key()), Some(path(1)));
    }
    // Four at once and one every 2 s, in three copies.
    assert!(checks <= 3 * (4 + 5), "{checks} checks in 10 s");
    assert!(bed.demux.claim_by_path.len() <= 8);
    assert_eq!(bed.arrive(1, RTP), Demultiplexed::Rtp(own_key()));
}

#[test]
fn only_a_signed_answer_to_our_check_from_the_checked_address_moves_media() {
    let mut bed = Bed::connected();
    bed.check(2, true);
    let checks = bed.our_checks();
    let answer = bed.client.answer(&checks[0].1);
    let mut request = Message::new();
    request.unmarshal_binary(&checks[0].1).unwrap();
    let mut guess = request.transaction_id;
    guess.0[11] ^= 1;
    let forgeries = [
        (2, bed.client.answer_signed(&guess, &bed.client.own.pwd)),
        (3, answer.clone()),
        (1, answer.clone()),
        (2, bed.client.answer_signed(&TransactionId::new(), &bed.client.own.pwd)),
        (2, bed.client.answer_signed(&request.transaction_id, &bed.client.relay.pwd)),
        (2, bed.client.answer_signed(&request.transaction_id, "")),
    ];
    for (from, forgery) in forgeries {
        assert_eq!(bed.arrive(from, &forgery), Demultiplexed::Foreign);
        assert_eq!(bed.demux.path(own_key()), Some(path(1)));
    }
    bed.pass(millis(2_000));
    assert_eq!(bed.arrive(2, &answer), Demultiplexed::Foreign, "too late");
    assert_eq!((bed.demux.path(own_key()), bed.events()), (Some(path(1)), vec![]));
}

#[test]
fn a_plain_check_from_elsewhere_is_a_move_only_when_the_old_path_has_been_silent() {
    let mut bed = Bed::connected();
    bed.pass(millis(999));
    bed.check(2, false);
    assert_eq!(bed.our_checks(), []);
    bed.pass(millis(1));
    bed.check(2, false);
    let checks = bed.our_checks();
    let answer = bed.client.answer(&checks[0].1);
    bed.arrive(2, &answer);
    assert_eq!(bed.demux.path(own_key()), Some(path(2)));
}

#[test]
fn a_plain_check_from_elsewhere_is_a_move_once_the_old_path_falls_silent() {
    let mut bed = Bed::connected();
    bed.pass(millis(100));
    bed.demux.authenticated(own_key(), path(1), bed.now);
    bed.pass(millis(200));
    bed.check(2, false);
    bed.pass(millis(799));
    assert_eq!(bed.our_checks(), []);
    bed.pass(millis(1));
    let checks = bed.our_checks();
    assert_eq!(checks.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [path(2)]);
    let answer = bed.client.answer(&checks[0].1);
    bed.arrive(2, &answer);
    assert_eq!(bed.demux.path(own_key()), Some(path(2)));
}

#[test]
fn a_plain_check_from_elsewhere_is_no_move_if_the_old_path_is_heard_after_it() {
    let mut bed = Bed::connected();
    bed.pass(millis(200));
    bed.check(2, false);
    bed.pass(millis(500));
    bed.demux.authenticated(own_key(), path(1), bed.now);
    bed.pass(millis(10_000));
    assert_eq!((bed.our_checks(), bed.demux.path(own_key())), (vec![], Some(path(1))));
}

#[test]
fn media_that_authenticates_keeps_the_path_from_being_silent() {
    let mut bed = Bed::connected();
    bed.pass(millis(900));
    bed.demux.authenticated(own_key(), path(1), bed.now);
    bed.pass(millis(900));
    bed.check(2, false);
    assert_eq!(bed.our_checks(), []);
}

#[test]
fn an_answer_to_an_older_nomination_does_not_move_back() {
    let mut bed = Bed::connected();
    bed.check(2, true);
    let old = bed.our_checks();
    bed.check(3, true);
    let new = bed.our_checks();
    let answers = [bed.client.answer(&new[0].1), bed.client.answer(&old[0].1)];
    bed.arrive(3, &answers[0]);
    bed.arrive(2, &answers[1]);
    assert_eq!(bed.demux.path(own_key()), Some(path(3)));
    assert_eq!(bed.events().len(), 1);
}

#[test]
fn a_client_can_return_to_an_address_that_it_left() {
    let mut bed = Bed::connected();
    for to in [2, 1, 2] {
        bed.pass(millis(3_000));
        bed.check(to, true);
        let checks = bed.our_checks();
        let answer = bed.client.answer(&checks[0].1);
        bed.arrive(to, &answer);
        assert_eq!(bed.demux.path(own_key()), Some(path(to)));
    }
}

#[test]
fn a_handshake_over_two_addresses_proves_neither_until_one_answers() {
    let mut bed = Bed::opened();
    // A hostile client begins the handshake from its own address and forges the victim's for the last flight.
    let victim = 66;
    bed.check(victim, true);
    bed.sent();
    bed.arrive(1, &hellos::hello(0));
    assert_eq!(bed.demux.send_dtls(own_key(), &hellos::flight(0), bed.now), Some(path(1)));
    bed.arrive(victim, &hellos::message(16, 1, &[0; 40]));
    bed.demux.connected(own_key(), bed.now);
    assert_eq!(bed.demux.path(own_key()), None);
    for _ in 0..20 {
        bed.check(victim, true);
        bed.pass(millis(500));
        assert_eq!(bed.demux.path(own_key()), None);
    }
    bed.sent();
    bed.check(1, true);
    let checks = bed.our_checks();
    let answer = bed.client.answer(&checks.iter().find(|(to, _)| *to == path(1)).unwrap().1);
    bed.arrive(1, &answer);
    assert_eq!(bed.demux.path(own_key()), Some(path(1)));
}
