//! Holds what the bandwidth of a viewer may allocate for a packet, a report or a timer: nothing. Alone in its program,
//! because it counts what the whole program allocates.

#[path = "support/transport_feedback.rs"]
mod transport_feedback;

use std::alloc::System;
use std::time::{Duration, Instant};

use sluice::bwe::{Bitrate, Feedback, Layer, Layers, Nacked, Sent, Viewer};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use transport_feedback::transport_feedback;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Layers of 0.15, 0.5 and 1.7 Mbit/s.
const RATES: [f64; 3] = [150e3, 500e3, 1_700e3];
const PACKET: Duration = Duration::from_millis(5);

/// A viewer that is sent what is chosen for it.
struct Watched {
    viewer: Viewer,
    began: Instant,
    now: Instant,
    /// Numbers of the packets that were not reported yet begin with this one.
    first: u16,
    arrivals: Vec<Option<i64>>,
    packets: u32,
    allocations: usize,
    /// Probes that have begun, and layers that were chosen.
    padding: usize,
    layers: Vec<u8>,
}

impl Watched {
    fn new() -> Self {
        let now = Instant::now();
        let mut viewer = Viewer::new(Bitrate::from_bits(400e3), 1, now);
        let layer = |rate| Layer { rates: [Bitrate::from_bits(rate); 4], is_active: true, ..Layer::default() };
        viewer.set_layers(&Layers::new(Bitrate::from_bits(40e3), &RATES.map(layer)), now);
        // The one allocation of a viewer.
        viewer.number_packets(now);
        let layers = Vec::with_capacity(1 << 16);
        let arrivals = Vec::with_capacity(1 << 10);
        Self { viewer, began: now, now, first: 0, arrivals, packets: 0, allocations: 0, padding: 0, layers }
    }

    /// Counts what a step allocates.
    fn step<T>(&mut self, step: impl FnOnce(&mut Viewer, Instant) -> T) -> T {
        let region = Region::new(ALLOCATOR);
        let result = step(&mut self.viewer, self.now);
        let change = region.change();
        self.allocations += change.allocations + change.reallocations;
        result
    }

    /// Sends for some time; packets are delayed by some milliseconds, or lost.
    fn run(&mut self, seconds: u32, reports: bool, path: impl Fn(u32) -> Option<u32>) {
        for packet in 0..seconds * 200 {
            self.now += PACKET;
            let layer = self.step(|viewer, _| viewer.choice()).video.map(|step| step.layer);
            self.step(|viewer, now| viewer.on_switched(layer, now));
            self.layers.extend(layer);
            let rate = layer.map_or(0.0, |layer| RATES[usize::from(layer)]);
            self.send(Sent::Video, (rate / 1600.0) as usize, path(packet));
            if let Some(padding) = self.step(|viewer, _| viewer.poll_padding()) {
                self.padding += 1;
                (0..padding.octets / padding.packet)
                    .for_each(|_| self.send(Sent::Padding, padding.packet, path(packet)));
            }
            if self.step(|viewer, _| viewer.poll_timeout()).is_some_and(|due| due <= self.now) {
                self.step(|viewer, now| viewer.handle_timeout(now));
            }
            if packet % 20 == 0 && reports && self.arrivals.iter().any(Option::is_some) {
                let feedback = transport_feedback(self.first, &self.arrivals);
                self.first = self.first.wrapping_add(self.arrivals.len() as u16);
                self.arrivals.clear();
                self.step(|viewer, now| {
                    let feedback = Feedback::parse(&feedback).expect("it is well formed");
                    viewer.on_transport_feedback(&feedback, now);
                });
            }
        }
    }

    fn send(&mut self, sent: Sent, octets: usize, delay: Option<u32>) {
        self.packets += 1;
        let number = self.step(|viewer, now| {
            viewer.may_send(now);
            let number = viewer.transport_number();
            viewer.on_sent(sent, octets, now);
            number
        });
        if number.is_some() && self.arrivals.len() < self.arrivals.capacity() {
            let arrival = |delay| self.now + Duration::from_millis(u64::from(delay)) - self.began;
            self.arrivals.push(delay.map(|delay| arrival(delay).as_micros() as i64));
        }
    }
}

#[test]
fn neither_packets_nor_reports_nor_probes_nor_timers_allocate() {
    let mut watched = Watched::new();
    watched.run(10, true, |_| Some(20));
    assert!(watched.padding > 0 && watched.layers.last() == Some(&2), "it has probed up to the best layer");
    watched.run(1, true, |packet| Some(20 + packet));
    assert!(watched.layers.last() < Some(&2), "a queue has grown");
    watched.run(10, true, |packet| (packet % 3 > 0).then_some(20));
    // The viewer answers no numbers any more, but by REMB, NACKs and receiver reports.
    watched.run(5, false, |_| None);
    for second in 0..20 {
        watched.run(1, false, |_| None);
        watched.step(|viewer, now| viewer.on_report(second * 8, now));
        watched.step(|viewer, now| viewer.on_nack(Nacked { first: 3, again: 2 }, now));
        watched.step(|viewer, now| viewer.on_remb(Bitrate::from_bits(1e5 * f64::from(second)), now));
    }
    watched.step(|viewer, now| viewer.on_path_change(now));
    watched.step(|viewer, _| viewer.on_replay());
    watched.step(|viewer, now| viewer.on_live(now));
    watched.step(|viewer, now| (viewer.gauges(now), viewer.take_tally()));
    assert!(watched.packets > 5_000);
    assert_eq!(watched.allocations, 0);
}
