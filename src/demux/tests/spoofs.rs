//! Datagrams from an address that has proven nothing have no effect.

use super::*;

/// Hello, alert, data, RTP and RTCP from a second address.
fn spoofed() -> Vec<Vec<u8>> {
    vec![hellos::hello(0), hellos::hello(1), ALERT.to_vec(), DATA.to_vec(), RTP.to_vec(), RTCP.to_vec()]
}

#[test]
fn before_ice_only_stun_reaches_a_session() {
    let mut bed = Bed::admitted();
    for datagram in spoofed() {
        assert_eq!(bed.arrive(2, &datagram), Demultiplexed::Foreign);
    }
    assert_eq!((bed.sent(), bed.demux.path(own_key())), (vec![], None));
}

#[test]
fn between_ice_and_dtls_a_second_address_is_foreign_and_the_first_may_send_only_dtls() {
    let mut bed = Bed::opened();
    for datagram in spoofed() {
        assert_eq!(bed.arrive(2, &datagram), Demultiplexed::Foreign);
    }
    assert_eq!((bed.sent(), bed.demux.path(own_key())), (vec![], Some(path(1))));
    assert_eq!(bed.arrive(1, RTP), Demultiplexed::Dropped(DropReason::UnknownPath));
    assert_eq!(bed.demux.facts(own_key()).unwrap().dropped, 1);
    bed.complete_on(1);
    assert_eq!(bed.demux.path(own_key()), Some(path(1)));
}

#[test]
fn a_second_address_of_a_connected_session_is_foreign() {
    let mut bed = Bed::connected();
    for datagram in spoofed() {
        assert_eq!(bed.arrive(2, &datagram), Demultiplexed::Foreign);
    }
    assert_eq!((bed.sent(), bed.events(), bed.demux.path(own_key())), (vec![], vec![], Some(path(1))));
}

#[test]
fn an_address_that_only_sent_checks_does_not_reach_the_peer_of_a_connected_session_by_dtls() {
    let mut bed = Bed::connected();
    bed.check(2, true);
    let dtls = [hellos::hello(0), hellos::hello(1), ALERT.to_vec(), DATA.to_vec()];
    for datagram in &dtls {
        assert_eq!(bed.arrive(2, datagram), Demultiplexed::Dropped(DropReason::UnknownPath));
    }
    assert_eq!(bed.demux.facts(own_key()).unwrap().dropped, dtls.len() as u64);
    assert_eq!((bed.events(), bed.demux.path(own_key())), (vec![], Some(path(1))));
}

#[test]
fn media_passes_from_each_checked_address_of_a_connected_session_and_goes_to_none_of_them() {
    for nominates in [false, true] {
        let mut bed = Bed::connected();
        bed.check(2, nominates);
        assert_eq!(bed.arrive(2, RTP), Demultiplexed::Rtp(own_key()));
        assert_eq!(bed.arrive(2, RTCP), Demultiplexed::Rtcp(own_key()));
        assert_eq!(bed.demux.facts(own_key()).unwrap().dropped, 0);
        assert_eq!((bed.events(), bed.demux.path(own_key())), (vec![], Some(path(1))));
        assert_eq!(bed.arrive(3, RTP), Demultiplexed::Foreign);
    }
}

#[test]
fn a_check_without_the_sessions_integrity_gets_no_answer_and_changes_nothing() {
    let unsigned = |client: &Client| {
        let mut message = Message::new();
        let username = format!("{}:{}", client.relay.ufrag, client.own.ufrag);
        let setters: Vec<Box<dyn Setter>> = vec![
            Box::new(BINDING_REQUEST),
            Box::new(TransactionId::new()),
            Box::new(Raw(ATTR_USERNAME, username.into_bytes())),
            // A role conflict, which makes a full agent switch roles before it checks the integrity.
            Box::new(Raw(ATTR_ICE_CONTROLLED, vec![0xff; 8])),
            Box::new(Raw(ATTR_USE_CANDIDATE, Vec::new())),
            Box::new(FINGERPRINT),
        ];
        message.build(&setters).unwrap();
        message.raw
    };
    for mut bed in [Bed::admitted(), Bed::opened(), Bed::connected()] {
        let before = bed.demux.path(own_key());
        let mut stranger = bed.client.clone();
        stranger.own.ufrag = "somebodyelse".to_owned();
        let forgeries = [
            unsigned(&bed.client),
            bed.client.check_signed(true, "some other password"),
            bed.client.check_signed(true, &bed.client.own.pwd),
            stranger.check(true),
        ];
        for forgery in forgeries {
            for from in [1, 2] {
                assert_eq!(bed.arrive(from, &forgery), Demultiplexed::Dropped(DropReason::NotIntegrity));
            }
        }
        assert_eq!((bed.sent(), bed.events(), bed.demux.path(own_key())), (vec![], vec![], before));
        assert!(bed.demux.facts(own_key()).unwrap().forged >= 6);
        assert_eq!(bed.arrive(2, RTP), Demultiplexed::Foreign);
    }
}

#[test]
fn another_session_cannot_take_the_address_of_a_client_that_does_not_answer_for_it() {
    let mut bed = Bed::connected();
    let thief = Client::new("thief");
    bed.demux.admit(Key::in_place(8), thief.admission(), bed.now);
    for _ in 0..20 {
        bed.arrive(1, &thief.check(true));
        bed.pass(millis(400));
        assert_eq!(bed.arrive(1, RTP), Demultiplexed::Rtp(own_key()));
        assert_eq!(bed.demux.path(own_key()), Some(path(1)));
        assert_eq!(bed.demux.path(Key::in_place(8)), None);
    }
}

#[test]
fn a_client_that_comes_back_from_the_same_address_takes_it_by_answering() {
    let mut bed = Bed::connected();
    let reborn = Client::new("reborn");
    bed.demux.admit(Key::in_place(8), reborn.admission(), bed.now);
    assert_eq!(bed.arrive(1, &reborn.check(true)), Demultiplexed::Opened(Key::in_place(8)));
    let checks = bed.our_checks();
    assert_eq!(bed.arrive(1, &reborn.answer(&checks[0].1)), Demultiplexed::Answered);
    assert_eq!((bed.demux.path(own_key()), bed.demux.path(Key::in_place(8))), (None, Some(path(1))));
    let Demultiplexed::ClientHello { key, .. } = bed.arrive(1, &hellos::hello(0)) else {
        panic!("the hello went astray");
    };
    assert_eq!(key, Key::in_place(8));
}
