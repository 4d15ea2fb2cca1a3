//! The cost of peers, measured on demand, one test per process:
//! `cargo test --release --lib --features measure peer::tests::cost::TEST -- --nocapture`.

use std::time::{Duration, Instant};

use super::{CASE, Case, Session};
use crate::peer::{Certificate, Peer};
use crate::srtp::SrtpProfile;

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

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn print_memory(name: &str, case: Case) {
    const PEERS: usize = 1000;
    let (ours, theirs) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
    drop((0..50).map(|_| connected(case, &ours, &theirs)).collect::<Vec<_>>());
    let before = resident();
    let peers: Vec<Peer> = (0..PEERS).map(|_| connected(case, &ours, &theirs)).collect();
    println!("{name}: {:.1} KiB a connected peer", (resident() - before) as f64 / 1024.0 / peers.len() as f64);
}

// Each needs its own process, because memory that one has freed would be used by the next.

#[test]
fn memory_of_a_gcm_peer() {
    print_memory("gcm", CASE);
}

#[test]
fn memory_of_a_sha1_80_peer() {
    print_memory("sha1_80", Case { profile: SrtpProfile::Aes128CmSha1_80, ..CASE });
}

#[test]
fn memory_of_a_dtls_client_peer() {
    print_memory("gcm, dtls client", Case { dtls_client: true, ..CASE });
}

#[test]
fn memory_of_a_data_channel_peer() {
    print_memory("gcm, data channel", Case { application: true, ..CASE });
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn cost_of_a_client() {
    const CLIENTS: usize = 1000;
    let (ours, theirs) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
    let client = || {
        let mut session = Session::open_with_certificates(CASE, &ours, &theirs, theirs.fingerprint());
        session.connect();
        session.client
    };
    drop((0..50).map(|_| client()).collect::<Vec<_>>());
    let before = resident();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| client()).collect();
    println!("{:.1} KiB a connected client", (resident() - before) as f64 / 1024.0 / CLIENTS as f64);
    let ticks = clients.iter_mut().map(|client| {
        let due = client.poll_timeout().unwrap();
        let start = Instant::now();
        client.handle_timeout(due);
        while client.poll_transmit().is_some() {}
        start.elapsed()
    });
    println!("{:?} each second for an idle client", median(ticks.collect()));
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn time_of_a_join() {
    const JOINS: usize = 500;
    let (ours, theirs) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
    for (name, case) in [
        ("gcm", CASE),
        ("sha1_80", Case { profile: SrtpProfile::Aes128CmSha1_80, ..CASE }),
        ("gcm, dtls client", Case { dtls_client: true, ..CASE }),
        ("gcm, data channel", Case { application: true, ..CASE }),
    ] {
        let joins = (0..JOINS).map(|_| {
            let mut session = Session::open_with_certificates(case, &ours, &theirs, theirs.fingerprint());
            session.connect();
            (session.opening, session.in_peer)
        });
        let (opening, connecting) = joins.unzip();
        println!("{name}: open {:?}, then until connected {:?}", median(opening), median(connecting));
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn time_of_rtcp() {
    let mut session = Session::open(CASE);
    session.connect();
    let (mut sending, mut receiving) = (Vec::new(), Vec::new());
    for number in 0..20_000 {
        session.client.send_rtcp(super::pli(number), session.now);
        let (_, datagram) = session.client.poll_transmit().unwrap();
        let mut datagram = datagram.to_vec();
        let start = Instant::now();
        session.peer.open_rtcp(&mut datagram, session.now).unwrap();
        receiving.push(start.elapsed());
        let start = Instant::now();
        session.peer.send_rtcp(super::pli(number), session.now);
        assert!(session.peer.poll_transmit().is_some());
        sending.push(start.elapsed());
    }
    println!("rtcp: in {:?}, out {:?}", median(receiving), median(sending));
}
