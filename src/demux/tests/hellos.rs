//! The ClientHello: reassembled from any fragments, and read for its SRTP profiles.

use proptest::prelude::*;

use super::handshakes::rtc_client;
use super::*;

const GCM: u16 = 7;
const SHA1_80: u16 = 1;
const SHA1_32: u16 = 2;

/// A record in clear with any handshake body.
pub(crate) fn record(sequence: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![22, 0xfe, 0xfd];
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// A record with one fragment.
pub(crate) fn fragment(sequence: u64, kind: u8, message: u16, length: u32, offset: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&length.to_be_bytes()[1..]);
    bytes.extend_from_slice(&message.to_be_bytes());
    bytes.extend_from_slice(&offset.to_be_bytes()[1..]);
    bytes.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    bytes.extend_from_slice(body);
    record(sequence, &bytes)
}

/// A record with one whole message.
pub(crate) fn message(kind: u8, message: u16, body: &[u8]) -> Vec<u8> {
    fragment(u64::from(message), kind, message, body.len() as u32, 0, body)
}

/// A ClientHello in one record; the second one carries a cookie.
pub(crate) fn hello(number: u16) -> Vec<u8> {
    message(1, number, &hello_body(number, &[SHA1_80, GCM], 0))
}

/// A server's flight as far as the demultiplexer reads it: a HelloVerifyRequest.
pub(crate) fn flight(number: u16) -> Vec<u8> {
    message(3, number, &[0xfe, 0xfd, 2, 9, 9])
}

/// The body of a ClientHello of Chromium's shape: `padding` bytes of a key share before use_srtp.
fn hello_body(number: u16, profiles: &[u16], padding: u16) -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend_from_slice(&[number as u8; 32]);
    body.extend_from_slice(&[0]);
    body.extend_from_slice(if number == 0 { &[0] } else { &[4, 1, 2, 3, 4] });
    body.extend_from_slice(&[0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]);
    let mut extensions = vec![0, 23, 0, 0, 0, 51];
    extensions.extend_from_slice(&padding.to_be_bytes());
    extensions.resize(extensions.len() + usize::from(padding), 0xab);
    let list: Vec<u8> = profiles.iter().flat_map(|profile| profile.to_be_bytes()).collect();
    extensions.extend_from_slice(&[0, 14]);
    extensions.extend_from_slice(&(list.len() as u16 + 3).to_be_bytes());
    extensions.extend_from_slice(&(list.len() as u16).to_be_bytes());
    extensions.extend_from_slice(&list);
    extensions.push(0);
    body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    body.extend_from_slice(&extensions);
    body
}

/// The two records that Chromium 156 makes of a ClientHello: 1,200 bytes and the rest.
fn chromium(number: u16, first_sequence: u64) -> (Vec<u8>, [Vec<u8>; 2]) {
    let body = hello_body(number, &[SHA1_80, SHA1_32, GCM], 1_300);
    let (head, tail) = body.split_at(1_200 - 25);
    let length = body.len() as u32;
    let records = [
        fragment(first_sequence, 1, number, length, 0, head),
        fragment(first_sequence + 1, 1, number, length, head.len() as u32, tail),
    ];
    (fragment(first_sequence, 1, number, length, 0, &body), records)
}

#[test]
fn two_records_in_one_datagram_reach_the_peer_as_one() {
    let mut bed = Bed::opened();
    let (whole, records) = chromium(0, 0);
    let profiles = SrtpProfiles { gcm: true, sha1_80: true };
    assert_eq!(
        bed.arrive(1, &records.concat()),
        Demultiplexed::ClientHello { key: own_key(), profiles, datagram: whole }
    );
}

#[test]
fn two_datagrams_in_any_order_reach_the_peer_as_one() {
    for order in [[0, 1], [1, 0]] {
        let mut bed = Bed::opened();
        let (whole, records) = chromium(0, 0);
        assert_eq!(bed.arrive(1, &records[order[0]]), Demultiplexed::Held);
        let Demultiplexed::ClientHello { datagram, .. } = bed.arrive(1, &records[order[1]]) else {
            panic!("not whole");
        };
        assert_eq!(datagram[13..], whole[13..]);
        assert_eq!(datagram[3..11], (order[0] as u64).to_be_bytes(), "the number of the fragment that came first");
    }
}

#[test]
fn a_lost_half_is_completed_by_the_repetition() {
    let mut bed = Bed::opened();
    let (whole, first) = chromium(0, 0);
    let (_, second) = chromium(0, 2);
    assert_eq!(bed.arrive(1, &first[0]), Demultiplexed::Held);
    assert_eq!(bed.arrive(1, &second[0]), Demultiplexed::Held);
    let Demultiplexed::ClientHello { datagram, .. } = bed.arrive(1, &second[1]) else {
        panic!("not whole");
    };
    assert_eq!(datagram, whole);
}

#[test]
fn the_hello_with_the_cookie_is_reassembled_too_and_passed_as_dtls() {
    let mut bed = Bed::opened();
    let (_, records) = chromium(0, 0);
    assert!(matches!(bed.arrive(1, &records.concat()), Demultiplexed::ClientHello { .. }));
    assert_eq!(bed.demux.send_dtls(own_key(), &flight(0), bed.now), Some(path(1)));
    let (whole, records) = chromium(1, 2);
    assert_eq!(bed.arrive(1, &records[0]), Demultiplexed::Held);
    assert_eq!(bed.arrive(1, &records[1]), Demultiplexed::Dtls { key: own_key(), datagram: Some(whole), clear: false });
}

#[test]
fn a_hello_in_one_record_needs_no_rewriting() {
    let mut bed = Bed::opened();
    let Demultiplexed::ClientHello { datagram, .. } = bed.arrive(1, &hello(0)) else {
        panic!("not a hello");
    };
    assert_eq!(datagram, hello(0));
    assert_eq!(bed.arrive(1, &hello(1)), Demultiplexed::Dtls { key: own_key(), datagram: None, clear: false });
}

#[test]
fn a_repeated_hello_is_answered_with_the_flight_and_does_not_reach_the_peer() {
    let mut bed = Bed::opened();
    bed.arrive(1, &hello(0));
    assert_eq!(bed.demux.send_dtls(own_key(), &flight(0), bed.now), Some(path(1)));
    bed.pass(millis(50));
    assert_eq!(bed.arrive(1, &hello(0)), Demultiplexed::Held);
    assert_eq!(bed.sent(), [(path(1), flight(0))]);
}

#[test]
fn a_real_hello_of_webrtc_rs_is_read_in_one_record_or_in_fragments() {
    for mtu in [1_200, 60] {
        let mut bed = Bed::opened();
        let mut datagrams = rtc_client(mtu, millis(1_000), bed.now);
        let mut arrivals = Vec::new();
        while let Some(transmit) = datagrams.poll_transmit() {
            arrivals.push(bed.arrive(1, &transmit.message));
        }
        let last = arrivals.pop();
        assert!(arrivals.iter().all(|arrival| *arrival == Demultiplexed::Held));
        let Some(Demultiplexed::ClientHello { profiles, datagram, .. }) = last else {
            panic!("not a hello: {last:?}");
        };
        assert_eq!(profiles, SrtpProfiles { gcm: true, sha1_80: true });
        assert_eq!(datagram[14..17], datagram[22..25], "one fragment");
    }
}

#[test]
fn the_profiles_are_what_use_srtp_lists() {
    let read = |profiles: &[u16]| SrtpProfiles::of(&hello_body(0, profiles, 9)).unwrap();
    assert_eq!(read(&[SHA1_80]), SrtpProfiles { gcm: false, sha1_80: true });
    assert_eq!(read(&[GCM]), SrtpProfiles { gcm: true, sha1_80: false });
    assert_eq!(read(&[SHA1_32, 8]), SrtpProfiles::default());
    let body = hello_body(0, &[GCM], 9);
    for end in 0..body.len() {
        let without_extensions = end == 2 + 32 + 2 + 8;
        assert_eq!(SrtpProfiles::of(&body[..end]).is_some(), without_extensions, "cut at {end}");
    }
}

proptest! {
    #[test]
    fn any_cut_in_any_order_with_repetitions_gives_the_same_hello(
        cuts in prop::collection::btree_set(1_usize..1_400, 0..9),
        order in Just((0..20_usize).collect::<Vec<_>>()).prop_shuffle(),
        stretch in 0_usize..50,
    ) {
        let body = hello_body(0, &[SHA1_80, GCM], 1_300);
        let mut bounds: Vec<usize> = [0].into_iter().chain(cuts.into_iter().filter(|cut| *cut < body.len())).chain([body.len()]).collect();
        bounds.dedup();
        // Each piece overlaps the next one.
        let pieces: Vec<Vec<u8>> = bounds
            .windows(2)
            .enumerate()
            .map(|(index, bound)| {
                let end = (bound[1] + stretch).min(body.len());
                fragment(index as u64, 1, 0, body.len() as u32, bound[0] as u32, &body[bound[0]..end])
            })
            .collect();
        let mut bed = Bed::opened();
        let mut whole = None;
        for index in order {
            match bed.arrive(1, &pieces[index % pieces.len()]) {
                Demultiplexed::Held => {}
                Demultiplexed::ClientHello { datagram, .. } if whole.is_none() => whole = Some(datagram),
                Demultiplexed::Dtls { datagram: None, .. } if pieces[index % pieces.len()].len() == 25 + body.len() => {}
                Demultiplexed::Dtls { datagram: Some(again), .. } => prop_assert_eq!(&again[13..], &whole.as_ref().unwrap()[13..]),
                other => prop_assert!(false, "{:?}", other),
            }
        }
        let expected = message(1, 0, &body);
        prop_assert_eq!(&whole.unwrap()[13..], &expected[13..]);
    }
}
