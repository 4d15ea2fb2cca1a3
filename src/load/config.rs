//! What `sluice load` is asked to do: its flags.

use std::time::Duration;

use clap::Args;

/// What is to be measured.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// The WHIP endpoint to publish to, such as http://localhost:8080/whip/load; without it somebody else publishes
    #[arg(long, value_name = "URL")]
    pub whip: Option<String>,

    /// The WHEP endpoint to watch, such as http://localhost:8080/whep/load
    #[arg(long, value_name = "URL")]
    pub whep: String,

    /// The bearer token for both
    #[arg(long, env = "SLUICE_LOAD_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// How many viewers join
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub viewers: usize,

    /// How many streams they share; the second is called like the first with -2 behind, and so on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub streams: u32,

    /// How long packets are counted, once all have joined
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,

    /// The relay's process, to measure its CPU time and memory
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,

    /// RTP packets a second in each stream
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub packets_per_second: u32,

    /// Bits a second in each stream, instead of packets
    #[arg(long, value_name = "BITS", conflicts_with = "packets_per_second")]
    #[arg(value_parser = clap::value_parser!(u32).range(1000..=4_000_000_000))]
    pub bitrate: Option<u32>,

    /// Packets that leave at once, as the packets of a picture do
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub burst: u32,

    /// Bytes of RTP payload in each packet
    #[arg(long, value_name = "BYTES", default_value_t = 1160, value_parser = clap::value_parser!(u16).range(64..=1400))]
    pub payload: u16,

    /// Prints the report as one line of JSON
    #[arg(long)]
    pub json: bool,
}

impl Config {
    /// RTP packets a second in each stream.
    pub(super) fn rate(&self) -> u32 {
        let by_bits = self.bitrate.map(|bits| bits.div_ceil(8 * u32::from(self.payload)).max(1));
        by_bits.unwrap_or(self.packets_per_second)
    }

    /// Between two bursts of a stream.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.burst) / f64::from(self.rate()))
    }
}
