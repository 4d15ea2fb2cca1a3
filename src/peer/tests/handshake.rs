//! Sessions without errors: keys, RTCP, timers, and each way to end.

use std::time::Duration;

use super::{CASE, Case, RELAY, Session, context, pli, pli_of};
use crate::name::Role;
use crate::peer::client::Client;
use crate::peer::{Peer, PeerEvent};
use crate::sdp::{Candidates, Local, Offer};
use crate::srtp::{MasterKey, SrtpProfile};

const BOTH: &[SrtpProfile] = &[SrtpProfile::Aes128CmSha1_80, SrtpProfile::Aes128Gcm];
const SHA1_ONLY: &[SrtpProfile] = &[SrtpProfile::Aes128CmSha1_80];

fn every_case() -> impl Iterator<Item = (Case, SrtpProfile)> {
    let roles = [Role::Viewer, Role::Publisher].into_iter();
    roles.flat_map(|role| [false, true].map(|dtls_client| (role, dtls_client))).flat_map(|(role, dtls_client)| {
        [false, true].into_iter().flat_map(move |application| {
            let case = Case { role, dtls_client, application, ..CASE };
            let gcm = Case { profile: SrtpProfile::Aes128Gcm, supported: BOTH, ..case };
            let sha1 = Case { profile: SrtpProfile::Aes128CmSha1_80, supported: BOTH, ..case };
            [(gcm, SrtpProfile::Aes128Gcm), (sha1, SrtpProfile::Aes128CmSha1_80)]
        })
    })
}

fn same(one: &MasterKey, other: &MasterKey) -> bool {
    (one.profile, one.key, one.salt) == (other.profile, other.key, other.salt)
}

#[test]
fn both_ends_connect_with_each_others_keys_in_every_case() {
    for (case, profile) in every_case() {
        let mut session = Session::open(case);
        let (peer, client) = session.connect();
        assert_eq!(peer.local.profile, profile, "{case:?}");
        assert!(same(&peer.local, &client.remote) && same(&peer.remote, &client.local), "{case:?}");
        assert!(!same(&peer.local, &peer.remote), "{case:?}");
    }
}

#[test]
fn the_observed_keys_are_those_that_webrtc_rs_seals_with() {
    for (case, _) in every_case().filter(|(case, _)| !case.application) {
        let mut session = Session::open(case);
        let (keys, _) = session.connect();
        session.seen.clear();
        session.peer.send_rtcp(pli(7), session.now);
        session.client.send_rtcp(pli(9), session.now);
        session.exchange();
        assert_eq!(session.seen.len(), 2, "{case:?}");
        for (from_peer, datagram) in &session.seen {
            let master = if *from_peer { &keys.local } else { &keys.remote };
            let opened = context(master).decrypt_rtcp(datagram).unwrap();
            assert_eq!(pli_of(&opened), Some(if *from_peer { 7 } else { 9 }), "{case:?}");
        }
    }
}

#[test]
fn rtcp_passes_both_ways() {
    for (case, _) in every_case() {
        let mut session = Session::open(case);
        session.connect();
        for number in 0..100 {
            session.client.send_rtcp(pli(number), session.now);
            session.peer.send_rtcp(pli(1000 + number), session.now);
            session.exchange();
        }
        assert_eq!(session.peer_rtcp, (0..100).map(Some).collect::<Vec<_>>(), "{case:?}");
        assert_eq!(session.client_rtcp, (1000..1100).map(Some).collect::<Vec<_>>(), "{case:?}");
    }
}

#[test]
fn a_connected_peer_without_data_channels_needs_no_timer() {
    for (case, _) in every_case() {
        let mut session = Session::open(case);
        assert!(session.peer.poll_timeout().is_some(), "{case:?}");
        session.connect();
        assert_eq!(session.peer.poll_timeout().is_some(), case.application, "{case:?}");
        session.run(Duration::from_secs(60));
        assert!(session.peer_events.is_empty() && session.client_events.is_empty(), "{case:?}");
        session.client.send_rtcp(pli(1), session.now);
        session.exchange();
        assert_eq!(session.peer_rtcp, [Some(1)], "{case:?}");
    }
}

#[test]
fn the_clients_close_notify_is_seen_and_nothing_follows_it() {
    for (case, _) in every_case() {
        let mut session = Session::open(case);
        session.connect();
        session.client.close();
        session.exchange();
        assert!(matches!(session.peer_events[..], [PeerEvent::Closed]), "{case:?}: {:?}", session.peer_events);
        assert_eq!(session.peer.poll_timeout(), None, "{case:?}");
        session.peer.send_rtcp(pli(1), session.now);
        session.run(Duration::from_secs(5));
        assert_eq!(session.peer_events.len(), 1, "{case:?}");
    }
}

#[test]
fn closing_notifies_the_client() {
    for (case, _) in every_case() {
        let mut session = Session::open(case);
        session.connect();
        session.peer.close();
        session.exchange();
        assert!(matches!(session.client_events[..], [PeerEvent::Closed]), "{case:?}: {:?}", session.client_events);
        assert!(session.peer_events.is_empty(), "{case:?}");
    }
}

#[test]
fn a_client_without_gcm_connects_once_the_peer_is_opened_again() {
    let case = Case { supported: SHA1_ONLY, ..CASE };
    let mut session = Session::open(Case { profile: SrtpProfile::Aes128CmSha1_80, ..case });
    let (keys, _) = session.connect();
    assert_eq!(keys.local.profile, SrtpProfile::Aes128CmSha1_80);

    let mut session = Session::open(case);
    session.run(Duration::from_secs(2));
    let Some(PeerEvent::Failed(reason)) = session.peer_events.first() else { panic!("{:?}", session.peer_events) };
    assert!(reason.contains("insufficient_security"), "{reason}");
}

#[test]
fn as_the_dtls_client_the_relay_takes_gcm_where_the_server_has_it_and_sha1_elsewhere() {
    for (supported, expected) in [(BOTH, SrtpProfile::Aes128Gcm), (SHA1_ONLY, SrtpProfile::Aes128CmSha1_80)] {
        let mut session = Session::open(Case { dtls_client: true, supported, ..CASE });
        let (keys, _) = session.connect();
        assert_eq!(keys.local.profile, expected);
    }
}

#[test]
fn a_lost_flight_is_repeated() {
    for dtls_client in [false, true] {
        for lose in 1..4 {
            let mut session = Session::open(Case { dtls_client, ..CASE });
            session.lose = lose;
            session.run(Duration::from_secs(30));
            assert!(matches!(session.peer_events[..], [PeerEvent::Connected(_)]), "{:?}", session.peer_events);
            assert!(matches!(session.client_events[..], [PeerEvent::Connected(_)]), "{:?}", session.client_events);
        }
    }
}

/// The side that sends the ClientHello repeats it until webrtc-rs gives up.
#[test]
fn a_handshake_without_an_answer_ends_as_unanswered() {
    for dtls_client in [false, true] {
        let mut session = Session::open(Case { dtls_client, ..CASE });
        session.lose = usize::MAX;
        session.run(Duration::from_secs(30));
        let events = if dtls_client { &session.peer_events } else { &session.client_events };
        assert!(matches!(events[..], [PeerEvent::Unanswered]), "{dtls_client}: {events:?}");
    }
}

#[test]
fn reordered_records_connect() {
    for dtls_client in [false, true] {
        let mut session = Session::open(Case { dtls_client, ..CASE });
        session.reorders = true;
        session.run(Duration::from_secs(5));
        assert!(matches!(session.peer_events[..], [PeerEvent::Connected(_)]), "{:?}", session.peer_events);
        assert!(matches!(session.client_events[..], [PeerEvent::Connected(_)]), "{:?}", session.client_events);
    }
}

#[test]
fn a_client_of_webrtc_rs_and_the_relays_own_answer_agree() {
    for (role, application) in [(Role::Publisher, false), (Role::Viewer, false), (Role::Viewer, true)] {
        let mut agreed = None;
        let mut session = Session::open_by(Case { role, application, ..CASE }, |offer, local, fingerprint| {
            let offer = Offer::parse(offer, role).unwrap();
            let local = Local {
                credentials: local.clone(),
                fingerprint: fingerprint.to_owned(),
                candidates: Candidates { udp: vec![RELAY], tcp: Vec::new() },
                stream: "test".parse().unwrap(),
                video_orientation: false,
                max_bitrate: 0,
                seed: 1,
            };
            let negotiated = match role {
                Role::Publisher => offer.answer_publisher(&local),
                Role::Viewer => offer.answer_viewer(&local, &[]),
            };
            agreed.insert(negotiated.unwrap()).answer.clone()
        });
        session.connect();
        let sections = agreed.unwrap().sections;
        assert_eq!(session.tracks.len(), 2);
        for (track, section) in session.tracks.iter().zip(sections) {
            assert_eq!((&track.mid, track.kind), (&section.mid, section.kind));
            assert_eq!(track.payload_type, section.payloads[0].payload_type);
            assert_eq!(track.codec, Some(section.payloads[0].format.codec));
            let expected = match role {
                Role::Publisher => (section.remote_ssrc, section.remote_rtx_ssrc),
                Role::Viewer => (Some(section.ssrc), section.rtx_ssrc),
            };
            assert!(track.ssrc.is_some());
            assert_eq!((track.ssrc, track.rtx_ssrc), expected);
        }
    }
}

#[test]
fn a_client_connects_at_its_second_check_and_wakes_once_a_second_afterwards() {
    let mut session = Session::open(CASE);
    session.run(Duration::from_millis(200));
    assert!(matches!(session.client_events[..], [PeerEvent::Connected(_)]), "{:?}", session.client_events);
    for _ in 0..60 {
        let due = session.client.poll_timeout().unwrap();
        assert!(due >= session.now + Duration::from_millis(800), "{:?}", due - session.now);
        session.now = due;
        session.client.handle_timeout(due);
        session.exchange();
    }
    assert!(session.client_events.len() == 1, "{:?}", session.client_events);
}

#[test]
fn peers_and_clients_may_move_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Peer>();
    is_send::<Client>();
}
