//! Hostile input for every parser, as property tests: valid inputs are changed a little, so that the change gets past
//! the first check. What is read must be true, not only free of panics: it is compared with what was written, with the
//! octets that it came from, or with the parser of webrtc-rs.
//!
//! `cargo test --test fuzz` runs 1,000 cases of each, `PROPTEST_CASES=1000000 cargo test --release --test fuzz` many
//! more. A failure is written to a file beside its test (`*.regressions`), which belongs into the repository: it is run
//! first from then on.

mod bwe;
mod change;
mod codecs;
mod config;
mod dtls;
mod fragment;
mod rtcp;
mod rtp;
mod sctp;
#[allow(dead_code, reason = "the filter's own tests use the rest")]
#[path = "../support/sctp_packet.rs"]
mod sctp_packet;
mod sdp;
mod srtcp;
mod stun;
mod turn;
#[path = "../support/turn_message.rs"]
mod turn_message;

use proptest::test_runner::{Config, FileFailurePersistence};

/// As many cases as `PROPTEST_CASES` says, which proptest reads itself.
fn cases() -> Config {
    let beside = FileFailurePersistence::WithSource("regressions");
    let mut config =
        Config { failure_persistence: Some(Box::new(beside)), max_shrink_iters: 10_000, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 1000;
    }
    config
}
