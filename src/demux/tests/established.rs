//! Forged DTLS on the client's own path after the handshake: it is not counted, nothing in clear passes, and at most it
//! makes the relay repeat a flight that may be lost.

use super::*;

/// A record of any kind, epoch and body.
fn record(content_type: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = hellos::record(u64::from(epoch) << 48 | 9, body);
    bytes[0] = content_type;
    bytes
}

/// The last flight of a client: ClientKeyExchange, ChangeCipherSpec, Finished.
fn last_flight() -> Vec<u8> {
    [hellos::message(16, 1, &[0; 40]), record(20, 0, &[1]), record(22, 1, &[7; 40])].concat()
}

/// A connected session whose last flight may be lost, and that flight.
fn unsettled() -> (Bed, Vec<(FiveTuple, Vec<u8>)>) {
    let mut bed = Bed::connected();
    assert_eq!(bed.demux.send_dtls(own_key(), &hellos::flight(2), bed.now), Some(path(1)));
    (bed, vec![(path(1), hellos::flight(2))])
}

#[test]
fn twenty_thousand_records_of_each_kind_other_than_encrypted_data_are_refused_and_do_not_end_the_session() {
    let mut longer = record(22, 0, &[1; 40]);
    longer[12] = 200;
    let mut other_version = record(22, 0, &[1; 40]);
    other_version[1..3].copy_from_slice(&[3, 3]);
    let mut stale = record(23, 0, &[1; 40]);
    stale[4] = 2;
    let kinds = [
        (ALERT.to_vec(), "an alert"),
        (record(21, 0, &[1, 0]), "close_notify"),
        (record(21, 1, &[2, 40]), "an alert in clear of the epoch that is encrypted"),
        (record(20, 0, &[1]), "ChangeCipherSpec"),
        (record(20, 1, &[1]), "ChangeCipherSpec that claims to be encrypted"),
        (record(20, 1, &[9; 30]), "the same with more in it"),
        (hellos::hello(0), "ClientHello"),
        (hellos::hello(1), "ClientHello with a cookie"),
        (hellos::fragment(3, 1, 5, 2_000, 100, &[1; 100]), "a piece of a ClientHello"),
        (hellos::flight(0), "HelloVerifyRequest"),
        (hellos::message(14, 3, &[]), "ServerHelloDone"),
        (hellos::message(0, 0, &[]), "HelloRequest"),
        (last_flight(), "the last flight"),
        (record(22, 1, &[7; 60]), "an encrypted handshake record"),
        (record(22, 2, &[7; 60]), "a later epoch"),
        (record(23, 0, &[7; 60]), "data in clear"),
        (record(24, 0, &[7; 60]), "a heartbeat in clear"),
        (record(24, 1, &[7; 60]), "a heartbeat"),
        (record(25, 1, &[7; 60]), "an ACK or a connection id of DTLS 1.3"),
        (record(26, 1, &[7; 60]), "no content type"),
        (longer, "a length that lies"),
        (other_version, "TLS"),
        (stale, "data of a later epoch"),
    ];
    let mut bed = Bed::connected();
    bed.demux.decrypted(own_key());
    let mut repeated = 0;
    for (datagram, what) in &kinds {
        for _ in 0..20_000 {
            let arrival = bed.arrive(1, datagram);
            match arrival {
                Demultiplexed::Dropped(DropReason::ClearDtls | DropReason::SpoofedDtls) => {}
                Demultiplexed::Held => repeated += 1,
                other => panic!("{what}: {other:?}"),
            }
        }
        assert_eq!((bed.sent(), bed.events()), (vec![], vec![]), "{what}");
    }
    assert_eq!(repeated, 16, "those may repeat the client's last flight");
    assert_eq!(bed.demux.facts(own_key()).unwrap().dropped, 20_000 * kinds.len() as u64 - repeated);
    assert_eq!(bed.arrive(1, DATA), Demultiplexed::Dtls { key: own_key(), datagram: None, clear: false });
    assert_eq!(bed.arrive(1, RTP), Demultiplexed::Rtp(own_key()));
}

#[test]
fn encrypted_data_is_not_counted_and_passes_beside_refused_records() {
    let mut bed = Bed::connected();
    let sealed_alert = record(21, 1, &[7; 26]);
    for _ in 0..10_000 {
        for alone in [DATA, &sealed_alert, &DATA.repeat(3)] {
            assert_eq!(bed.arrive(1, alone), Demultiplexed::Dtls { key: own_key(), datagram: None, clear: false });
        }
        for clear in [ALERT.to_vec(), last_flight(), hellos::hello(0), vec![20], record(24, 0, &[1])] {
            let mixed = [&clear, DATA].concat();
            let whole = [DATA, &clear].concat();
            assert_eq!(bed.arrive(1, &whole), Demultiplexed::Dtls { key: own_key(), datagram: None, clear: true });
            // Records behind a malformed one are not read.
            let has_clear = clear.len() > 1 && clear[0] != 24;
            assert_eq!(matches!(bed.arrive(1, &mixed), Demultiplexed::Dtls { clear: true, .. }), has_clear);
        }
    }
    assert_eq!(bed.events(), []);
}

#[test]
fn a_repeated_last_flight_of_the_client_is_answered_once_ours_had_time_to_be_answered() {
    for repeated in [last_flight(), record(22, 1, &[7; 40]), hellos::message(16, 1, &[0; 40])] {
        let (mut bed, flight) = unsettled();
        // The client may have sent it before our last flight arrived.
        bed.pass(millis(30));
        bed.arrive(1, &repeated);
        assert_eq!(bed.sent(), []);
        // Repetitions of the demultiplexer count too.
        bed.pass(millis(120));
        assert_eq!(bed.sent(), flight);
        bed.arrive(1, &repeated);
        assert_eq!(bed.sent(), []);
        // After all of that, the client still lacks it.
        bed.pass(millis(6_000));
        bed.sent();
        bed.arrive(1, &repeated);
        assert_eq!(bed.sent(), flight);
        assert_eq!(bed.demux.facts(own_key()).unwrap().dropped, 0, "a repetition is no fault");
    }
}

#[test]
fn records_other_than_handshake_repeat_no_flight() {
    let (mut bed, _) = unsettled();
    bed.pass(millis(6_000));
    bed.sent();
    for datagram in [ALERT, &record(20, 0, &[1]), &record(23, 0, &[1; 30]), &record(24, 0, &[1; 30]), DATA] {
        bed.arrive(1, datagram);
        assert_eq!(bed.sent(), []);
    }
}

#[test]
fn a_flood_of_handshake_brings_a_flight_each_150_ms_and_64_kib_in_all() {
    let (mut bed, _) = unsettled();
    for _ in 0..7 {
        assert_eq!(bed.demux.send_dtls(own_key(), &[22; 1_200], bed.now), Some(path(1)));
    }
    let (mut times, mut bytes) = (Vec::new(), 7 * 1_200);
    for _ in 0..20_000 {
        bed.arrive(1, &last_flight());
        let sent = bed.sent();
        times.extend((!sent.is_empty()).then_some(bed.now));
        bytes += sent.iter().map(|(_, datagram)| datagram.len()).sum::<usize>();
        bed.now += millis(1);
    }
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= millis(150)), "{times:?}");
    assert!(times.len() > 3 && bytes <= 64 * 1_024, "{} times, {bytes} bytes", times.len());
    assert_eq!(bed.events(), []);
    assert!(
        bed.demux.send_dtls(own_key(), &[22; 1_200], bed.now).is_some(),
        "an exhausted budget ends no live session"
    );
    assert_eq!(bed.events(), []);
}

#[test]
fn authentic_data_or_media_ends_the_repetitions() {
    for is_data in [true, false] {
        let (mut bed, _) = unsettled();
        match is_data {
            true => bed.demux.decrypted(own_key()),
            false => bed.demux.authenticated(own_key(), path(1), bed.now),
        }
        bed.pass(millis(6_000));
        bed.arrive(1, &last_flight());
        assert_eq!(bed.sent(), []);
    }
}

#[test]
fn alerts_in_clear_are_not_counted_and_end_no_handshake() {
    let mut bed = Bed::opened();
    bed.arrive(1, &hellos::hello(0));
    assert_eq!(bed.demux.send_dtls(own_key(), &hellos::flight(0), bed.now), Some(path(1)));
    for alert in [ALERT.to_vec(), record(21, 0, &[1, 0]), record(21, 1, &[2, 80]), ALERT.repeat(50)] {
        for _ in 0..20_000 {
            assert_eq!(bed.arrive(1, &alert), Demultiplexed::Dtls { key: own_key(), datagram: None, clear: false });
        }
    }
    assert_eq!(bed.events(), []);
    bed.arrive(1, &hellos::message(16, 1, &[0; 40]));
    bed.demux.connected(own_key(), bed.now);
    assert_eq!(bed.demux.path(own_key()), Some(path(1)));
}
