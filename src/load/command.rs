//! The `load` command: publishes, lets viewers join, counts the packets that reach them, and reports.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::config::Config;
use super::field::Field;
use super::join::{Joiner, Sessions};
use super::process::{Measured, Process, socket_drops};
use super::{Report, report};
use crate::client::HttpClient;
use crate::name::Role;

/// How long publishers have to connect.
pub(super) const PUBLISHING: Duration = Duration::from_secs(10);

/// How long viewers have to join, and how much longer for each hundred of them.
pub(super) const JOINING: Duration = Duration::from_secs(20);
pub(super) const JOINING_A_HUNDRED: Duration = Duration::from_secs(10);

/// Delay before memory is first measured: the relay's history holds one second.
pub(super) const WARMING: Duration = Duration::from_millis(1500);

/// Between the last join and the first counted packet.
pub(super) const SETTLING: Duration = Duration::from_secs(1);

/// The same where the relay has to find out what the viewers' links carry.
pub(super) const MEASURING: Duration = Duration::from_secs(10);

/// The pause before packets are counted: at its end no earlier packet is still in flight.
pub(super) const PAUSE: Duration = Duration::from_millis(300);

/// How long the last packets have to arrive.
pub(super) const DRAINING: Duration = Duration::from_secs(2);

/// Publishes, watches, measures, and ends its sessions.
///
/// # Errors
/// An error that says what to do, when the relay cannot be reached, refuses, or no viewer joins. Lost packets are not
/// an error; they are in the report.
pub fn run(config: &Config) -> Result<Report> {
    let process = config.pid.map(Process::find).transpose()?;
    let sessions = Sessions::new(HttpClient::new(config.token.as_deref(), config.ca.as_ref()));
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
        let why = field.take_failure().map_or(
            "they did not connect, or the stream has no publisher: publish with --whip URL".to_owned(),
            |error| format!("{error:#}"),
        );
        tracing::warn!(joined, asked = config.viewers, "some viewers did not join: {why}");
        if joined == 0 && config.viewers > 0 {
            bail!("no viewer joined: {why}");
        }
    }
    tracing::info!(joined, "watching");
    field.run(if config.measures_links() { MEASURING } else { SETTLING }, |_| false);

    field.pause();
    field.run(PAUSE, |_| false);
    let drops_before = socket_drops(field.ports());
    field.begin_counting();
    let measured = Measured::begin(process.as_ref())?;
    field.publish();
    field.run(Duration::from_secs(config.seconds), |_| false);
    let counted = measured.elapsed();
    field.pause();
    field.run(DRAINING, Field::has_everything);
    let spent = measured.end(counted).context("the relay ended while it was measured")?;
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
