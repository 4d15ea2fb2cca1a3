//! The metrics that `/metrics` exposes.
//!
//! The core counts in plain integers; a worker adds them here once per turn of its event loop. Each instrument is a
//! field or an array element that is found without a lookup, and every label value exists from the start at zero. No
//! label is per session, and no label value comes from a peer except stream names, of which a limited number is
//! exposed. A metric that can never change is not registered.

mod cluster;
mod label;
mod register;
mod streams;
mod tls;

use std::fmt;
use std::sync::Arc;

use prometheus::{Counter, CounterVec, Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry, TextEncoder};

pub(crate) use label::{
    AccessCall, AccessRefusal, Answer, Closing, ConnectionKind, Direction, EventName, Family, Handshake, IceTcpClosing,
    LegFailure, LegStage, LimitName, NoPlace, Ordered, Phase, Probe, Refusal, Resend, Route, SessionState, Status,
    Takeover,
};
pub use label::{DirectoryState, LayerPlace, LegDirection, Medium, PlacementReason};

pub(crate) use cluster::ClusterMetrics;
pub(crate) use streams::StreamMetrics;
pub(crate) use tls::{AcmeMetrics, TlsMetrics};

use crate::name::{SessionClass, StreamName};
use crate::reason::{DropReason, EndReason, SwitchReason};
use register::{
    VALID, counter, counters, counters_by_two, gauge, gauges, gauges_by_one, histogram, histograms, register, seconds,
};
use streams::Streams;

/// Streams with instruments of their own, by default.
pub(crate) const STREAMS: usize = 100;

/// Upper bounds of the set-up phases: 1 ms to 10 s.
const SETUP_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Upper bounds of the forward delay: 50 us to 250 ms.
const FORWARD_SECONDS: &[f64] =
    &[0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];

/// Upper bounds of what a viewer's network carries, in bytes per second: 100 kbit/s to 50 Mbit/s.
const ESTIMATE_BYTES: &[f64] = &[12.5e3, 25e3, 50e3, 75e3, 125e3, 200e3, 300e3, 600e3, 1.25e6, 2.5e6, 6.25e6];

/// All metrics of one node. In an `Arc`: workers and HTTP write, `/metrics` reads; all of it is atomic.
pub struct Metrics {
    registry: Registry,
    /// Streams that have a publisher or a viewer.
    pub(crate) streams: IntGauge,
    /// Current sessions.
    pub(crate) sessions: Family<SessionClass, Family<SessionState, IntGauge>>,
    /// Pulls and pushes by what they do.
    pub(crate) legs: Family<LegDirection, Family<LegStage, IntGauge>>,
    /// How often legs have failed.
    pub(crate) leg_failures: Family<LegFailure, IntCounter>,
    /// Duration of each phase of a session's set-up in seconds.
    pub(crate) setup: Family<Phase, Histogram>,
    /// Sessions that ended.
    pub(crate) session_ends: Family<SessionClass, Family<EndReason, IntCounter>>,
    /// POSTs that were refused a session because of a limit or because the relay is shutting down.
    pub(crate) refused_sessions: Family<Refusal, IntCounter>,
    /// Configured limits; 0 means no limit.
    pub(crate) limits: Family<LimitName, IntGauge>,
    /// Changes of the publisher of a stream that continues.
    pub(crate) takeovers: Family<Takeover, IntCounter>,
    /// Times that a viewer was paused because nothing was received from it.
    pub(crate) pauses: IntCounter,
    /// RTP packets received from publishers and sent to viewers, including resends.
    pub(crate) rtp_packets: Family<Direction, Family<Medium, IntCounter>>,
    /// Bytes of those packets, RTP header to SRTP tag.
    pub(crate) rtp_bytes: Family<Direction, Family<Medium, IntCounter>>,
    /// Datagrams and packets that were dropped.
    pub(crate) drops: Family<DropReason, IntCounter>,
    /// Packets requested again by NACK: by viewers (in), from publishers (out).
    pub(crate) nacks: Family<Direction, IntCounter>,
    /// Keyframe requests (PLI or FIR): by viewers (in), to publishers (out).
    pub(crate) keyframe_requests: Family<Direction, IntCounter>,
    /// How publishers reacted to keyframe requests.
    pub(crate) keyframe_answers: Family<Answer, IntCounter>,
    /// Seconds from a viewer's POST until its first video frame is sent.
    pub(crate) first_frame: Histogram,
    /// Viewers that were sent the frames since the last keyframe.
    pub(crate) replays: IntCounter,
    /// Times that nothing arrived at a viewer that went on to report.
    pub(crate) dark_downlinks: IntCounter,
    /// Viewers that were sent another layer of the same publisher's video.
    pub(crate) layer_switches: Family<SwitchReason, IntCounter>,
    /// Viewers of videos in several encodings, by the one that they are sent.
    pub(crate) layer_viewers: Family<LayerPlace, IntGauge>,
    /// Seconds that viewers of those were sent each, summed over the viewers.
    pub(crate) layer_seconds: Family<LayerPlace, Counter>,
    /// Bytes of the cached frames since the last keyframes.
    pub(crate) fast_start_bytes: IntGauge,
    /// Times that a publisher's cached frames were dropped to make room for others.
    pub(crate) fast_start_evictions: IntCounter,
    /// What became of the packets that viewers requested again.
    pub(crate) resends: Family<Resend, IntCounter>,
    /// What viewers' networks carry, in bytes per second: the estimate of each viewer that has one, once a second.
    pub(crate) estimates: Histogram,
    /// Times that the estimate of what a viewer's network carries was lowered.
    pub(crate) lowered_estimates: IntCounter,
    /// Probes of viewers' networks for more bandwidth.
    pub(crate) probes: Family<Probe, IntCounter>,
    /// Bytes of old packets that were sent again for probes, RTP header to SRTP tag.
    pub(crate) padding_bytes: IntCounter,
    /// Messages on data channels, counted per receiver.
    pub(crate) channel_messages: Family<Direction, IntCounter>,
    /// Seconds from a packet's arrival to the system call that sends it to a viewer. A worker observes into
    /// [`Histogram::local`] and flushes once a turn.
    pub(crate) forward_delay: Histogram,
    /// Times that the kernel refused segmentation offload (GSO) and a socket continued without it.
    pub(crate) gso_fallbacks: IntCounter,
    /// Answers to Binding requests without credentials.
    pub(crate) stun_answers: IntCounter,
    /// Datagrams that arrived at another worker than their session's.
    pub(crate) handed_over: IntCounter,
    /// Open TCP connections for media (ICE-TCP).
    pub(crate) ice_tcp_connections: IntGauge,
    /// TURN allocations of sessions.
    pub(crate) turn_allocations: IntGauge,
    /// Closed TCP connections for media.
    pub(crate) ice_tcp_closed: Family<IceTcpClosing, IntCounter>,
    /// Turns of all workers' event loops.
    pub(crate) worker_turns: IntCounter,
    /// Datagrams that the kernel dropped because the receive buffer of a media socket was full; Linux only.
    pub(crate) socket_drops: Option<IntCounter>,
    /// Turns that took so long that the worker counted as stalled.
    pub(crate) worker_stalls: IntCounter,
    /// Workers that are stalled.
    pub(crate) workers_stalled: IntGauge,
    worker_busy: CounterVec,
    by_stream: Arc<Streams>,
    /// Open HTTP connections.
    pub(crate) http_connections: Family<ConnectionKind, IntGauge>,
    /// HTTP connections and requests refused for lack of capacity.
    pub(crate) http_refused: Family<NoPlace, IntCounter>,
    /// HTTP connections that the relay closed.
    pub(crate) http_closed: Family<Closing, IntCounter>,
    /// Open event streams of viewers.
    pub(crate) event_streams: IntGauge,
    /// Events written to event streams.
    pub(crate) events: Family<EventName, IntCounter>,
    /// Requests that were refused their access.
    pub(crate) access_refused: Family<AccessRefusal, IntCounter>,
    /// Questions to other servers about access.
    pub(crate) access_calls: Family<AccessCall, IntCounter>,
    /// Answered HTTP requests.
    pub(crate) http_requests: Family<Route, Family<Status, IntCounter>>,
}

impl Metrics {
    /// All metrics at zero, in a registry of their own; [`STREAMS`] streams are exposed by name.
    pub fn new() -> Self {
        Self::showing(STREAMS)
    }

    /// The same, with at most `streams` streams exposed by name.
    #[expect(clippy::too_many_lines, reason = "a list with one entry per metric, in the order of the fields")]
    pub(crate) fn showing(streams: usize) -> Self {
        let registry = Registry::new();
        let into = &registry;
        register_build_info(into);
        register_process(into);
        Self {
            streams: gauge(into, "sluice_streams", "Streams that have a publisher or a viewer."),
            sessions: gauges(into, "sluice_sessions", "Current sessions."),
            legs: gauges(into, "sluice_legs", "Pulls and pushes by what they do; a stream of another node is a pull."),
            leg_failures: counters(into, "sluice_leg_failures_total", "Failures of pulls and pushes."),
            setup: histograms(
                into,
                "sluice_session_setup_seconds",
                "Duration of each phase of a session's set-up.",
                SETUP_SECONDS,
            ),
            session_ends: counters_by_two(into, "sluice_session_ends_total", "Sessions that ended."),
            refused_sessions: counters(
                into,
                "sluice_refused_sessions_total",
                "POSTs refused because of a limit or a shutdown.",
            ),
            limits: gauges_by_one(into, "sluice_limits", "Configured limits; 0 means no limit."),
            takeovers: counters(into, "sluice_takeovers_total", "Changes of a stream's publisher."),
            pauses: counter(
                into,
                "sluice_viewer_pauses_total",
                "Viewers paused because nothing was received from them.",
            ),
            rtp_packets: counters_by_two(into, "sluice_rtp_packets_total", "RTP packets received and sent."),
            rtp_bytes: counters_by_two(into, "sluice_rtp_bytes_total", "Bytes of RTP packets, header to tag."),
            drops: counters(into, "sluice_drops_total", "Dropped datagrams and packets."),
            nacks: counters(into, "sluice_nacked_packets_total", "Packets requested again by NACK."),
            keyframe_requests: counters(into, "sluice_keyframe_requests_total", "Keyframe requests (PLI, FIR)."),
            keyframe_answers: counters(
                into,
                "sluice_keyframe_answers_total",
                "How publishers reacted to keyframe requests.",
            ),
            first_frame: histogram(
                into,
                HistogramOpts::new(
                    "sluice_first_frame_seconds",
                    "Time from a viewer's POST until its first video frame is sent.",
                )
                .buckets(SETUP_SECONDS.to_vec()),
            ),
            replays: counter(into, "sluice_replays_total", "Viewers sent the frames since the last keyframe."),
            dark_downlinks: counter(
                into,
                "sluice_dark_downlinks_total",
                "Times that nothing arrived at a viewer that went on to report.",
            ),
            layer_switches: counters(
                into,
                "sluice_layer_switches_total",
                "Times that a viewer was sent another layer of the video.",
            ),
            layer_viewers: gauges_by_one(
                into,
                "sluice_layer_viewers",
                "Viewers of videos that are published in several encodings.",
            ),
            layer_seconds: seconds(
                into,
                "sluice_layer_seconds_total",
                "Time that viewers were sent each layer, summed over the viewers.",
            ),
            fast_start_bytes: gauge(
                into,
                "sluice_fast_start_bytes",
                "Memory for the frames since the last keyframe of each publisher.",
            ),
            fast_start_evictions: counter(
                into,
                "sluice_fast_start_evictions_total",
                "Times that a publisher's cached frames were dropped to make room for others (--fast-start-total).",
            ),
            resends: counters(into, "sluice_resends_total", "What became of packets that viewers requested again."),
            estimates: histogram(
                into,
                HistogramOpts::new(
                    "sluice_viewer_estimate_bytes_per_second",
                    "What viewers' networks carry: the estimate of each viewer that has one, once a second.",
                )
                .buckets(ESTIMATE_BYTES.to_vec()),
            ),
            lowered_estimates: counter(
                into,
                "sluice_lowered_estimates_total",
                "Times that the estimate of what a viewer's network carries was lowered.",
            ),
            probes: counters(into, "sluice_probes_total", "Probes for more bandwidth to a viewer."),
            padding_bytes: counter(
                into,
                "sluice_padding_bytes_total",
                "Bytes of packets that were sent to viewers for probes, header to tag.",
            ),
            channel_messages: counters(into, "sluice_channel_messages_total", "Messages on data channels."),
            forward_delay: histogram(
                into,
                HistogramOpts::new("sluice_forward_delay_seconds", "Time from a packet's arrival until it is sent.")
                    .buckets(FORWARD_SECONDS.to_vec()),
            ),
            gso_fallbacks: counter(
                into,
                "sluice_gso_fallbacks_total",
                "Sockets that continued without segmentation offload (GSO).",
            ),
            stun_answers: counter(
                into,
                "sluice_stun_answers_total",
                "Answers to STUN requests without credentials (--stun).",
            ),
            handed_over: counter(
                into,
                "sluice_handed_over_datagrams_total",
                "Datagrams that arrived at another worker than their session's.",
            ),
            ice_tcp_connections: gauge(
                into,
                "sluice_ice_tcp_connections",
                "Open TCP connections for media (ICE-TCP, RFC 6544).",
            ),
            turn_allocations: gauge(into, "sluice_turn_allocations", "TURN allocations of sessions (RFC 8656)."),
            ice_tcp_closed: counters(into, "sluice_ice_tcp_closed_total", "Closed TCP connections for media."),
            worker_turns: counter(into, "sluice_worker_turns_total", "Turns of the workers' event loops."),
            socket_drops: cfg!(target_os = "linux").then(|| {
                counter(
                    into,
                    "sluice_socket_drops_total",
                    "Datagrams dropped because the receive buffer of a media socket was full.",
                )
            }),
            worker_stalls: counter(
                into,
                "sluice_worker_stalls_total",
                "Times that a worker's event loop stood still for 2 s.",
            ),
            workers_stalled: gauge(into, "sluice_workers_stalled", "Workers whose event loop has stood still for 2 s."),
            worker_busy: register(
                into,
                CounterVec::new(
                    Opts::new("sluice_worker_busy_seconds_total", "Time that a worker was not sleeping."),
                    &["worker"],
                )
                .expect(VALID),
            ),
            by_stream: Streams::new(into, streams),
            http_connections: gauges_by_one(into, "sluice_http_connections", "Open HTTP connections."),
            http_refused: counters(
                into,
                "sluice_http_refused_total",
                "HTTP connections and requests refused for lack of capacity.",
            ),
            http_closed: counters(into, "sluice_http_closed_total", "HTTP connections that the relay closed."),
            event_streams: gauge(into, "sluice_event_streams", "Open event streams of viewers (WHEP)."),
            events: counters(into, "sluice_events_total", "Events written to viewers' event streams (WHEP)."),
            access_refused: counters(
                into,
                "sluice_access_refused_total",
                "Requests refused for their token, or for the lack of one.",
            ),
            access_calls: counters(
                into,
                "sluice_access_calls_total",
                "Questions to the webhook and to the server of keys.",
            ),
            http_requests: counters_by_two(into, "sluice_http_requests_total", "Answered HTTP requests."),
            registry,
        }
    }

    /// Seconds that this worker was not sleeping.
    pub(crate) fn worker_busy(&self, worker: u16) -> Counter {
        self.worker_busy.with_label_values(&[worker.to_string().as_str()])
    }

    /// The instruments of a stream, to be kept while the stream has a publisher or a viewer.
    pub fn stream(&self, stream: &StreamName) -> Arc<StreamMetrics> {
        self.by_stream.of(stream)
    }

    /// All metrics in the Prometheus text format, version 0.0.4.
    pub fn render(&self) -> String {
        // Encoding fails only for a family without metrics, and a registry gathers no such family.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn register_build_info(registry: &Registry) {
    let opts = Opts::new("sluice_build_info", "1, labelled with the version.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    register(registry, IntGauge::with_opts(opts).expect(VALID)).set(1);
}

#[cfg(target_os = "linux")]
fn register_process(registry: &Registry) {
    let process = prometheus::process_collector::ProcessCollector::for_self();
    registry.register(Box::new(process)).expect(VALID);
}

/// The collector reads /proc, which only Linux has.
#[cfg(not(target_os = "linux"))]
fn register_process(_registry: &Registry) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Label as _;

    #[test]
    fn every_instrument_shows_what_was_added() {
        let metrics = Metrics::new();
        metrics.streams.inc();
        metrics.sessions[SessionClass::Viewer][SessionState::Connected].add(3);
        metrics.setup[Phase::Ice].observe(0.004);
        metrics.rtp_packets[Direction::Out][Medium::Video].inc_by(70);
        metrics.drops[DropReason::Replayed].inc();
        metrics.session_ends[SessionClass::Publisher][EndReason::Silent].inc();
        let local = metrics.forward_delay.local();
        local.observe(0.000_2);
        local.flush();
        let text = metrics.render();
        for line in [
            "sluice_streams 1",
            "sluice_sessions{role=\"viewer\",state=\"connected\"} 3",
            "sluice_session_setup_seconds_count{phase=\"ice\"} 1",
            "sluice_rtp_packets_total{direction=\"out\",kind=\"video\"} 70",
            "sluice_drops_total{reason=\"replayed\"} 1",
            "sluice_session_ends_total{reason=\"silent\",role=\"publisher\"} 1",
            "sluice_forward_delay_seconds_bucket{le=\"0.00025\"} 1",
            "sluice_build_info{version=\"0.1.0\"} 1",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn every_label_value_is_shown_from_the_start() {
        let text = Metrics::new().render();
        for reason in DropReason::ALL {
            assert!(text.contains(&format!("sluice_drops_total{{reason=\"{}\"}} 0", reason.as_str())));
            assert_eq!(DropReason::named(reason.as_str()), Some(*reason));
            assert_eq!(DropReason::ALL[reason.position()], *reason);
        }
        assert_eq!(DropReason::named("weather"), None);
    }

    #[test]
    fn a_refusal_is_counted_by_its_status_and_the_labels_are_few() {
        for (status, label) in
            [(201, "2xx"), (304, "3xx"), (401, "401"), (403, "403"), (418, "4xx"), (503, "503"), (505, "5xx")]
        {
            assert_eq!(Status::of(status).as_str(), label);
        }
        let labels: std::collections::HashSet<_> = (100..=999).map(|status| Status::of(status).as_str()).collect();
        assert!(labels.len() == Status::ALL.len() && labels.len() < 25, "{labels:?}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_process_shows_its_memory() {
        assert!(Metrics::new().render().contains("process_resident_memory_bytes "));
    }
}
