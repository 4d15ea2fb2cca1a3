//! The `load` command: publishes, joins viewers, counts what reaches them, and reports.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use super::field::Field;
use super::join::{Joiner, Sessions};
use super::process::{Measured, Process, socket_drops};
use super::{Report, report};
use crate::client::Client;
use crate::name::Role;

/// A publisher that is not connected by then never will be.
pub(super) const PUBLISHING: Duration = Duration::from_secs(10);

/// So long the viewers have to join, and for each hundred of them this much more.
pub(super) const JOINING: Duration = Duration::from_secs(20);
pub(super) const JOINING_A_HUNDRED: Duration = Duration::from_secs(10);

/// Before memory is looked at the first time: the relay's history holds a second.
pub(super) const WARMING: Duration = Duration::from_millis(1500);

/// Between the last join and the first counted packet.
pub(super) const SETTLING: Duration = Duration::from_secs(1);

/// The pause that keeps what is counted apart from what is not: by its end nothing is under way any more.
pub(super) const PAUSE: Duration = Duration::from_millis(300);

/// How long the last packets have to arrive.
pub(super) const DRAINING: Duration = Duration::from_secs(2);

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

/// Publishes, watches, measures, and ends what it began.
///
/// # Errors
/// A sentence that says what to do, when the relay cannot be reached, refuses, or nobody joins. Lost packets are no
/// error: the report tells them.
pub fn run(config: &Config) -> Result<Report> {
    let process = config.pid.map(Process::find).transpose()?;
    let sessions = Sessions::new(Client::new(config.token.as_deref()));
    let mut field = Field::new(config)?;
    let mut joiner = Joiner::new(config, &sessions, &field)?;

    if config.whip.is_some() {
        joiner.join(Role::Publisher, config.streams as usize);
        let streams = config.streams as usize;
        field.run(PUBLISHING, |field| field.failure().is_some() || field.connected_publishers() == streams);
        if let Some(error) = field.take_failure() {
            return Err(error.context("cannot publish"));
        }
        ensure!(
            field.connected_publishers() == streams,
            "{} of {streams} publishers connected within {} s: is the relay's media port reachable by UDP? Start it \
             with --advertise and an address that this machine reaches",
            field.connected_publishers(),
            PUBLISHING.as_secs()
        );
        tracing::info!(streams, "publishing");
        field.publish();
        field.run(WARMING, |_| false);
    }
    let memory_before = process.as_ref().map(Process::resident_bytes).transpose()?;

    joiner.join(Role::Viewer, config.viewers);
    let patience = JOINING + JOINING_A_HUNDRED * (config.viewers / 100) as u32;
    field.run(patience, |field| field.viewers_with_media() + field.failed() >= config.viewers);
    joiner.stop();
    let joined = field.viewers_with_media();
    if joined < config.viewers {
        let why = field
            .take_failure()
            .map_or("they did not connect, or nobody publishes there: --whip URL does".to_owned(), |error| {
                format!("{error:#}")
            });
        tracing::warn!(joined, asked = config.viewers, "not everybody joined: {why}");
        if joined == 0 && config.viewers > 0 {
            bail!("no viewer joined: {why}");
        }
    }
    tracing::info!(joined, "watching");
    field.run(SETTLING, |_| false);

    field.pause();
    field.run(PAUSE, |_| false);
    let drops_before = socket_drops(field.ports());
    field.begin_counting();
    let measured = Measured::begin(process.as_ref())?;
    field.publish();
    field.run(Duration::from_secs(config.seconds), |_| false);
    field.pause();
    field.run(DRAINING, Field::has_everything);
    let spent = measured.end().context("the relay ended while it was measured")?;
    let memory_after = process.as_ref().map(Process::resident_bytes).transpose()?;
    let drops = socket_drops(field.ports()).zip(drops_before).map(|(after, before)| after.saturating_sub(before));

    let ended = Instant::now();
    let left = sessions.end_all();
    tracing::info!(took_ms = ended.elapsed().as_millis(), "sessions ended");
    if left > 0 {
        tracing::warn!(left, "some sessions could not be ended: the relay will, after 30 s of silence");
    }
    Ok(report::Sources { config, field: &field, spent, memory_before, memory_after, drops }.report())
}
