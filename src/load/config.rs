//! The flags of `sluice load`.

use std::time::Duration;

use clap::Args;

use crate::client::{Authorities, endpoint};
use crate::setting;

/// What to measure.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// WHIP endpoint to publish to, such as http://localhost:8080/whip/load; if unset, another client must publish
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub whip: Option<String>,

    /// WHEP endpoint to watch, such as http://localhost:8080/whep/load
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub whep: String,

    /// Bearer token for both endpoints
    #[arg(long, env = "SLUICE_LOAD_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// PEM file with the root certificates that the relay's certificate is checked by, instead of the public ones
    #[arg(long, value_name = "FILE", value_parser = Authorities::read)]
    pub ca: Option<Authorities>,

    /// Number of viewers
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub viewers: usize,

    /// Number of streams that the viewers share; the second has the name of the first with -2 appended, and so on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub streams: u32,

    /// How long packets are counted after all viewers have joined, in seconds
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,

    /// Process id of the relay, to measure its CPU time and memory
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,

    /// RTP packets per second in each stream
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub packets_per_second: u32,

    /// Bits per second in each stream, instead of packets per second
    #[arg(long, value_name = "BITS", conflicts_with = "packets_per_second")]
    #[arg(value_parser = clap::value_parser!(u32).range(1000..=4_000_000_000))]
    pub bitrate: Option<u32>,

    /// Packets that are sent at once, like the packets of a frame
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub burst: u32,

    /// Bytes of RTP payload in each packet
    #[arg(long, value_name = "BYTES", default_value_t = 1160, value_parser = clap::value_parser!(u16).range(64..=1400))]
    pub payload: u16,

    /// Simulcast layers of each stream: the largest has the configured packets, each other a quarter of the next larger
    /// one's bitrate
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    pub layers: u8,

    /// Capacities of the viewers' links in bits per second, such as 4M,1M,300k: an equal share of the viewers gets each;
    /// if unset, links carry everything
    #[arg(long, value_name = "BITS", value_delimiter = ',', value_parser = setting::bitrate)]
    pub capacity: Vec<u64>,

    /// Print the report as one line of JSON
    #[arg(long)]
    pub json: bool,
}

impl Config {
    /// RTP packets per second in each stream.
    pub(super) fn rate(&self) -> u32 {
        let by_bits = self.bitrate.map(|bits| bits.div_ceil(8 * u32::from(self.payload)).max(1));
        by_bits.unwrap_or(self.packets_per_second)
    }

    /// True if viewers measure their links: a relay chooses layers by what they report.
    pub(super) fn measures_links(&self) -> bool {
        self.layers > 1 || !self.capacity.is_empty()
    }

    /// The capacities of the viewers' links, which the viewers get in turns; `None` for a link that carries everything.
    pub(super) fn capacities(&self) -> Vec<Option<u64>> {
        match self.capacity.as_slice() {
            [] => vec![None],
            capacities => capacities.iter().map(|bits| Some(*bits).filter(|bits| *bits > 0)).collect(),
        }
    }

    /// Time between two bursts of a stream.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.burst) / f64::from(self.rate()))
    }
}
