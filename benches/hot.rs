//! The hot structures alone, one packet each. SRTP and the floor beneath it all are in `srtp.rs`.

#[expect(dead_code, reason = "the instruction counts need more of it")]
#[path = "support/parts.rs"]
mod parts;
#[path = "support/relay.rs"]
mod relay;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use parts::{Forward, SEALED, commit_run};
use relay::{Nowhere, Relay};
use sluice::peer::client::EXTENSIONS;
use sluice::worker::Batch;

/// Five-tuples that the demultiplexer looks up.
const VIEWERS: usize = 300;

/// Packets that are prepared before they are timed together; all of them fit into a history.
const ROUND: u64 = 1024;

/// Prepares packets in rounds and times what is done with them.
fn in_rounds<T>(
    iterations: u64,
    state: &mut T,
    mut prepare: impl FnMut(&mut T, u64),
    mut work: impl FnMut(&mut T, u64),
) -> Duration {
    let (mut spent, mut left) = (Duration::ZERO, iterations);
    while left > 0 {
        let round = left.min(ROUND);
        left -= round;
        prepare(state, round);
        let began = Instant::now();
        work(state, round);
        spent += began.elapsed();
    }
    spent
}

fn one_packet(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one packet");
    group.throughput(Throughput::Elements(1));

    let mut relay = Relay::with_viewers(VIEWERS, EXTENSIONS);
    let mut datagram = vec![0x80; SEALED];
    let mut viewer = 0;
    group.bench_function("demux", |bencher| {
        bencher.iter(|| {
            viewer += 1;
            relay.demux(viewer, &mut datagram);
        });
    });

    let mut forward = Forward::new();
    let mut packets = Vec::new();
    group.bench_function("history push", |bencher| {
        bencher.iter_custom(|iterations| {
            in_rounds(
                iterations,
                &mut (&mut forward, &mut packets),
                |(forward, packets), count| packets.extend((0..count).map(|_| forward.packet())),
                |(forward, packets), _| packets.drain(..).for_each(|packet| forward.push(packet)),
            )
        });
    });
    let mut forward = Forward::new();
    group.bench_function("outbound track forward", |bencher| {
        bencher.iter_custom(|iterations| {
            in_rounds(
                iterations,
                &mut forward,
                |forward, count| {
                    for _ in 0..count {
                        let packet = forward.packet();
                        forward.push(packet);
                    }
                },
                |forward, count| assert_eq!(std::iter::from_fn(|| forward.pull()).count() as u64, count),
            )
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("run of 10");
    group.throughput(Throughput::Elements(10));
    let (mut batch, mut nowhere, now) = (Batch::default(), Nowhere::default(), Instant::now());
    group.bench_function("batch", |bencher| bencher.iter(|| commit_run(&mut batch, 10, &mut nowhere, now)));
    group.finish();
}

criterion_group!(benches, one_packet);
criterion_main!(benches);
