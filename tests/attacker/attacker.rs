//! One attack on a running relay over real sockets, for `tests/attack`: bounded in time, rate and count, seeded.
//!
//! `attacker list` prints the attacks; `attacker NAME HTTP-ADDRESS SEED SECONDS` runs one and prints what it did.

#![expect(clippy::print_stdout, reason = "what it prints is read by tests/attack")]

#[allow(dead_code, reason = "tests/hostile/forged.rs uses the rest")]
#[path = "../support/forgeries.rs"]
mod forgeries;
#[path = "../support/hostile.rs"]
mod hostile;
mod http;
mod inside;
mod pace;
#[allow(dead_code, reason = "the filter's own tests use the rest")]
#[path = "../support/sctp.rs"]
mod sctp;
#[allow(dead_code, reason = "the filter's own tests use the rest")]
#[path = "../support/sctp_packet.rs"]
mod sctp_packet;
mod session;
mod strangers;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// What an attack is given.
struct Attack {
    /// The relay's HTTP address.
    relay: SocketAddr,
    random: StdRng,
    duration: Duration,
}

/// Runs an attack, and says what it did.
type Run = fn(&mut Attack) -> Result<String>;

const ATTACKS: [(&str, Run); 11] = [
    ("strangers", strangers::from_other_sockets),
    ("forged-address", strangers::from_a_clients_socket),
    ("sctp", inside::sctp),
    ("rtp-codecs", inside::rtp),
    ("rtp-ssrcs", inside::alternating_sources),
    ("rtcp", inside::rtcp),
    ("http-idle", http::idle_connections),
    ("http-slow", http::slow_requests),
    ("http-unread", http::unread_answers),
    ("http-offers", http::mutated_offers),
    ("joins", http::joins),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list"] => ATTACKS.iter().for_each(|(name, _)| println!("{name}")),
        [name, relay, seed, seconds] => {
            let (_, run) = ATTACKS.iter().find(|attack| attack.0 == name).context("no attack has this name")?;
            let mut attack = Attack {
                relay: relay.parse().context("the second argument is an address")?,
                random: StdRng::seed_from_u64(seed.parse().context("the third argument is a number")?),
                duration: Duration::from_secs_f64(seconds.parse().context("the fourth argument is seconds")?),
            };
            println!("{}", run(&mut attack)?);
        }
        _ => bail!("run tests/attack, which starts this program"),
    }
    Ok(())
}
