//! What the model takes for given: times of networks and of the relay, and its limits.

use std::time::Duration;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Regions with as many nodes and viewers each.
pub(crate) const REGIONS: usize = 4;

/// One way between nodes of one region, and of two.
pub(crate) const NEAR: Duration = ms(10);
pub(crate) const FAR: Duration = ms(50);

/// Round trip between a viewer and a node of its region, and of another.
pub(crate) const VIEWER_NEAR: Duration = ms(30);
pub(crate) const VIEWER_FAR: Duration = ms(130);

/// How long a leg or a viewer is silent before the other side counts as gone, and how often it is looked at.
pub(crate) const DETECTION: Duration = ms(600);
pub(crate) const LOOK: Duration = ms(200);

/// How long a node that does not answer is waited for.
pub(crate) const NO_ANSWER: Duration = ms(500);

/// Round trips from a POST to the first packet: HTTP, ICE, DTLS.
pub(crate) const ROUND_TRIPS: u32 = 4;

/// CPU time of a join, which one core of a node does one after the other.
pub(crate) const JOIN: Duration = ms(2);

/// CPU time of one packet to one viewer, and packets a second of a stream of 2 Mbit/s with audio.
pub(crate) const PACKET: Duration = Duration::from_micros(2);
pub(crate) const PACKETS: u32 = 260;

/// Cores of a node.
pub(crate) const CORES: f32 = 2.0;

/// Sessions of one node at once (`--max-sessions`): three times what each has while all nodes are there.
pub(crate) const VIEWERS: usize = 1_500;

/// How long a session counts from which nothing comes.
pub(crate) const SILENCE: Duration = ms(30_000);

/// Places of sessions that are not connected yet, as the relay has.
pub(crate) const PENDING: usize = 8_192;

/// Session requests a second with one token (`--token-rate-limit`) and the burst, as the relay has: all viewers have one.
pub(crate) const REQUESTS: f64 = 200.0;
pub(crate) const BURST: f64 = 30.0 * REQUESTS;

/// What a page waits before it tries again, at least and at most.
pub(crate) const PAGE: std::ops::Range<Duration> = ms(375)..ms(625);

/// What a page waits after a refusal.
pub(crate) const REFUSED: std::ops::Range<Duration> = ms(2_000)..ms(2_200);

/// How long a balancer takes a dead node for a living one, and what it waits before it tries another.
pub(crate) const UNHEALTHY: Duration = ms(2_000);
pub(crate) const BALANCER: Duration = ms(250);

/// What a client waits for a balancer that is gone.
pub(crate) const NO_BALANCER: Duration = ms(1_000);

/// How long a written value takes to be read by all nodes.
pub(crate) const WRITTEN: std::ops::Range<Duration> = ms(20)..ms(150);

/// The pause between two writes of a node's list, as the relay makes.
pub(crate) const PAUSE: Duration = ms(1_000);

/// Heartbeats and leases, as those of the relay.
pub(crate) const HEARTBEAT: Duration = ms(3_000);
pub(crate) const LEASE: Duration = ms(15_000);

/// What a node waits before it looks for a parent again, the first time; then twice that, up to the longest.
pub(crate) const AGAIN: Duration = ms(100);
pub(crate) const LONGEST: Duration = ms(1_600);

/// For how long a node that gets nothing any more has not noticed that.
pub(crate) const UNNOTICED: Duration = ms(200);
