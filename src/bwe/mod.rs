//! Bandwidth and layers of one viewer: how much its path carries, which layer and temporal id it is sent, the padding
//! that finds out whether there is room for more, and the pace at which it is sent.
//!
//! A worker owns a [`Viewer`] for each of its viewers and tells it of each sealed packet, of the viewer's RTCP, and
//! when its timer is due; it reads the [`Choice`] for the viewer's video track, the [`Padding`] to send, and whether
//! the pacer lets a packet pass. Everything is pure and in virtual time. A packet, a feedback or a timer allocates
//! nothing.
//!
//! # Units
//!
//! Rates are bits per second ([`Bitrate`]), sizes are octets on the path, shares are from 0 to 1. Times are `Instant`s
//! at the [`Viewer`] and microseconds since it began inside (`time.rs`).
//!
//! # The rule
//!
//! The estimate is what the path has been *shown* to carry. It rises by the rate that arrives or by a probe that
//! passed, never by time, and it falls at overuse. So a viewer whose layer fits is left in peace: no rate creeps up
//! until something is lost.
//!
//! # The signals
//!
//! | signal | document | what it tells | used |
//! | --- | --- | --- | --- |
//! | transport-wide feedback | draft-holmer-rmcat-transport-wide-cc-extensions-01 | arrival of each video packet, every 50 to 250 ms | while it comes |
//! | REMB | draft-alvestrand-rmcat-remb | the receiver's own estimate, each second; capped near 1.5 times what it receives | without the former |
//! | NACK, receiver reports | RFC 4585, RFC 3550 | what is lost | without both |
//!
//! libwebrtc answers a packet with a transport-wide number by feedback and one without by REMB. So numbers are written
//! only while there is something to choose, and on video only: Firefox reports none of audio. A client that answers no
//! number within 2 s gets none any more.
//!
//! # From packets to a layer
//!
//! 1. `sent_ring` remembers each numbered packet; `virtual_queue` says how long it queues by its own sender's burst at
//!    the rate that the path is taken to carry, so that a keyframe explains its own queue. A packet that arrives
//!    earlier than that shortens the virtual queue: the path is faster.
//! 2. [`Feedback`] is read in place; `reference_clock` unwraps its times. `base_delay` takes the least one-way delay
//!    away, and `arrivals` keeps what is left in bins of 25 ms: the least of four bins with arrivals is the queue that
//!    stands. A viewer's process that reads late delays some packets of them, a queue delays all. `path` holds these.
//! 3. `overuse` judges them. A queue that stands and grows lowers the estimate to 0.97 times what arrives. A queue that
//!    stays although less is sent is another sender's; then only loss counts. Random loss is learnt and does no harm.
//! 4. `prober` finds out whether the next layer fits: a train of 20 ms, then a ramp of padding. Failed ramps are
//!    repeated after 3 to 40 s, or after 2 s while another sender keeps the queue full.
//! 5. `allocator` chooses among the [`Layers`]: audio first, then the best step that fits. Of a layer that the path
//!    carries little of, nothing more is sent, so that the queue drains until the lower layer begins.
//! 6. `pacer` lets a frame pass as one run, and a keyframe in runs every 10 ms: more slowly while that queue drains.
//!
//! # Viewers behind one bottleneck
//!
//! They see the same queue. A viewer that is sent little compared with its best layer waits for a larger queue before
//! it gives way, and probes with more padding, so that those that are sent much give way first. Part of the wait is
//! random, so that they do not all give way at once.
//!
//! # Figures
//!
//! `tests/sim/bandwidth.rs` holds limits for these over simulated links (layers of 0.15, 0.5 and 1.7 Mbit/s, round-trip
//! time 50 ms). Measured with 240 seeds: after a link drops from 4 to 1 Mbit/s a lower layer is decided after 0.23 s
//! (median; at most 0.35 s), and the best layer is back 1.8 s after the link is (at most 3.1 s); random loss up to
//! 10 % and stalls up to 60 ms change nothing; five viewers in 3 Mbit/s share it with a Jain's index of 0.9 or more in
//! nine of ten runs. Beside a Reno flow a viewer is at its best layer for 82 % of the time. A packet takes some 200
//! instructions, a feedback of 25 packets some 7,700 (`benches/bwe.rs` measures their time); a viewer takes 16 kB with
//! numbers and 2 KiB without.

mod allocator;
mod arrivals;
mod base_delay;
mod bitrate;
mod choice;
mod estimator;
mod feedback;
mod layers;
mod losses;
mod overuse;
mod pacer;
mod path;
mod prober;
mod reference_clock;
mod sent_ring;
mod start;
mod tally;
mod time;
mod train;
#[cfg(test)]
#[path = "../../tests/support/transport_feedback.rs"]
mod transport_feedback;
mod viewer;
mod virtual_queue;

pub use bitrate::Bitrate;
pub use choice::{Choice, Leaving};
pub use feedback::Feedback;
pub use layers::{Cap, Layer, Layers, MAX_LAYERS, MAX_TEMPORAL, Step};
pub use losses::Nacked;
pub use prober::Padding;
pub use start::first_layer;
pub use tally::{Gauges, Tally};
pub use viewer::{Sent, Viewer};
