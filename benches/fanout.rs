//! Fan-out of one packet, and of a burst of ten, to 1, 10, 100 and 1,000 viewers: from the publisher's datagram at the
//! demultiplexer to every viewer's sealed packet at the outbox, beside webrtc-rs's own track write path, which opens
//! nothing and sends nothing either.

#[expect(dead_code, reason = "other benches need more of it")]
#[path = "support/relay.rs"]
mod relay;
#[path = "support/webrtc_rs.rs"]
mod webrtc_rs;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use relay::{Nowhere, Relay};
use sluice::peer::client::EXTENSIONS;
use webrtc_rs::{Interceptors, Senders};

const VIEWERS: [usize; 4] = [1, 10, 100, 1000];

/// Bursts that are sealed before they are timed together.
const ROUND: u64 = 64;

fn fan_out(criterion: &mut Criterion) {
    for packets in [1, 10] {
        let mut group = criterion.benchmark_group(format!("fan-out of {packets}"));
        for viewers in VIEWERS {
            group.throughput(Throughput::Elements((packets * viewers) as u64));
            let mut relay = Relay::with_viewers(viewers, EXTENSIONS);
            group.bench_function(BenchmarkId::new("sluice", viewers), |bencher| {
                bencher.iter_custom(|iterations| time(&mut relay, packets, iterations));
            });
            drop(relay);
            for (name, interceptors) in
                [("webrtc-rs, no interceptor", Interceptors::None), ("webrtc-rs, default", Interceptors::Default)]
            {
                let mut senders = Senders::connected(viewers, interceptors);
                assert_eq!(senders.forward(packets), packets * viewers);
                group.bench_function(BenchmarkId::new(name, viewers), |bencher| {
                    bencher.iter(|| senders.forward(packets));
                });
            }
        }
        group.finish();
    }
}

/// Times this many bursts, without the publisher's encryption.
fn time(relay: &mut Relay, packets: usize, iterations: u64) -> Duration {
    let (mut spent, mut left, mut nowhere) = (Duration::ZERO, iterations, Nowhere::default());
    while left > 0 {
        let round = left.min(ROUND);
        left -= round;
        let mut bursts: Vec<_> = (0..round).map(|_| relay.burst(packets)).collect();
        let began = Instant::now();
        for burst in &mut bursts {
            relay.forward(burst, &mut nowhere);
        }
        spent += began.elapsed();
    }
    black_box(nowhere.packets);
    spent
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
