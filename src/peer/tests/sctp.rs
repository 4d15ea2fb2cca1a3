//! Data channels through the SCTP filter, with real webrtc-rs on both sides of it.

#[allow(dead_code, reason = "the attack tests need more of it")]
#[path = "../../../tests/support/sctp.rs"]
mod tap;

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use rtc::dtls::cipher_suite::CipherSuiteId;

use super::{CASE, Case, Session, answer, to_relay};
use crate::name::Role;
use crate::peer::{Certificate, Channel, ChannelMessage, PeerEvent, Unsent};
use crate::reason::DropReason;
use crate::sctp::Violation;
use crate::sctp::tests::made::*;
use tap::Tap;

const CHANNELS: Case = Case { application: true, role: Role::Publisher, ..CASE };

fn channel(label: &str, ordered: bool, max_retransmits: Option<u16>) -> Channel {
    Channel { label: label.to_owned(), protocol: String::new(), ordered, max_packet_life_time: None, max_retransmits }
}

fn binary(data: Vec<u8>) -> ChannelMessage {
    ChannelMessage { is_text: false, data: data.into() }
}

fn messages(events: &mut Vec<PeerEvent>, wanted: &str) -> Vec<ChannelMessage> {
    let message = |event| match event {
        PeerEvent::ChannelMessage(label, message) if label == wanted => Some(message),
        _ => None,
    };
    events.drain(..).filter_map(message).collect()
}

#[test]
fn the_filter_works_with_every_offered_cipher_suite() {
    for dtls_client in [false, true] {
        for suite in [
            CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
            CipherSuiteId::Tls_Ecdhe_Ecdsa_With_ChaCha20_Poly1305_Sha256,
        ] {
            let suites: &'static [CipherSuiteId] = vec![suite].leak();
            let mut session = Session::open(Case { suites, dtls_client, ..CHANNELS });
            session.connect();
            session.run(Duration::from_secs(2));
            session.client.send_message("sluice", &binary(vec![7; 16_384]), session.now).unwrap();
            session.run(Duration::from_secs(2));
            assert_eq!(messages(&mut session.peer_events, "sluice").len(), 1, "{suite}");
            // The minimal answer has no limit, so that the client sends a message that is too long.
            session.client.send_message("sluice", &binary(vec![7; 16_385]), session.now).unwrap();
            session.run(Duration::from_secs(2));
            let [PeerEvent::Misused(violation)] = &session.peer_events[..] else { panic!("{:?}", session.peer_events) };
            assert_eq!(*violation, Violation::MessageTooLong, "{suite}");
        }
    }
}

#[test]
fn a_client_that_has_no_aead_cipher_suite_is_refused_in_the_handshake() {
    for dtls_client in [false, true] {
        let suites = &[CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_256_Cbc_Sha];
        let mut session = Session::open(Case { suites, dtls_client, ..CHANNELS });
        session.run(Duration::from_secs(5));
        // As the DTLS client the relay gets an alert in clear, which may be forged; its deadline ends the handshake.
        let (refuses, waits) = if dtls_client {
            (&session.client_events, &session.peer_events)
        } else {
            (&session.peer_events, &session.client_events)
        };
        let [PeerEvent::Failed(reason)] = &refuses[..] else { panic!("{refuses:?}") };
        assert_eq!(reason, "the DTLS handshake was refused: insufficient_security");
        assert!(waits.is_empty() || !dtls_client, "{waits:?}");
    }
}

/// Passes all datagrams; one in `loss` datagrams with DTLS application data is lost.
fn exchange(session: &mut Session, random: &mut u32, loss: u32) {
    let mut is_lost = |datagram: &[u8]| {
        *random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        datagram[0] == 23 && (*random >> 16).is_multiple_of(loss)
    };
    loop {
        let sent: Vec<_> = std::iter::from_fn(|| session.client.poll_transmit().map(to_relay)).collect();
        let answered: Vec<_> = std::iter::from_fn(|| session.peer.poll_transmit()).collect();
        if sent.is_empty() && answered.is_empty() {
            return session.exchange();
        }
        for datagram in sent.into_iter().filter(|datagram| !is_lost(datagram)) {
            // It also holds that the peer refuses nothing.
            session.deliver_to_peer(&datagram);
        }
        for datagram in answered.into_iter().filter(|datagram| !is_lost(datagram)) {
            session.deliver_to_client(&datagram);
        }
    }
}

#[test]
fn reliable_channels_lose_nothing_on_a_network_with_loss_and_nothing_is_refused() {
    let mut session = Session::open(CHANNELS);
    session.connect();
    session.run(Duration::from_secs(1));
    let declared =
        [channel("ordered", true, None), channel("unordered", false, None), channel("partial", false, Some(0))];
    for channel in &declared {
        session.client.open_channel(channel, session.now);
    }
    session.run(Duration::from_secs(1));
    let mut random = 1;
    let mut waiting: Vec<(&str, ChannelMessage)> = (0..120usize)
        .flat_map(|number| {
            declared.iter().map(move |channel| {
                let length = [20, 1100, 5000, 16_384][number % 4];
                // webrtc-rs keeps the fragments of unordered messages that their sender abandoned.
                let length = if channel.max_retransmits.is_some() { length.min(1100) } else { length };
                let number = (number as u32).to_be_bytes();
                (channel.label.as_str(), binary([&number[..], &vec![0; length - 4]].concat()))
            })
        })
        .rev()
        .collect();
    let mut heard = Vec::new();
    for _ in 0..4000 {
        session.now += Duration::from_millis(20);
        for _ in 0..2 {
            let Some((label, message)) = waiting.pop() else { break };
            if session.client.send_message(label, &message, session.now) == Err(Unsent::Full) {
                waiting.push((label, message));
            }
        }
        session.client.handle_timeout(session.now);
        session.peer.handle_timeout(session.now);
        exchange(&mut session, &mut random, 20);
        heard.append(&mut session.peer_events);
    }
    let numbers = |wanted: &str| -> Vec<u32> {
        let of = |event: &PeerEvent| match event {
            PeerEvent::ChannelMessage(label, message) if label == wanted => {
                Some(u32::from_be_bytes(message.data[..4].try_into().unwrap()))
            }
            _ => None,
        };
        heard.iter().filter_map(of).collect()
    };
    assert_eq!(numbers("ordered"), (0..120).collect::<Vec<_>>());
    let mut unordered = numbers("unordered");
    unordered.sort_unstable();
    assert_eq!(unordered, (0..120).collect::<Vec<_>>());
    assert!(numbers("partial").len() > 60, "{}", numbers("partial").len());
    assert!(
        !heard.iter().any(|event| matches!(event, PeerEvent::Misused(_) | PeerEvent::Closed | PeerEvent::Failed(_)))
    );
}

/// A session whose client's packets are made by hand from here on: its tap, tag and next TSN.
fn by_hand() -> (Session, Tap, u32, u32) {
    let tap = Tap::default();
    let (ours, theirs) = (Certificate::generate().unwrap(), Certificate::generate_with(tap.provider()).unwrap());
    let answer = |offer: &str, local: &crate::ice::Credentials, ours: &str| answer(offer, local, ours, false);
    let mut session = Session::open_with(CHANNELS, &ours, &theirs, theirs.fingerprint(), answer);
    session.connect();
    session.run(Duration::from_secs(1));
    let sent = tap.sent();
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let tag = word(sent.last().unwrap(), 4);
    let chunks = sent.iter().flat_map(|packet| chunks(packet));
    let tsns = chunks.filter(|(kind, _)| *kind == DATA).map(|(_, value)| word(&value, 0));
    let tsn = tsns.max().unwrap().wrapping_add(1);
    (session, tap, tag, tsn)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn mutations_of_valid_packets_never_make_webrtc_rs_panic(
        mutations in vec((0usize..12, vec((0usize..1200, any::<u8>()), 0..4), any::<bool>()), 1..120),
    ) {
        let (mut session, tap, tag, first) = by_hand();
        let mut tsn = first;
        for (kind, octets, bundled) in mutations {
            let valid = match kind {
                0 => data(WHOLE, tsn, 101, 0, DCEP, &open(1, b"mutated")),
                1 => data(WHOLE, tsn, 101, (tsn.wrapping_sub(first)) as u16, TEXT, b"hello"),
                2 => data(BEGINS | UNORDERED, tsn.wrapping_add(2), 101, 0, TEXT, b"a fragment"),
                3 => sack(tsn, &[(2, 3), (5, 9)]),
                4 => forward_tsn(tsn.wrapping_add(3), &[(101, 4)]),
                5 => reset(tsn, tsn.wrapping_sub(1), &[101, 103]),
                6 => reset_done(tsn),
                7 => chunk(HEARTBEAT, 0, &parameter(1, b"heartbeat information")),
                8 => chunk(ERROR, 0, &[0, 6, 0, 8, 1, 2, 3, 4]),
                9 => init(INIT_ACK, tag, tsn, &[parameter(7, b"cookie"), supports_forward_tsn()]),
                10 => chunk(COOKIE_ECHO, 0, &[1; 32]),
                _ => init(INIT, 7, tsn, &[supports_forward_tsn()]),
            };
            let mut chunks = vec![valid];
            if bundled && kind < 9 {
                chunks.push(sack(tsn, &[]));
            }
            let mut made = packet(if kind == 11 { 0 } else { tag }, &chunks);
            for (at, octet) in octets {
                let at = 12 + at % (made.len() - 12);
                made[at] ^= octet;
            }
            tsn = tsn.wrapping_add(1);
            let taken = session.peer.handle_datagram(&tap.seal(&seal(made)), session.now);
            prop_assert!(matches!(taken, Ok(_) | Err(DropReason::UnknownPath)), "{taken:?}");
            session.now += Duration::from_millis(7);
            session.peer.handle_timeout(session.now);
            while session.peer.poll_transmit().is_some() {}
            while session.peer.poll_event().is_some() {}
        }
    }
}
