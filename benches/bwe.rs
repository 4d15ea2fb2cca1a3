//! What a viewer's bandwidth costs for each of its packets and for each feedback, in steady state.

#[path = "../tests/support/transport_feedback.rs"]
mod transport_feedback;

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use sluice::bwe::{Bitrate, Feedback, Layer, Layers, Sent, Viewer};
use transport_feedback::transport_feedback;

/// Packets of one feedback: 100 ms at 2 Mbit/s.
const PACKETS: u16 = 25;

/// From one packet to the next.
const APART: Duration = Duration::from_millis(4);

/// A viewer that receives its best layer, and feedback that is on its way for 100 ms.
struct Steady {
    viewer: Viewer,
    began: Instant,
    packets: u32,
}

impl Steady {
    fn new() -> Self {
        let began = Instant::now();
        let mut viewer = Viewer::new(Bitrate::from_bits(3e6), 1, began);
        let layer = Layer { rates: [Bitrate::from_bits(2e6); 4], is_active: true, ..Layer::default() };
        viewer.number_packets(began);
        viewer.set_layers(&Layers::new(Bitrate::from_bits(4e4), &[layer]), began);
        viewer.on_switched(Some(0), began);
        let mut steady = Self { viewer, began, packets: 0 };
        (0..PACKETS).for_each(|_| steady.send());
        steady
    }

    fn now(&self) -> Instant {
        self.began + APART * self.packets
    }

    fn send(&mut self) {
        let now = self.now();
        self.viewer.on_sent(Sent::Video, 1000, now);
        self.packets += 1;
    }

    /// The feedback about the packets that were sent last but not told of.
    fn feedback(&self) -> Vec<u8> {
        let first = self.packets - u32::from(PACKETS);
        let micros = |packet: u32| i64::from(packet) * APART.as_micros() as i64 + 25_000;
        let arrivals: Vec<_> =
            (first..self.packets).map(|packet| (packet % 50 != 49).then(|| micros(packet))).collect();
        transport_feedback(first as u16, &arrivals)
    }
}

fn viewer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bandwidth of a viewer");
    let mut steady = Steady::new();
    group.bench_function("packet", |bencher| bencher.iter(|| steady.send()));

    let mut steady = Steady::new();
    group.bench_function("feedback of 25 packets", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut spent = Duration::ZERO;
            for _ in 0..iterations {
                let (packet, now) = (steady.feedback(), steady.now());
                let began = Instant::now();
                let feedback = Feedback::parse(&packet).expect("well formed");
                steady.viewer.on_transport_feedback(&feedback, now);
                spent += began.elapsed();
                (0..PACKETS).for_each(|_| steady.send());
            }
            spent
        });
    });
    group.finish();
}

criterion_group!(benches, viewer);
criterion_main!(benches);
