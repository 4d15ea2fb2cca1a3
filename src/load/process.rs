//! What Linux reports about a process: its CPU time, its memory, and what its sockets dropped.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// USER_HZ: the unit of CPU times in /proc, the same on every Linux that Rust runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// A running process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    pid: u32,
}

/// CPU times and clock at the start of a measurement, of the relay if it is known and of this process.
#[derive(Debug)]
pub(super) struct Measured {
    process: Option<Process>,
    cpu: Option<Duration>,
    own_cpu: Option<Duration>,
    began: Instant,
}

/// The result of a measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    /// Wall-clock time.
    pub(super) elapsed: Duration,
    /// CPU time of the relay, user and system.
    pub(super) cpu: Option<Duration>,
    /// CPU time of this process.
    pub(super) own_cpu: Option<Duration>,
}

impl Process {
    /// Finds a process by its id.
    pub(super) fn find(pid: u32) -> Result<Self> {
        let process = Self { pid };
        process.cpu().with_context(|| format!("--pid {pid} is not a process that can be measured here"))?;
        Ok(process)
    }

    fn own() -> Self {
        Self { pid: std::process::id() }
    }

    /// CPU time so far, of all threads, in user and system mode.
    fn cpu(self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.pid);
        let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        cpu_of(&stat).with_context(|| format!("cannot make sense of {path}"))
    }

    /// Resident memory.
    pub(super) fn resident_bytes(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid);
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}: has the relay ended?"))?;
        resident_of(&status).with_context(|| format!("cannot make sense of {path}"))
    }
}

impl Measured {
    /// Starts a measurement.
    pub(super) fn begin(process: Option<&Process>) -> Result<Self> {
        Ok(Self {
            process: process.copied(),
            cpu: process.map(|process| process.cpu()).transpose()?,
            own_cpu: Process::own().cpu().ok(),
            began: Instant::now(),
        })
    }

    /// The time since the measurement began.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Ends the measurement of what was done within `elapsed`, and of what that caused until now.
    pub(super) fn end(self, elapsed: Duration) -> Result<Spent> {
        let cpu = self.process.map(Process::cpu).transpose()?;
        let since = |now: Option<Duration>, before: Option<Duration>| Some(now?.saturating_sub(before?));
        Ok(Spent { elapsed, cpu: since(cpu, self.cpu), own_cpu: since(Process::own().cpu().ok(), self.own_cpu) })
    }
}

/// Datagrams that the kernel dropped because the receive buffers of these local UDP ports were full; `None` where this
/// is unknown.
pub(super) fn socket_drops(ports: impl Iterator<Item = u16>) -> Option<u64> {
    let mut ports: Vec<u16> = ports.collect();
    ports.sort_unstable();
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(fs::read_to_string);
    let mut known = None;
    for table in tables.iter().flatten() {
        let dropped = table.lines().filter_map(drops_of).filter(|(port, _)| ports.binary_search(port).is_ok());
        known = Some(known.unwrap_or(0) + dropped.map(|(_, drops)| drops).sum::<u64>());
    }
    known
}

/// Fields 14 and 15, counted after the name, which may contain spaces and brackets.
fn cpu_of(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Duration::from_secs_f64((user + system) as f64 / TICKS_A_SECOND))
}

fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// A line of /proc/net/udp: the local port and, last, the drops.
fn drops_of(line: &str) -> Option<(u16, u64)> {
    let mut fields = line.split_whitespace();
    let (_, port) = fields.nth(1)?.rsplit_once(':')?;
    Some((u16::from_str_radix(port, 16).ok()?, fields.last()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_cpu_times_behind_any_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 4 0 99 1 1";
        assert_eq!(cpu_of(stat), Some(Duration::from_millis(1750)));
        assert_eq!(cpu_of("7 (sluice"), None);
    }

    #[test]
    fn reads_memory_and_drops() {
        assert_eq!(resident_of("Name:\tx\nVmRSS:\t   12 kB\n"), Some(12 * 1024));
        let line = "  512: 0100007F:1F91 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1 2 0 42";
        assert_eq!(drops_of(line), Some((8081, 42)));
        assert_eq!(drops_of("  sl  local_address rem_address   st tx_queue drops"), None);
    }

    #[test]
    fn this_process_can_be_measured_and_one_that_is_not_cannot() {
        let process = Process::find(std::process::id()).unwrap();
        assert!(process.resident_bytes().unwrap() > 0);
        let spent = Measured::begin(Some(&process)).unwrap().end(Duration::from_secs(3)).unwrap();
        assert!(spent.cpu.is_some() && spent.own_cpu.is_some());
        assert_eq!(spent.elapsed, Duration::from_secs(3), "not the time in which the last packets arrived");
        let error = Process::find(u32::MAX).unwrap_err();
        assert!(error.to_string().contains("--pid 4294967295"), "{error}");
    }
}
