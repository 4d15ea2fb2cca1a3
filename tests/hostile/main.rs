//! Hostile clients and strangers, thousands of packets of each kind, in virtual time against the real core: nothing
//! panics, no other session loses a packet, and the memory is freed. A program of its own, because its allocator counts
//! the memory of the whole process, so that one attack runs at a time.

#[path = "../support/forgeries.rs"]
mod forgeries;
#[path = "../support/hostile.rs"]
mod hostile;
#[allow(dead_code, reason = "tests/sim uses the rest")]
#[path = "../sim/net/mod.rs"]
mod net;
#[allow(dead_code, reason = "the filter's own tests use the rest")]
#[path = "../support/sctp.rs"]
mod sctp;
#[allow(dead_code, reason = "the filter's own tests use the rest")]
#[path = "../support/sctp_packet.rs"]
mod sctp_packet;

mod channels;
mod forged;
mod media;

use std::alloc::System;
use std::sync::{Mutex, MutexGuard, PoisonError};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The allocator counts for the whole process, so one attack runs at a time: each holds this.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
