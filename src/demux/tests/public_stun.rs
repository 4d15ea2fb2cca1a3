//! Binding requests without credentials, where `--stun` allows them.

use super::*;
use crate::ice::binding;
use crate::ice::public_stun::PublicStun;

const TRANSACTION: [u8; 12] = *b"transaction!";

/// A Binding request with these attributes behind the header.
fn request(attributes: &[u8]) -> Vec<u8> {
    let mut request = binding::request(&TRANSACTION);
    request.extend_from_slice(attributes);
    request[3] = attributes.len() as u8;
    request
}

/// A connected session on a worker that answers requests without credentials.
fn public() -> Bed {
    let mut bed = Bed::connected();
    bed.sent();
    bed.demux = bed.demux.with(Some(PublicStun::new(bed.now)));
    bed
}

#[test]
fn requests_without_credentials_get_no_answer_unless_that_is_allowed() {
    let mut bed = Bed::connected();
    assert_eq!(bed.arrive(9, &request(&[])), Demultiplexed::Dropped(DropReason::NotIntegrity));
    assert!(bed.sent().is_empty());
}

#[test]
fn a_request_without_credentials_is_answered_with_its_address_alone_and_changes_no_session() {
    let mut bed = public();
    let facts = |bed: &Bed| bed.demux.facts(own_key()).map(|it| (it.checks, it.forged, it.paths, it.moves, it.dropped));
    let before = facts(&bed);
    for from in [9, 1] {
        assert_eq!(bed.arrive(from, &request(&[])), Demultiplexed::PublicAnswer);
        let [(to, answer)] = &bed.sent()[..] else { panic!("one answer") };
        assert_eq!((*to, answer.len()), (path(from), 32));
        assert_eq!(binding::mapped_address(answer, &TRANSACTION), Some(path(from).remote));
    }
    assert_eq!(facts(&bed), before);
    assert_eq!(bed.arrive(9, RTP), Demultiplexed::Foreign, "its sender has proven nothing");
}

#[test]
fn no_answer_is_much_longer_than_its_request_and_none_follows_an_answer() {
    let mut bed = public();
    // SOFTWARE, an unknown optional and an unknown mandatory attribute, a cut one, USERNAME, MESSAGE-INTEGRITY.
    let all: [&[u8]; 6] = [
        &[0x80, 0x22, 0, 4, 1, 2, 3, 4],
        &[0xc0, 1, 0, 0],
        &[0x7f, 1, 0, 0],
        &[0x80, 0x22, 0, 9, 1, 2, 3, 4],
        &[0, 6, 0, 4, b'a', b':', b'b', b'c'],
        &[0, 8, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    let mut answered = 0;
    for attributes in all {
        let request = request(attributes);
        bed.arrive(9, &request);
        for (_, answer) in bed.sent() {
            assert!(answer.len() <= request.len() + 12);
            answered += 1;
            // A forged request could make two relays talk for ever if answers were answered.
            bed.arrive(9, &answer);
            assert!(bed.sent().is_empty());
        }
    }
    assert_eq!(answered, 2, "only the first two have neither credentials nor anything that must be understood");
    for kind in [[0, 0x11], [1, 1], [1, 0x11], [0, 3], [0, 4]] {
        let mut other = request(&[]);
        other[..2].copy_from_slice(&kind);
        bed.arrive(9, &other);
        assert!(bed.sent().is_empty(), "{kind:?} is no Binding request");
    }
}

#[test]
fn a_flood_of_requests_without_credentials_draws_fifty_answers_and_a_session_goes_on() {
    let mut bed = public();
    let (mut answered, mut limited) = (0, 0);
    for _ in 0..10_000 {
        match bed.arrive(9, &request(&[])) {
            Demultiplexed::PublicAnswer => answered += 1,
            Demultiplexed::Dropped(DropReason::StunLimit) => limited += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((answered, limited, bed.sent().len()), (50, 9_950, 50));
    assert_eq!(bed.check(1, false), Demultiplexed::Answered);
    assert_eq!(bed.sent().len(), 1);
}
