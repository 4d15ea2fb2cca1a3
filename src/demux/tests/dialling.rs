//! A leg that the relay dials: its checks and nomination, which of two controlling agents gives up the role, and what
//! strangers can make of it.

use std::cmp::Ordering;

use rtc::stun::attributes::{ATTR_ERROR_CODE, ATTR_ICE_CONTROLLING};
use rtc::stun::message::{BINDING_ERROR, CLASS_ERROR_RESPONSE};

use super::*;
use crate::ice::Leg;

/// A leg that dials these paths.
fn dialling(paths: &[u8]) -> Bed {
    let mut bed = Bed { demux: Demux::new([1; 32]), client: Client::new(""), now: Instant::now() };
    let leg = Leg::Dialling(paths.iter().copied().map(path).collect());
    bed.demux.admit_with(Some(leg), own_key(), bed.client.admission(), bed.now);
    bed.demux.handle_timeout(bed.now);
    bed
}

/// A check of ours, read by webrtc-rs.
fn read(check: &[u8]) -> Message {
    let mut message = Message::new();
    message.unmarshal_binary(check).unwrap();
    message
}

/// The answer of the other relay to a check.
fn answer(bed: &Bed, check: &[u8]) -> Vec<u8> {
    bed.client.answer_signed(&read(check).transaction_id, &bed.client.own.pwd)
}

/// The error answer of an agent that keeps the controlling role, under this password.
fn conflict(check: &[u8], password: &str) -> Vec<u8> {
    let provider = provider();
    let integrity = MessageIntegrity::new_short_term_integrity_with_provider(password.to_owned(), provider.crypto());
    let setters: Vec<Box<dyn Setter + '_>> = vec![
        Box::new(BINDING_ERROR),
        Box::new(read(check).transaction_id),
        Box::new(Raw(ATTR_ERROR_CODE, vec![0, 0, 4, 87])),
        Box::new(integrity),
        Box::new(FINGERPRINT),
    ];
    let mut message = Message::new();
    message.build(&setters).unwrap();
    message.raw
}

/// A check of an agent that takes the controlling role too, with this tie-breaker.
fn controlling_check(bed: &Bed, tie_breaker: u64) -> Vec<u8> {
    let provider = provider();
    let username = format!("{}:{}", bed.client.relay.ufrag, bed.client.own.ufrag);
    let password = bed.client.relay.pwd.clone();
    let setters: Vec<Box<dyn Setter + '_>> = vec![
        Box::new(BINDING_REQUEST),
        Box::new(TransactionId::new()),
        Box::new(Raw(ATTR_USERNAME, username.into_bytes())),
        Box::new(Raw(ATTR_ICE_CONTROLLING, tie_breaker.to_be_bytes().to_vec())),
        Box::new(MessageIntegrity::new_short_term_integrity_with_provider(password, provider.crypto())),
        Box::new(FINGERPRINT),
    ];
    let mut message = Message::new();
    message.build(&setters).unwrap();
    message.raw
}

/// What a check says: whether its sender is controlling, and whether it nominates the path.
fn role(check: &[u8]) -> (bool, bool) {
    let check = read(check);
    assert!(
        check.contains(ATTR_PRIORITY) && check.contains(ATTR_ICE_CONTROLLING) != check.contains(ATTR_ICE_CONTROLLED)
    );
    (check.contains(ATTR_ICE_CONTROLLING), check.contains(ATTR_USE_CANDIDATE))
}

#[test]
fn the_first_answer_opens_the_session_and_the_path_is_nominated_by_a_second_check() {
    let mut bed = dialling(&[1, 2]);
    let (to, first) = bed.sent().remove(0);
    assert_eq!((to, role(&first)), (path(1), (true, false)));
    bed.pass(millis(50));
    let (to, second) = bed.sent().remove(0);
    assert_eq!((to, role(&second)), (path(2), (true, false)));
    let from_second = answer(&bed, &second);
    assert_eq!(bed.arrive(1, &from_second), Demultiplexed::Foreign, "from another address than was asked");
    assert_eq!(bed.arrive(2, &from_second), Demultiplexed::Opened(own_key()));
    let (to, nomination) = bed.sent().remove(0);
    assert_eq!((to, role(&nomination)), (path(2), (true, true)));
    // DTLS goes to the address that has answered.
    assert_eq!(bed.demux.path(own_key()), Some(path(2)));
    let from_first = answer(&bed, &first);
    assert_eq!(bed.arrive(1, &from_first), Demultiplexed::Foreign, "too late: its check has ended");
    let nominated = answer(&bed, &nomination);
    assert_eq!(bed.arrive(2, &nominated), Demultiplexed::Answered);
    bed.pass(millis(9_000));
    assert_eq!(bed.sent(), [], "nothing is checked any more before the session is connected");
}

#[test]
fn a_request_of_the_other_end_is_answered_and_opens_nothing() {
    let mut bed = dialling(&[1]);
    bed.sent();
    for from in [1, 2] {
        assert_eq!(bed.check(from, true), Demultiplexed::Answered);
        let answers = bed.sent();
        assert_eq!((answers.len(), answers[0].0), (1, path(from)));
    }
    assert_eq!(bed.demux.path(own_key()), None);
    assert_eq!(bed.arrive(2, &hellos::hello(0)), Demultiplexed::Foreign);
}

#[test]
fn of_two_controlling_agents_the_one_with_the_larger_tie_breaker_keeps_the_role() {
    for (theirs, kept) in [(0, Ordering::Greater), (u64::MAX, Ordering::Less)] {
        let mut bed = dialling(&[1]);
        let (_, first) = bed.sent().remove(0);
        let check = controlling_check(&bed, theirs);
        bed.arrive(1, &check);
        let (_, reply) = bed.sent().remove(0);
        let is_error = read(&reply).typ.class == CLASS_ERROR_RESPONSE;
        assert_eq!(is_error, kept == Ordering::Greater, "{theirs}");
        let mut reply = read(&reply);
        MessageIntegrity::check(&mut reply, bed.client.relay.pwd.as_bytes(), provider().crypto()).unwrap();
        let from_first = answer(&bed, &first);
        bed.arrive(1, &from_first);
        assert_eq!(bed.demux.path(own_key()), Some(path(1)));
        let nominates = bed.sent().iter().any(|(_, check)| role(check).1);
        assert_eq!(nominates, kept == Ordering::Greater, "only the controlling agent nominates");
    }
}

#[test]
fn an_agent_that_is_told_of_a_conflict_checks_again_in_the_other_role_once() {
    let mut bed = dialling(&[1]);
    let (_, first) = bed.sent().remove(0);
    let forged = conflict(&first, "another password of 22 letters");
    assert_eq!(bed.arrive(1, &forged), Demultiplexed::Foreign);
    let told = conflict(&first, &bed.client.own.pwd.clone());
    assert_eq!(bed.arrive(2, &told), Demultiplexed::Foreign, "from elsewhere");
    assert_eq!(bed.arrive(1, &told), Demultiplexed::Answered);
    let (to, second) = bed.sent().remove(0);
    assert_eq!((to, role(&second)), (path(1), (false, false)));
    assert_ne!(read(&first).transaction_id, read(&second).transaction_id);
    let again = conflict(&second, &bed.client.own.pwd.clone());
    assert_eq!(bed.arrive(1, &again), Demultiplexed::Foreign, "the roles do not change back and forth");
    let from_second = answer(&bed, &second);
    assert_eq!(bed.arrive(1, &from_second), Demultiplexed::Opened(own_key()));
    assert_eq!(bed.demux.path(own_key()), Some(path(1)));
}

/// What a hostile relay does.
#[derive(Clone, Debug)]
enum Step {
    Answer { from: u8, check: usize },
    Conflict { from: u8, check: usize },
    Request { from: u8, tie_breaker: Option<u64> },
    Bytes { from: u8, bytes: Vec<u8> },
    Wait { milliseconds: u64 },
}

fn step() -> impl proptest::prelude::Strategy<Value = Step> {
    use proptest::prelude::*;
    prop_oneof![
        (1..6_u8, 0..40_usize).prop_map(|(from, check)| Step::Answer { from, check }),
        (1..6_u8, 0..40_usize).prop_map(|(from, check)| Step::Conflict { from, check }),
        (1..6_u8, prop::option::of(any::<u64>())).prop_map(|(from, tie_breaker)| Step::Request { from, tie_breaker }),
        (1..6_u8, prop::collection::vec(any::<u8>(), 0..60)).prop_map(|(from, bytes)| Step::Bytes { from, bytes }),
        (1..2_000_u64).prop_map(|milliseconds| Step::Wait { milliseconds }),
    ]
}

proptest::proptest! {
    #[test]
    fn whatever_the_other_end_does_only_dialled_addresses_are_checked_a_few_times(
        steps in proptest::prelude::prop::collection::vec(step(), 0..80)
    ) {
        let mut bed = dialling(&[1, 2, 3, 4]);
        let mut checks: Vec<(FiveTuple, Vec<u8>)> = Vec::new();
        let (mut requests, mut answers) = (0, 0);
        let mut take = |bed: &mut Bed, checks: &mut Vec<(FiveTuple, Vec<u8>)>| {
            for (to, datagram) in bed.sent() {
                if datagram[..2] == [0, 1] { checks.push((to, datagram)) } else { answers += 1 }
            }
        };
        take(&mut bed, &mut checks);
        for step in steps {
            let known = |check: usize| checks.get(check).map(|(_, check)| check.clone());
            match step {
                Step::Answer { from, check } => if let Some(check) = known(check) {
                    let datagram = answer(&bed, &check);
                    bed.arrive(from, &datagram);
                }
                Step::Conflict { from, check } => if let Some(check) = known(check) {
                    let datagram = conflict(&check, &bed.client.own.pwd.clone());
                    bed.arrive(from, &datagram);
                }
                Step::Request { from, tie_breaker } => {
                    requests += 1;
                    match tie_breaker {
                        Some(tie_breaker) => { let check = controlling_check(&bed, tie_breaker); bed.arrive(from, &check); }
                        None => { bed.check(from, true); }
                    }
                }
                Step::Bytes { from, bytes } => { bed.arrive(from, &bytes); }
                Step::Wait { milliseconds } => bed.pass(millis(milliseconds)),
            }
            take(&mut bed, &mut checks);
        }
        // 4 addresses, 5 copies; the nomination and what the budget of further checks allows in 10 s.
        proptest::prop_assert!(checks.len() <= 20 + 5 * 9, "{} checks", checks.len());
        proptest::prop_assert!(answers <= requests);
    }
}
