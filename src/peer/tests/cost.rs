//! What peers cost, measured on demand: `cargo test --release peer::tests::cost -- --ignored --nocapture --test-threads 1`.

use std::time::{Duration, Instant};

use super::{CASE, Case, Session};
use crate::peer::{Certificate, Event, Peer};
use crate::srtp::Profile;

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn connected(case: Case, ours: &Certificate, theirs: &Certificate) -> Peer {
    let mut session = Session::open_with_certificates(case, ours, theirs, theirs.fingerprint());
    session.connect();
    session.peer
}

#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn memory_of_connected_peers() {
    const PEERS: usize = 1000;
    let (ours, theirs) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
    for (name, case) in [
        ("gcm", CASE),
        ("sha1_80", Case { profile: Profile::Aes128CmSha1_80, ..CASE }),
        ("gcm, dtls client", Case { dtls_client: true, ..CASE }),
        ("gcm, data channel", Case { application: true, ..CASE }),
    ] {
        drop((0..50).map(|_| connected(case, &ours, &theirs)).collect::<Vec<_>>());
        let before = resident();
        let peers: Vec<Peer> = (0..PEERS).map(|_| connected(case, &ours, &theirs)).collect();
        println!("{name}: {:.1} KiB a peer", (resident() - before) as f64 / 1024.0 / peers.len() as f64);
    }
}

#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn cpu_of_a_join() {
    const JOINS: u32 = 500;
    let (ours, theirs) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
    for (name, case) in [
        ("gcm", CASE),
        ("sha1_80", Case { profile: Profile::Aes128CmSha1_80, ..CASE }),
        ("gcm, dtls client", Case { dtls_client: true, ..CASE }),
        ("gcm, data channel", Case { application: true, ..CASE }),
    ] {
        let (mut opening, mut handshaking) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..JOINS {
            let mut session = Session::open_with_certificates(case, &ours, &theirs, theirs.fingerprint());
            opening += session.opening;
            session.connect();
            handshaking += session.in_peer;
        }
        println!("{name}: open {:?}, then until connected {:?}", opening / JOINS, handshaking / JOINS);
    }
}

#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn cpu_of_rtcp() {
    const PACKETS: u32 = 20_000;
    let mut session = Session::open(CASE);
    session.connect();
    let (mut sending, mut receiving) = (Duration::ZERO, Duration::ZERO);
    for number in 0..PACKETS {
        session.client.send_rtcp(super::pli(number), session.now);
        let (_, datagram) = session.client.poll_transmit().unwrap();
        let start = Instant::now();
        session.peer.handle_datagram(&datagram, session.now).unwrap();
        assert!(matches!(session.peer.poll_event(), Some(Event::Rtcp(_))));
        receiving += start.elapsed();
        let start = Instant::now();
        session.peer.send_rtcp(super::pli(number), session.now);
        assert!(session.peer.poll_transmit().is_some());
        sending += start.elapsed();
    }
    println!("rtcp: in {:?}, out {:?}", receiving / PACKETS, sending / PACKETS);
}
