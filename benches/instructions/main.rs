//! Instructions that the hot structures and a fan-out take, counted by callgrind and held against
//! `benches/instructions.toml`. Unlike times these hardly vary from run to run, so they can be a gate:
//! `tests/instructions`.
//!
//! Run without arguments, this program runs itself under valgrind, reads what each case took and compares. With `bless`
//! it writes what it counted as the new expectation. Every case is one function that is called once, so that its
//! inclusive cost is the count.

mod callgrind;
mod expectation;
mod hostile;
mod measured;
#[path = "../support/parts.rs"]
mod parts;
#[path = "../support/relay.rs"]
mod relay;
#[path = "../../tests/support/transport_feedback.rs"]
mod transport_feedback;

use std::process::ExitCode;
use std::time::Instant;

use expectation::Counted;
use parts::{Forward, SEALED, Srtp, commit_run};
use relay::{Nowhere, Relay};
use sluice::sdp::Extension;
use sluice::worker::Batch;

/// How often each case does what it counts.
const TIMES: usize = 500;
/// Enough pushes that growing the history's table once adds little to their mean.
const PUSHES: usize = 4_000;
const BURST: usize = 10;
/// A handshake takes valgrind a second; these are enough to see what one viewer more costs.
const VIEWERS: usize = 10;
const BURSTS: usize = 20;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("cases") => {
            run_cases();
            measured::run_cases();
            hostile::run_cases();
            ExitCode::SUCCESS
        }
        argument => match measure().and_then(|counted| expectation::hold(&counted, argument == Some("bless"))) {
            Ok(()) => ExitCode::SUCCESS,
            Err(sentence) => {
                eprintln!("{sentence}");
                ExitCode::FAILURE
            }
        },
    }
}

fn measure() -> Result<Vec<Counted>, String> {
    let costs = callgrind::run("cases")?;
    hostile::hold(&costs)?;
    let cost = |case: &str| costs.of(&format!("instructions::case_{case}"));
    let (times, forwarded) = (TIMES as f64, (BURSTS * BURST * VIEWERS) as f64);
    let (open, seal) = (cost("open")? / times, cost("seal")? / times);
    let fan_out = cost("fan_out")?;
    let published = (BURSTS * BURST) as f64;
    let mut counted = vec![
        Counted { name: "demux", instructions: cost("demux")? / times, tolerance: 0.03 },
        Counted { name: "history-push", instructions: cost("history_push")? / PUSHES as f64, tolerance: 0.03 },
        // How the copy lies in memory makes some 3 %.
        Counted {
            name: "outbound-track-forward",
            instructions: cost("outbound_track_forward")? / times,
            tolerance: 0.05,
        },
        Counted { name: "batch", instructions: cost("batch")? / times, tolerance: 0.03 },
        Counted { name: "open", instructions: open, tolerance: 0.05 },
        Counted { name: "seal", instructions: seal, tolerance: 0.05 },
        Counted { name: "fan-out", instructions: fan_out / forwarded, tolerance: 0.05 },
        Counted { name: "fan-out-extended", instructions: cost("extended_fan_out")? / forwarded, tolerance: 0.05 },
        Counted {
            name: "fan-out-without-srtp",
            instructions: (fan_out - published * open) / forwarded - seal,
            tolerance: 0.05,
        },
    ];
    counted.extend(measured::counted(&costs)?);
    Ok(counted)
}

fn run_cases() {
    // Handshakes last: they are random, and where they leave memory decides how a copy is aligned.
    let mut srtp = Srtp::new();
    let mut sealed: Vec<_> = (0..TIMES).map(|_| srtp.seal().to_vec()).collect();
    case_open(&mut srtp, &mut sealed);
    case_seal(&mut srtp);

    let mut forward = Forward::new();
    let packets = (0..PUSHES).map(|_| forward.packet()).collect();
    case_history_push(&mut forward, packets);
    let mut forward = Forward::new();
    for _ in 0..TIMES {
        let packet = forward.packet();
        forward.push(packet);
    }
    case_outbound_track_forward(&mut forward);
    case_batch(&mut Batch::default());

    let mut relay = Relay::with_viewers(VIEWERS, &[]);
    let mut datagram = vec![0x80; SEALED];
    case_demux(&mut relay, &mut datagram);
    let mut bursts: Vec<_> = (0..BURSTS).map(|_| relay.burst(BURST)).collect();
    case_fan_out(&mut relay, &mut bursts);

    let mut relay = Relay::with_viewers(VIEWERS, &[Extension::Mid, Extension::AbsSendTime]);
    let mut bursts: Vec<_> = (0..BURSTS).map(|_| relay.burst(BURST)).collect();
    case_extended_fan_out(&mut relay, &mut bursts);
}

/// Packets from viewers, up to their sessions.
#[inline(never)]
fn case_demux(relay: &mut Relay, datagram: &mut [u8]) {
    for viewer in 0..TIMES {
        relay.demux(viewer, datagram);
    }
}

/// Bursts from the publisher's datagrams to the viewers' runs.
#[inline(never)]
fn case_fan_out(relay: &mut Relay, bursts: &mut [Vec<Vec<u8>>]) {
    let mut nowhere = Nowhere::default();
    for burst in bursts {
        relay.forward(burst, &mut nowhere);
    }
    assert_eq!(nowhere.packets, BURSTS * BURST * VIEWERS);
}

/// The same to viewers that take header extensions as a browser does.
#[inline(never)]
fn case_extended_fan_out(relay: &mut Relay, bursts: &mut [Vec<Vec<u8>>]) {
    let mut nowhere = Nowhere::default();
    for burst in bursts {
        relay.forward(burst, &mut nowhere);
    }
    assert_eq!(nowhere.packets, BURSTS * BURST * VIEWERS);
}

/// A publisher's packets, opened in place.
#[inline(never)]
fn case_open(srtp: &mut Srtp, datagrams: &mut [Vec<u8>]) {
    for datagram in datagrams {
        srtp.open(datagram);
    }
}

/// A viewer's packets, sealed in place.
#[inline(never)]
fn case_seal(srtp: &mut Srtp) {
    for _ in 0..TIMES {
        srtp.seal();
    }
}

/// Pushes packets into a full history: each push frees the oldest packet.
#[inline(never)]
fn case_history_push(forward: &mut Forward, packets: Vec<std::sync::Arc<sluice::forward::Packet>>) {
    for packet in packets {
        forward.push(packet);
    }
}

/// Packets from the history to a viewer's RTP stream: splice, header and copy.
#[inline(never)]
fn case_outbound_track_forward(forward: &mut Forward) {
    for _ in 0..TIMES {
        assert!(forward.pull().is_some());
    }
}

/// Packets of one viewer into runs.
#[inline(never)]
fn case_batch(batch: &mut Batch) {
    let (mut nowhere, now) = (Nowhere::default(), Instant::now());
    for _ in 0..TIMES / BURST {
        commit_run(batch, BURST, &mut nowhere, now);
    }
}
