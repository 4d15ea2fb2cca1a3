//! Limits the memory that a viewer takes, for a video in one encoding and for one in three. It is alone in its program,
//! because it counts what the whole program allocates.

#[expect(dead_code, reason = "this test needs less than the others")]
#[path = "sim/broadcast.rs"]
mod broadcast;
#[expect(dead_code, reason = "this test needs less than the others")]
#[path = "sim/net/mod.rs"]
mod net;
#[expect(dead_code, reason = "this test needs less than the others")]
#[path = "sim/simulcast/sender.rs"]
mod sender;

use std::alloc::System;

use net::Net;
use sender::{QHF, Sender, list};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Viewers of the two relays that are compared, so that only what depends on their number counts.
const FEW: usize = 16;
const MANY: usize = 48;

/// The most bytes that a viewer of a video in one encoding takes: 171,000, and 2 KiB more. Part of it is what webrtc-rs
/// keeps of the client.
const SINGLE: usize = 173_000;

/// The most bytes that several encodings add: mostly the record of the viewer's numbered packets.
const LAYERED: usize = 24 * 1024;

/// Bytes that are allocated now.
fn allocated() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// The bytes that a relay with this number of viewers takes, without its clients.
fn relay(encodings: &[(&str, u16, u16)], viewers: usize) -> usize {
    let before = allocated();
    let mut net = Net::new(1);
    let mut sender = Sender::join(&mut net, encodings, &list(encodings));
    for _ in 0..viewers {
        net.watch("cam");
    }
    net.connect();
    // Numbers end after 2 s, because these viewers report nothing.
    sender.begin_all(&mut net, 40);
    net.clients = Vec::new();
    allocated() - before
}

fn bytes_per_viewer(encodings: &[(&str, u16, u16)]) -> usize {
    let [few, many] = [FEW, MANY].map(|viewers| relay(encodings, viewers));
    (many - few) / (MANY - FEW)
}

#[test]
fn a_viewer_takes_a_bounded_number_of_bytes_and_several_encodings_add_at_most_24_kib() {
    let [single, layered] = [&QHF[2..], QHF].map(bytes_per_viewer);
    assert!(single <= SINGLE, "{single} bytes a viewer of one encoding, {SINGLE} are allowed");
    let more = layered.saturating_sub(single);
    assert!(more <= LAYERED, "{more} bytes more for several encodings, {LAYERED} are allowed");
    assert!(more > 1024, "{more} bytes: nothing measures these viewers' networks");
}
