//! SRTP alone, and the floor that a forwarded packet is held against: `cargo bench --bench srtp`.
//!
//! Groups `seal` and `open` are one packet of 1,160 payload bytes with either profile, here and through webrtc-rs's
//! own context. Group `floor` is what no relay of this design can be cheaper than: for viewer after viewer, copy a run
//! of packets into the arena, seal them there, and send the run by one GSO call over loopback. Divide a forwarded
//! packet's share of the process CPU by it. All figures are CPU time, user and system, of the one thread that works.
//!
//! Over loopback the sender pays for the receiver's part in the kernel: a socket with GRO takes a run as one, one
//! without has it cut into datagrams first. Hold a measurement against the floor whose receivers are like its own;
//! against `gro_receiver`, the lower one, if in doubt.

mod thread_time;

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use quinn_udp::{Transmit, UdpSocketState};
use rtc::srtp::context::Context;
use rtc::srtp::protection_profile::ProtectionProfile;
use sluice::srtp::{MasterKey, Opener, Sealer, SrtpProfile};
use thread_time::ThreadTime;

const HEADER: usize = 12;
const PAYLOAD: usize = 1160;
const LEN: usize = HEADER + PAYLOAD;
const SSRC: [u8; 4] = [1, 2, 3, 4];

/// As many viewers as the reference measurement has, so that their keys do not all lie in the first cache.
const VIEWERS: usize = 300;

const PROFILES: [(SrtpProfile, ProtectionProfile, &str); 2] = [
    (SrtpProfile::Aes128Gcm, ProtectionProfile::AeadAes128Gcm, "gcm"),
    (SrtpProfile::Aes128CmSha1_80, ProtectionProfile::Aes128CmHmacSha1_80, "sha1_80"),
];

fn master(profile: SrtpProfile, viewer: usize) -> MasterKey {
    MasterKey { profile, key: (viewer as u128).to_be_bytes(), salt: [7; 14] }
}

fn context(profile: SrtpProfile, theirs: ProtectionProfile) -> Context {
    let master = master(profile, 0);
    let provider = rtc::crypto::default_provider().expect("rtc is built with a provider");
    let salt = &master.salt[..profile.salt_len()];
    Context::new(&master.key, salt, theirs, None, None, provider.crypto()).expect("key and salt have the right length")
}

fn write_packet(buffer: &mut [u8], index: u64, payload: &[u8]) {
    buffer[..2].copy_from_slice(&[0x80, 96]);
    buffer[2..4].copy_from_slice(&(index as u16).to_be_bytes());
    buffer[4..8].copy_from_slice(&[0; 4]);
    buffer[8..HEADER].copy_from_slice(&SSRC);
    buffer[HEADER..LEN].copy_from_slice(payload);
}

fn seal(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("seal");
    group.throughput(Throughput::Elements(1));
    for (profile, theirs, name) in PROFILES {
        let mut sealer = Sealer::new(&master(profile, 0));
        let mut buffer = vec![0; LEN + sealer.overhead()];
        let mut index = 1;
        write_packet(&mut buffer, index, &[9; PAYLOAD]);
        group.bench_function(BenchmarkId::new("in_place", name), |bencher| {
            bencher.iter(|| {
                index += 1;
                buffer[2..4].copy_from_slice(&(index as u16).to_be_bytes());
                sealer.seal(black_box(&mut buffer), HEADER, LEN, index)
            });
        });
        let mut context = context(profile, theirs);
        group.bench_function(BenchmarkId::new("webrtc_rs_context", name), |bencher| {
            bencher.iter(|| {
                index += 1;
                buffer[2..4].copy_from_slice(&(index as u16).to_be_bytes());
                context.encrypt_rtp(black_box(&buffer[..LEN]))
            });
        });
    }
    group.finish();
}

/// Measures `open` on datagrams that are sealed, some at a time, outside of the measured time: none is opened twice.
fn open_each(iterations: u64, profile: SrtpProfile, mut open: impl FnMut(&mut [u8])) -> Duration {
    const AT_ONCE: usize = 32;
    let mut sealer = Sealer::new(&master(profile, 0));
    let sealed_len = LEN + sealer.overhead();
    let mut datagrams = vec![0; AT_ONCE * sealed_len];
    let (mut index, mut elapsed, mut left) = (1, Duration::ZERO, iterations);
    while left > 0 {
        let count = left.min(AT_ONCE as u64);
        for datagram in datagrams.chunks_mut(sealed_len).take(count as usize) {
            write_packet(datagram, index, &[9; PAYLOAD]);
            sealer.seal(datagram, HEADER, LEN, index).expect("a packet of this index");
            index += 1;
        }
        let start = thread_time::now();
        datagrams.chunks_mut(sealed_len).take(count as usize).for_each(&mut open);
        elapsed += thread_time::now() - start;
        left -= count;
    }
    elapsed
}

fn open(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("open");
    group.throughput(Throughput::Elements(1));
    for (profile, theirs, name) in PROFILES {
        group.bench_function(BenchmarkId::new("in_place", name), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut opener = Opener::new(&master(profile, 0));
                open_each(iterations, profile, |datagram| {
                    black_box(opener.open(datagram)).expect("it is authentic and new");
                })
            });
        });
        group.bench_function(BenchmarkId::new("webrtc_rs_context", name), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut context = context(profile, theirs);
                open_each(iterations, profile, |datagram| {
                    black_box(context.decrypt_rtp(datagram)).expect("it is authentic");
                })
            });
        });
    }
    group.finish();
}

/// One viewer's state: as much of it as the floor needs.
struct Viewer {
    sealer: Sealer,
    index: u64,
}

/// How the runs arrive.
#[derive(Clone, Copy)]
enum Receiver {
    Gro,
    Plain,
}

/// Sends runs from one socket. The receiving socket is full after a moment and drops from then on: no reader shares the
/// caches, and no wake-up of a reader is in the figure. In one comparison a reader on the other core made single
/// packets a third dearer and runs of 10 and more up to a fifth, so a ratio to this floor is strict.
struct Floor {
    state: UdpSocketState,
    socket: UdpSocket,
    /// Only held open.
    _sink: UdpSocket,
    destination: SocketAddr,
    arena: Vec<u8>,
    viewers: Vec<Viewer>,
    payloads: Vec<Vec<u8>>,
}

impl Floor {
    fn new(run: usize, receiver: Receiver) -> Self {
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let (socket, sink) = (bind(), bind());
        let state = |socket: &UdpSocket| UdpSocketState::new(socket.into()).expect("a UDP socket takes these options");
        if let Receiver::Gro = receiver {
            // Asks for GRO, among others; the option stays with the socket.
            state(&sink);
        }
        let viewer = |viewer| Viewer { sealer: Sealer::new(&master(SrtpProfile::Aes128Gcm, viewer)), index: 1 };
        Self {
            state: state(&socket),
            socket,
            destination: sink.local_addr().expect("it is bound"),
            _sink: sink,
            arena: vec![0; 64 * 1024],
            viewers: (0..VIEWERS).map(viewer).collect(),
            payloads: (0..run).map(|packet| vec![packet as u8; PAYLOAD]).collect(),
        }
    }

    /// The same packets to `viewer`: copied, sealed, sent.
    fn send_run(&mut self, viewer: usize) {
        let Viewer { sealer, index } = &mut self.viewers[viewer];
        let segment = LEN + sealer.overhead();
        let mut written = 0;
        for payload in &self.payloads {
            let buffer = &mut self.arena[written..written + segment];
            write_packet(buffer, *index, payload);
            written += sealer.seal(buffer, HEADER, LEN, *index).expect("a packet of this index");
            *index += 1;
        }
        let transmit = Transmit {
            destination: self.destination,
            ecn: None,
            contents: &self.arena[..written],
            segment_size: (self.payloads.len() > 1).then_some(segment),
            src_ip: None,
        };
        self.state.try_send((&self.socket).into(), &transmit).expect("loopback takes a run");
    }
}

fn floor(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("floor");
    for run in [1, 4, 10, 32] {
        group.throughput(Throughput::Elements(run as u64));
        for (receiver, name) in [(Receiver::Gro, "gro_receiver"), (Receiver::Plain, "plain_receiver")] {
            let mut floor = Floor::new(run, receiver);
            let mut viewer = 0;
            group.bench_function(BenchmarkId::new(name, run), |bencher| {
                bencher.iter(|| {
                    viewer = (viewer + 1) % VIEWERS;
                    floor.send_run(viewer);
                });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ThreadTime);
    targets = seal, open, floor
}
criterion_main!(benches);
