//! Sessions with errors: forged, malformed and repeated datagrams.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;

use super::{CASE, Case, Session, context, pli};
use crate::ice::Credentials;
use crate::name::Role;
use crate::peer::connection::OpenError;
use crate::peer::{Certificate, Channel, ChannelMessage, Config, Peer, PeerEvent};
use crate::reason::DropReason;
use crate::srtp::SrtpProfile;

const FATAL: u8 = 2;
const HANDSHAKE_FAILURE: u8 = 40;

/// A plaintext record. Its number is ahead of the client's by less than the 64 of a replay window: a record further
/// ahead makes the client's records look old, which an attacker with a forged address can do to any DTLS handshake.
fn record(content_type: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[content_type, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 40], &length[..], body].concat()
}

fn alert(level: u8, description: u8) -> Vec<u8> {
    record(21, &[level, description])
}

/// Asserts that RTCP still passes, and that nothing else has happened.
fn assert_alive(session: &mut Session) {
    session.client.send_rtcp(pli(77), session.now);
    session.exchange();
    assert_eq!(std::mem::take(&mut session.peer_rtcp), [Some(77)]);
    assert!(session.peer_events.is_empty(), "{:?}", session.peer_events);
}

#[test]
fn a_client_with_another_certificate_than_its_offer_promises_is_refused() {
    let [ours, theirs, stranger] = [(); 3].map(|()| Certificate::generate().unwrap());
    for dtls_client in [false, true] {
        let case = Case { dtls_client, ..CASE };
        let mut session = Session::open_with_certificates(case, &ours, &theirs, stranger.fingerprint());
        session.run(Duration::from_secs(5));
        let [PeerEvent::Failed(reason)] = &session.peer_events[..] else { panic!("{:?}", session.peer_events) };
        assert!(reason.contains("bad_certificate"), "{reason}");
    }
}

#[test]
fn alerts_in_clear_end_no_handshake_and_the_last_is_kept() {
    for dtls_client in [false, true] {
        for of_handshake in [&[][..], &record(22, &[0xff; 60])] {
            let mut session = Session::open(Case { dtls_client, ..CASE });
            assert_eq!(session.peer.clear_alert(), None);
            // close_notify, and two fatal alerts, the last one with the epoch that has not begun.
            let mut early = alert(FATAL, HANDSHAKE_FAILURE);
            early[4] = 1;
            session.forged =
                [alert(1, 0), alert(FATAL, 20), early].map(|alert| [&alert, of_handshake].concat()).to_vec();
            session.run(Duration::from_secs(4));
            assert!(matches!(session.peer_events[..], [PeerEvent::Connected(_)]), "{:?}", session.peer_events);
            assert!(matches!(session.client_events[..], [PeerEvent::Connected(_)]), "{:?}", session.client_events);
            assert_eq!(session.peer.clear_alert().as_deref(), Some("handshake_failure"));
        }
    }
}

/// A record as webrtc-rs seals it, with a wrong tag.
fn sealed(content_type: u8, epoch: u16, length: usize) -> Vec<u8> {
    let mut record = record(content_type, &vec![0x5a; length]);
    record[3..5].copy_from_slice(&epoch.to_be_bytes());
    record
}

#[test]
fn forged_records_do_not_affect_a_connected_session() {
    for (dtls_client, application) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut session = Session::open(Case { dtls_client, application, ..CASE });
        session.connect();
        let mut kinds = vec![alert(FATAL, HANDSHAKE_FAILURE), alert(1, 0), alert(FATAL, 0)];
        let bodies: [&[u8]; 5] = [&[1], &[9], &[1, 0], &[1; 40], &[0; 200]];
        for content_type in 20..=26 {
            for epoch in 0..=2 {
                kinds.extend(bodies.iter().map(|body| {
                    let mut record = record(content_type, body);
                    record[3..5].copy_from_slice(&u16::to_be_bytes(epoch));
                    record
                }));
            }
        }
        for datagram in &kinds {
            let taken = session.peer.handle_datagram(datagram, session.now);
            let is_tried = matches!(datagram[..], [23, _, _, 0, 1, ..])
                || matches!(datagram[..], [21, _, _, 0, 1, ..] if datagram.len() != 15);
            let refused = if is_tried { DropReason::UnauthenticDtls } else { DropReason::ClearDtls };
            // A few handshake records may be the other side's last flight.
            assert!(taken == Err(refused) || (datagram[0] == 22 && taken.is_ok()), "{datagram:?}: {taken:?}");
        }
        assert_alive(&mut session);
        // Closing still works: the epochs are as they were.
        session.client.close();
        session.exchange();
        assert!(matches!(session.peer_events[..], [PeerEvent::Closed]), "{:?}", session.peer_events);
    }
}

#[test]
fn authentic_records_pass_among_twenty_thousand_forged_ones_and_beside_clear_ones() {
    let mut session = Session::open(Case { application: true, ..CASE });
    session.connect();
    let chat = Channel {
        label: "chat".into(),
        protocol: String::new(),
        ordered: true,
        max_packet_life_time: None,
        max_retransmits: None,
    };
    session.client.open_channel(&chat, session.now);
    session.run(Duration::from_secs(1));
    let forged = [sealed(23, 1, 40), sealed(23, 1, 60).repeat(15), sealed(21, 1, 26), sealed(23, 1, 0)];
    for round in 0..5_000 {
        for forged in &forged {
            assert_eq!(session.peer.handle_datagram(forged, session.now), Err(DropReason::UnauthenticDtls));
        }
        if round % 500 == 0 {
            let message = ChannelMessage { is_text: true, data: format!("{round}").into() };
            session.client.send_message("chat", &message, session.now).unwrap();
            while let Some((_, genuine)) = session.client.poll_transmit() {
                if genuine[0] > 3 {
                    let mixed = [&alert(FATAL, 20)[..], &genuine, &record(22, &[0; 30]), &[20]].concat();
                    assert_eq!(session.peer.handle_datagram(&mixed, session.now), Ok(None));
                    assert_eq!(session.peer.handle_datagram(&mixed, session.now), Err(DropReason::UnauthenticDtls));
                }
            }
        }
    }
    let events = std::iter::from_fn(|| session.peer.poll_event());
    let messages: Vec<_> = events.filter(|event| matches!(event, PeerEvent::ChannelMessage(..))).collect();
    assert_eq!(messages.len(), 10, "{messages:?}");
}

#[test]
fn a_handshake_survives_malformed_records() {
    let nonsense = vec![
        record(23, b"application data before there are keys"),
        record(20, &[1]),
        record(20, &[9, 9]),
        record(22, &[1, 0, 0]),
        record(22, &[0xff; 60]),
        record(21, &[1, 90]),
        record(21, &[FATAL]),
        record(24, &[1, 2, 3]),
        record(63, &[]),
        vec![22],
        vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1],
    ];
    for dtls_client in [false, true] {
        for forged in nonsense.clone() {
            let mut session = Session::open(Case { dtls_client, ..CASE });
            session.forged = vec![forged.clone()];
            session.run(Duration::from_secs(4));
            let connected = matches!(session.peer_events[..], [PeerEvent::Connected(_)]);
            assert!(connected, "{dtls_client} {forged:?}: {:?}", session.peer_events);
        }
    }
}

#[test]
fn a_repeated_handshake_does_not_affect_a_connected_session() {
    for dtls_client in [false, true] {
        let mut session = Session::open(Case { dtls_client, ..CASE });
        session.connect();
        for (from_peer, datagram) in std::mem::take(&mut session.seen) {
            if !from_peer {
                let _ = session.peer.handle_datagram(&datagram, session.now);
            }
        }
        session.exchange();
        assert_alive(&mut session);
    }
}

#[test]
fn a_peer_refuses_media_and_stun() {
    let mut session = Session::open(CASE);
    session.connect();
    let mut rtp = [0; 60];
    (rtp[0], rtp[1]) = (0x80, 96);
    let stun = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for datagram in [&rtp[..], &stun, &[], &[0x80], &[70; 20], &[255; 20]] {
        assert_eq!(session.peer.handle_datagram(datagram, session.now), Err(DropReason::Unrecognised), "{datagram:?}");
    }
    assert_alive(&mut session);
}

#[test]
fn forged_changed_and_repeated_rtcp_is_refused() {
    for profile in [SrtpProfile::Aes128Gcm, SrtpProfile::Aes128CmSha1_80] {
        let mut session = Session::open(Case { profile, ..CASE });
        let early = [&[0x80, 201, 0, 1, 0, 0, 0, 1][..], &[0; 30]].concat();
        assert_eq!(session.open_rtcp(&early), Err(DropReason::NoKeys));
        session.connect();
        session.seen.clear();
        session.client.send_rtcp(pli(5), session.now);
        let (_, genuine) = session.client.poll_transmit().unwrap();
        for at in 0..genuine.len() {
            for bit in 0..8 {
                let mut changed = genuine.to_vec();
                changed[at] ^= 1 << bit;
                assert!(session.open_rtcp(&changed).is_err(), "bit {bit} of byte {at}");
            }
        }
        assert_eq!(session.open_rtcp(&genuine), Ok(()));
        assert_eq!(session.open_rtcp(&genuine), Err(DropReason::Replayed));
        assert_eq!(std::mem::take(&mut session.peer_rtcp), [Some(5)]);
        assert_alive(&mut session);
    }
}

#[test]
fn rtcp_that_claims_to_be_unencrypted_is_refused() {
    for (profile, trailer) in [(SrtpProfile::Aes128Gcm, 20), (SrtpProfile::Aes128CmSha1_80, 14)] {
        let mut session = Session::open(Case { profile, ..CASE });
        session.connect();
        session.client.send_rtcp(pli(1), session.now);
        session.exchange();
        // A BYE (RFC 3550 6.6) of an SSRC that is known, then of another.
        for ssrc in [1u32, 2] {
            let forged = [&[0x81, 203, 0, 1], &ssrc.to_be_bytes()[..], &vec![0; trailer]].concat();
            assert_eq!(session.open_rtcp(&forged), Err(DropReason::Unauthentic), "{profile:?}");
        }
        session.peer_rtcp.clear();
        assert_alive(&mut session);
    }
}

#[test]
fn rtcp_from_new_ssrcs_costs_nothing_unless_it_is_authentic() {
    for profile in [SrtpProfile::Aes128Gcm, SrtpProfile::Aes128CmSha1_80] {
        let mut session = Session::open(Case { profile, ..CASE });
        let (keys, _) = session.connect();
        let mut client = context(&keys.remote);
        let mut report = |ssrc: u32| {
            let plain = [&[0x80, 201, 0, 1], &ssrc.to_be_bytes()[..]].concat();
            client.encrypt_rtcp(&plain).unwrap().to_vec()
        };
        for ssrc in 0..1000 {
            let mut forged = report(ssrc);
            *forged.last_mut().unwrap() ^= 1;
            assert_eq!(session.open_rtcp(&forged), Err(DropReason::Unauthentic));
        }
        for ssrc in 0..16 {
            assert_eq!(session.open_rtcp(&report(ssrc)), Ok(()));
        }
        assert_eq!(session.open_rtcp(&report(16)), Err(DropReason::TooManySsrcs));
        assert_eq!(session.open_rtcp(&report(0)), Ok(()));
    }
}

#[test]
fn credentials_that_would_break_the_stub_offer_are_refused() {
    let certificate = Certificate::generate().unwrap();
    let good = || Credentials { ufrag: "abcd".to_owned(), pwd: "0123456789abcdefghijkl".to_owned() };
    for hostile in ["a\r\na=setup:active", "a b", "ä", "a\n"] {
        let remote = Credentials { ufrag: hostile.to_owned(), ..good() };
        let config = Config {
            local: &good(),
            remote: &remote,
            remote_fingerprint: certificate.fingerprint(),
            dtls_client: false,
            application: false,
            role: Role::Viewer,
            certificate: &certificate,
        };
        let opened = Peer::open(&config, SrtpProfile::Aes128Gcm, Instant::now());
        assert!(matches!(opened, Err(OpenError::Unwritable)), "{hostile:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_datagrams_stop_no_handshake(
        dtls_client: bool,
        forged in vec((20u8..64, vec(any::<u8>(), 0..80)), 1..8),
    ) {
        let mut session = Session::open(Case { dtls_client, ..CASE });
        session.forged = forged.into_iter().map(|(first, rest)| [&[first], &rest[..]].concat()).collect();
        session.run(Duration::from_secs(4));
        prop_assert!(matches!(session.peer_events[..], [PeerEvent::Connected(_)]), "{:?}", session.peer_events);
    }

    #[test]
    fn authentic_but_malformed_rtcp_harms_no_session(
        packets in vec((0x80u8..0xc0, 192u8..224, vec(any::<u8>(), 6..200)), 1..40),
    ) {
        let mut session = Session::open(CASE);
        let (keys, _) = session.connect();
        let mut client = context(&keys.remote);
        for (first, packet_type, rest) in packets {
            let plain = [&[first, packet_type], &rest[..]].concat();
            if let Ok(sealed) = client.encrypt_rtcp(&plain) {
                let _ = session.open_rtcp(&sealed);
            }
        }
        prop_assert!(session.peer.poll_event().is_none());
        session.peer.send_rtcp(pli(3), session.now);
        session.exchange();
        prop_assert_eq!(session.client_rtcp, [Some(3)]);
    }
}
