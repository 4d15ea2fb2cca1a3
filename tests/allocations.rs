//! Holds what a forwarded packet may allocate: nothing for a viewer.
//!
//! A published packet becomes one shared packet (its payload and the reference count around it), and each batch of a
//! track is one message. However many viewers there are, nothing is added to that. Alone in its program, because it
//! counts what the whole program allocates.

#[expect(dead_code, reason = "this test needs less than the others")]
#[path = "sim/net/mod.rs"]
mod net;

use std::alloc::System;
use std::hint::black_box;
use std::time::Duration;

use net::{Net, vp8};
use sluice::five_tuple::FiveTuple;
use sluice::forward::codec::Codec;
use sluice::name::Role;
use sluice::srtp::SrtpProfile;
use sluice::worker::{Outbox, SendOutcome};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PACKETS: usize = 1000;
const BURST: usize = 10;

/// The payload, and the packet around it.
const ALLOCATIONS_PER_PACKET: usize = 2;

/// For each publisher, track and batch: the list of tracks with something new, the message, its list of packets as it
/// grows to the length of the batch, and the lists of publishers and of workers to push it to.
const ALLOCATIONS_PER_BATCH: usize = 8;

/// The relay's history holds this many packets; before it is full it grows.
const HISTORY: usize = 2048;

/// Takes everything and keeps nothing.
#[derive(Default)]
struct Nowhere {
    packets: usize,
}

impl Outbox for Nowhere {
    fn send(&mut self, path: &FiveTuple, contents: &[u8], segment: Option<usize>) -> SendOutcome {
        self.packets += segment.map_or(1, |segment| contents.len().div_ceil(segment));
        black_box((path, contents));
        SendOutcome::Done
    }

    fn max_segments(&self) -> usize {
        64
    }
}

/// A relay whose viewers all have a picture, with a full history.
fn relay(viewers: usize) -> (Net, usize) {
    let mut net = Net::new(1);
    let join = |net: &mut Net, role| net.join(role, "cam", &[Codec::Vp8], &[SrtpProfile::Aes128Gcm]);
    let publisher = join(&mut net, Role::Publisher);
    net.connect();
    for _ in 0..viewers {
        join(&mut net, Role::Viewer);
    }
    net.connect();
    net.send(publisher, 0, 0, true, &vp8(true, 0));
    net.run(Duration::from_millis(20));
    forward(&mut net, publisher, HISTORY + BURST);
    (net, publisher)
}

/// Forwards so many packets in bursts, while time stands still so that no report falls due; returns how many
/// allocations that took and how many packets left.
fn forward(net: &mut Net, publisher: usize, packets: usize) -> (usize, usize) {
    let address = net.clients[publisher].address;
    let payload = vp8(false, 1);
    let mut nowhere = Nowhere::default();
    let mut allocations = 0;
    for burst in 0..packets / BURST {
        let client = &mut net.clients[publisher];
        let seal = |number| client.seal(0, burst as u32 * 3000, number + 1 == BURST, &payload);
        let mut datagrams: Vec<_> = (0..BURST).map(seal).collect();
        let region = Region::new(ALLOCATOR);
        for datagram in &mut datagrams {
            net.relay.receive(0, address, datagram, net.now);
        }
        net.relay.turn(&mut nowhere, net.now);
        let change = region.change();
        allocations += change.allocations + change.reallocations;
    }
    (allocations, nowhere.packets)
}

#[test]
fn a_forwarded_packet_allocates_nothing_for_any_viewer() {
    let counts = [10, 100].map(|viewers| {
        let (mut net, publisher) = relay(viewers);
        let (allocations, packets) = forward(&mut net, publisher, PACKETS);
        assert_eq!(packets, PACKETS * viewers, "every viewer gets every packet");
        allocations
    });
    let [few, many] = counts;
    assert_eq!(few, many, "allocations grow with the number of viewers");
    let allowed = PACKETS * ALLOCATIONS_PER_PACKET + PACKETS / BURST * ALLOCATIONS_PER_BATCH;
    assert!(few <= allowed, "{few} allocations for {PACKETS} published packets, {allowed} are allowed");
}
