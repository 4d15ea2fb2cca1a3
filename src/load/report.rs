//! The report: what arrived, how late, and what it cost.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::config::Config;
use super::downlink::Downlink;
use super::field::Field;
use super::layers;
use super::process::Spent;
use super::publisher::Publisher;
use super::viewer::Viewer;

/// Above this share of one CPU, the load itself may have been the bottleneck.
const BUSY: f64 = 0.85;

/// The result of a run. Shown as a table, or as JSON with these fields; units are in their names.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Viewers that should join.
    pub(crate) viewers: usize,
    /// Viewers that received media.
    pub(crate) joined: usize,
    /// Viewers whose session the relay ended.
    pub(crate) ended: usize,
    /// Streams that they shared.
    pub(crate) streams: u32,
    /// Packets per second in each stream, as configured.
    pub(crate) packets_per_second: u32,
    /// Packets in a burst.
    pub(crate) burst: u32,
    /// Bytes of payload in a packet.
    pub(crate) payload_bytes: u16,
    /// How long packets were counted.
    pub(crate) seconds: f64,
    /// From the request for a session to the DTLS connection. Some 200 ms of it are the clients' own: webrtc-rs's ICE
    /// nominates a pair at a timer.
    pub(crate) connect_ms: Option<Spread>,
    /// From the request for a session to the first packet.
    pub(crate) join_ms: Option<Spread>,
    /// Packets published while counting; `None` if another client published.
    pub(crate) published: Option<u64>,
    /// Packets that the joined viewers should have received.
    pub(crate) expected: u64,
    /// Distinct packets that they received.
    pub(crate) delivered: u64,
    /// `expected` minus `delivered`.
    pub(crate) lost: u64,
    /// Packets received more than once.
    pub(crate) repeated: u64,
    /// Packets with SSRCs that the answers do not name.
    pub(crate) stray: u64,
    /// Among the decrypted packets, those that differ from what was sent.
    pub(crate) damaged: u64,
    /// Part of `lost`: what the kernel dropped at the clients' own sockets, because this process was too slow.
    pub(crate) dropped_at_clients: Option<u64>,
    /// Bursts that this process was too slow to send.
    pub(crate) skipped_bursts: u64,
    /// From sending by the publisher to reception by the kernel, for viewers that decrypt.
    pub(crate) delay_ms: Option<Spread>,
    /// What viewers got by the capacity of their links; absent if nothing depends on that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) capacities: Vec<AtCapacity>,
    /// Of the layer with the most: requests for a keyframe per second.
    pub(crate) keyframe_requests_per_second: Option<f64>,
    /// CPU time of the relay while packets were counted, user and system.
    pub(crate) cpu_seconds: Option<f64>,
    /// CPU time per delivered packet.
    pub(crate) cpu_us_per_packet: Option<f64>,
    /// Memory of the relay before the viewers joined.
    pub(crate) memory_before_bytes: Option<u64>,
    /// Memory of the relay after counting.
    pub(crate) memory_after_bytes: Option<u64>,
    /// Additional memory per joined viewer.
    pub(crate) memory_bytes_per_viewer: Option<u64>,
    /// Share of one CPU that this process used.
    pub(crate) load_cpu_share: Option<f64>,
}

/// What the viewers with links of one capacity got while packets were counted.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AtCapacity {
    /// The capacity; `None` for links that carry everything.
    pub(crate) bits_per_second: Option<u64>,
    /// Viewers that received media.
    pub(crate) viewers: usize,
    /// Viewers on each layer at the end, the smallest layer first.
    pub(crate) on_layer: Vec<usize>,
    /// Changes of the layer, of all these viewers.
    pub(crate) changes: u64,
    /// Viewers whose layer did not change.
    pub(crate) settled: usize,
    /// The longest time between the ends of two frames, of any of these viewers.
    pub(crate) longest_gap_ms: f64,
    /// Packets of media that they received.
    pub(crate) packets: u64,
    /// Resends and padding that they received.
    pub(crate) resent: u64,
    /// Packets that their links dropped.
    pub(crate) dropped: u64,
}

/// A distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The median.
    pub(crate) p50: f64,
    /// The 99th percentile.
    pub(crate) p99: f64,
    /// The maximum.
    pub(crate) max: f64,
    /// Number of values.
    pub(crate) count: usize,
}

/// What a report is made from.
pub(super) struct Sources<'a> {
    pub(super) config: &'a Config,
    pub(super) field: &'a Field,
    pub(super) spent: Spent,
    pub(super) memory_before: Option<u64>,
    pub(super) memory_after: Option<u64>,
    pub(super) drops: Option<u64>,
}

impl Sources<'_> {
    pub(super) fn report(&self) -> Report {
        let Self { config, field, spent, .. } = self;
        let sent: Vec<u64> = field.publishers().map(|publisher| publisher.sent).collect();
        let joined = || field.watching();
        let count = joined().count();
        let expected = match sent.iter().max() {
            // Each viewer of a stream expects what was published there; viewers are spread evenly over streams that
            // send alike.
            Some(_) if !config.measures_links() => joined().zip(sent.iter().cycle()).map(|(_, sent)| sent).sum(),
            _ => joined().map(|viewer| viewer.line.len()).sum(),
        };
        let delivered: u64 = joined().map(|viewer| viewer.line.counted.packets).sum();
        let per_viewer = |before: u64, after: u64| after.saturating_sub(before).checked_div(count as u64);
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        let delays = field.samples().flat_map(|sample| &sample.delays).map(|delay| f64::from(*delay) / 1e3);
        let cpu_seconds = spent.cpu.map(|cpu| cpu.as_secs_f64());
        Report {
            viewers: config.viewers,
            joined: count,
            ended: field.viewers().filter(|viewer| viewer.ended.is_some()).count(),
            streams: config.streams,
            packets_per_second: config.rate(),
            burst: config.burst,
            payload_bytes: config.payload,
            seconds: spent.elapsed.as_secs_f64(),
            connect_ms: Spread::of(joined().filter_map(|viewer| viewer.connected_after).map(milliseconds)),
            join_ms: Spread::of(joined().filter_map(|viewer| viewer.media_after()).map(milliseconds)),
            published: (!sent.is_empty()).then(|| sent.iter().sum()),
            expected,
            delivered,
            lost: expected.saturating_sub(delivered),
            repeated: joined().map(|viewer| viewer.line.counted.repeated).sum(),
            stray: joined().map(|viewer| viewer.line.counted.stray).sum(),
            damaged: field.samples().map(|sample| sample.damaged).sum(),
            dropped_at_clients: self.drops,
            skipped_bursts: field.publishers().map(|publisher| publisher.skipped).sum(),
            delay_ms: Spread::of(delays),
            capacities: self.capacities(),
            keyframe_requests_per_second: field
                .publishers()
                .flat_map(Publisher::requests)
                .max()
                .map(|requests| requests as f64 / spent.elapsed.as_secs_f64()),
            cpu_seconds,
            cpu_us_per_packet: cpu_seconds.filter(|_| delivered > 0).map(|cpu| cpu * 1e6 / delivered as f64),
            memory_before_bytes: self.memory_before,
            memory_after_bytes: self.memory_after,
            memory_bytes_per_viewer: self
                .memory_before
                .zip(self.memory_after)
                .and_then(|(before, after)| per_viewer(before, after)),
            load_cpu_share: spent.own_cpu.map(|cpu| cpu.as_secs_f64() / spent.elapsed.as_secs_f64()),
        }
    }
}

impl Sources<'_> {
    /// One entry for each capacity, in the order of the setting.
    fn capacities(&self) -> Vec<AtCapacity> {
        let Self { config, field, .. } = self;
        if !config.measures_links() {
            return Vec::new();
        }
        let at = |capacity: Option<u64>| {
            let viewers: Vec<&Viewer> = field
                .watching()
                .filter(|viewer| viewer.downlink.as_ref().map(Downlink::capacity) == capacity)
                .collect();
            AtCapacity::of(capacity, &viewers, config.layers)
        };
        config.capacities().into_iter().map(at).collect()
    }
}

impl AtCapacity {
    fn of(capacity: Option<u64>, viewers: &[&Viewer], layers: u8) -> Self {
        let shown = || viewers.iter().filter_map(|viewer| viewer.line.opened()).map(|opened| opened.shown);
        let place = |width: Option<u16>| width.and_then(|width| layers::place(width, layers));
        let sum = |count: fn(&Viewer) -> u64| viewers.iter().map(|viewer| count(viewer)).sum();
        Self {
            bits_per_second: capacity,
            viewers: viewers.len(),
            on_layer: (0..usize::from(layers))
                .map(|layer| shown().filter(|shown| place(shown.width) == Some(layer)).count())
                .collect(),
            changes: shown().map(|shown| shown.changes).sum(),
            settled: shown().filter(|shown| shown.changes == 0).count(),
            longest_gap_ms: shown().map(|shown| shown.gap).max().unwrap_or_default().as_secs_f64() * 1e3,
            packets: sum(|viewer| viewer.line.counted.packets),
            resent: sum(|viewer| viewer.line.counted.resent),
            dropped: sum(|viewer| viewer.downlink.as_ref().map_or(0, |downlink| downlink.dropped)),
        }
    }
}

impl Spread {
    /// The distribution of these values, if there are any.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| values.get(((values.len() as f64 * share).ceil() as usize).saturating_sub(1)).copied();
        Some(Self { p50: at(0.5)?, p99: at(0.99)?, max: at(1.0)?, count: values.len() })
    }
}

impl Report {
    /// The report as one line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("it has only numbers, and names as keys")
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, max, count } = self;
        write!(formatter, "p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.2} ms  ({count})")
    }
}

impl fmt::Display for AtCapacity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bits_per_second {
            Some(bits) => write!(formatter, "{:.2} Mbit/s", bits as f64 / 1e6)?,
            None => write!(formatter, "unlimited")?,
        }
        let on_layer: Vec<String> = self.on_layer.iter().map(usize::to_string).collect();
        write!(
            formatter,
            ": {} viewers, on layers {} (smallest first), {} without a change, {} changes, longest gap {:.0} ms, {} packets, \
             {} resent or padding, {} dropped by the links",
            self.viewers,
            on_layer.join("/"),
            self.settled,
            self.changes,
            self.longest_gap_ms,
            self.packets,
            self.resent,
            self.dropped
        )
    }
}

impl Report {
    /// Whether all viewers joined, stayed and got everything, on links that carry everything.
    pub fn is_complete(&self) -> bool {
        let is_narrow = self.capacities.iter().any(|at| at.bits_per_second.is_some());
        self.joined == self.viewers && self.ended == 0 && (self.lost == 0 || is_narrow)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(formatter, "{name:<12} {value}");
        let bits = f64::from(self.packets_per_second) * f64::from(self.payload_bytes) * 8.0 / 1e6;
        row(
            "streams",
            format!(
                "{} of {} packets/s ({bits:.2} Mbit/s) in bursts of {}, {} bytes each",
                self.streams, self.packets_per_second, self.burst, self.payload_bytes
            ),
        )?;
        row("joined", format!("{} of {}", self.joined, self.viewers))?;
        if self.ended > 0 {
            row("ended", format!("{} by the relay", self.ended))?;
        }
        for (name, spread) in [("connected", self.connect_ms), ("first media", self.join_ms)] {
            if let Some(spread) = spread {
                row(name, spread.to_string())?;
            }
        }
        let share = 100.0 * self.delivered as f64 / self.expected.max(1) as f64;
        row("delivered", format!("{} of {} ({share:.3} %) in {:.2} s", self.delivered, self.expected, self.seconds))?;
        row("lost", self.losses())?;
        if let Some(delay) = self.delay_ms {
            row("delay", delay.to_string())?;
        }
        for at in &self.capacities {
            row("capacity", at.to_string())?;
        }
        if let Some(requests) = self.keyframe_requests_per_second.filter(|_| !self.capacities.is_empty()) {
            row("keyframes", format!("{requests:.2} requests per second for the layer with the most"))?;
        }
        if let (Some(cpu), Some(per_packet)) = (self.cpu_seconds, self.cpu_us_per_packet) {
            let share = 100.0 * cpu / self.seconds;
            row("relay CPU", format!("{per_packet:.3} us per forwarded packet ({cpu:.2} s, {share:.1} % of one CPU)"))?;
        }
        if let (Some(before), Some(after), Some(each)) =
            (self.memory_before_bytes, self.memory_after_bytes, self.memory_bytes_per_viewer)
        {
            let kibibytes = |bytes: u64| bytes as f64 / 1024.0;
            row(
                "relay memory",
                format!(
                    "{:.1} KiB per viewer ({:.0} KiB before, {:.0} KiB after)",
                    kibibytes(each),
                    kibibytes(before),
                    kibibytes(after)
                ),
            )?;
        }
        if let Some(share) = self.load_cpu_share {
            let warning = if share > BUSY { ": the load may have been the bottleneck" } else { "" };
            row("load CPU", format!("{:.1} % of one CPU{warning}", share * 100.0))?;
        }
        Ok(())
    }
}

impl Report {
    /// Problems with packets, as text.
    fn losses(&self) -> String {
        let mut text = self.lost.to_string();
        let parts = [
            (self.dropped_at_clients.unwrap_or(0), "dropped at the clients' sockets"),
            (self.repeated, "came twice"),
            (self.stray, "of unknown SSRCs"),
            (self.damaged, "damaged"),
            (self.skipped_bursts, "bursts not sent in time"),
        ];
        for (count, what) in parts.into_iter().filter(|(count, _)| *count > 0) {
            text += &format!("; {count} {what}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let spread = Spread::of((1..=200).rev().map(f64::from)).unwrap();
        assert_eq!(spread, Spread { p50: 100.0, p99: 198.0, max: 200.0, count: 200 });
        assert_eq!(Spread::of([7.0].into_iter()), Some(Spread { p50: 7.0, p99: 7.0, max: 7.0, count: 1 }));
        assert_eq!(Spread::of(std::iter::empty()), None);
    }
}
