//! The instruments that `/metrics` shows.
//!
//! The core counts in plain integers; a worker adds them here once a turn. So each instrument is a field or an array
//! element that is found without a lookup, and every label value exists from the start at zero. No label is per
//! session, none comes from a peer but the names of streams, of which a bounded number is shown, and a metric that can
//! never move is not registered.

mod label;
mod register;
mod streams;

use std::fmt;
use std::sync::Arc;

use prometheus::{Counter, CounterVec, Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry, TextEncoder};

pub use label::{
    Answer, Closing, ConnectionKind, Direction, EventName, Family, LimitName, Medium, NoPlace, Phase, Refusal, Resend,
    Route, SessionState, Status, Takeover,
};

pub use streams::{OTHERS, StreamMetrics};

pub use crate::label::Label;
use crate::name::{Role, StreamName};
use crate::reason::{DropReason, EndReason};
use register::{
    VALID, counter, counters, counters_by_two, gauge, gauges, gauges_by_one, histogram, histograms, register,
};
use streams::Streams;

/// Streams that have instruments of their own, where nothing else is said.
pub const STREAMS: usize = 100;

/// Upper bounds of the set-up phases: 1 ms to 10 s.
const SETUP_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Upper bounds of the forward delay: 50 us to 250 ms.
const FORWARD_SECONDS: &[f64] =
    &[0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];

/// All instruments of one node. Behind an `Arc`: workers and HTTP write, `/metrics` reads; all of it is atomic.
pub struct Metrics {
    registry: Registry,
    /// Streams that have a publisher or a viewer.
    pub streams: IntGauge,
    /// Sessions that live now.
    pub sessions: Family<Role, Family<SessionState, IntGauge>>,
    /// Seconds that each phase of a session's set-up took.
    pub setup: Family<Phase, Histogram>,
    /// Sessions that ended.
    pub session_ends: Family<Role, Family<EndReason, IntCounter>>,
    /// POSTs that got no session, because of a limit or because the relay stops.
    pub refused_sessions: Family<Refusal, IntCounter>,
    /// The limits that are set; 0 for none.
    pub limits: Family<LimitName, IntGauge>,
    /// Streams that came to another publisher while viewers may have watched.
    pub takeovers: Family<Takeover, IntCounter>,
    /// Viewers that were paused because they were not heard.
    pub pauses: IntCounter,
    /// RTP packets that arrived from publishers and left to viewers; resends count too.
    pub rtp_packets: Family<Direction, Family<Medium, IntCounter>>,
    /// Bytes of those packets, RTP header to SRTP tag.
    pub rtp_bytes: Family<Direction, Family<Medium, IntCounter>>,
    /// Datagrams and packets that went no further.
    pub drops: Family<DropReason, IntCounter>,
    /// Packets asked for again: by viewers (in), from publishers (out).
    pub nacks: Family<Direction, IntCounter>,
    /// Keyframe requests (PLI or FIR): by viewers (in), to publishers (out).
    pub keyframe_requests: Family<Direction, IntCounter>,
    /// What publishers did upon keyframe requests.
    pub keyframe_answers: Family<Answer, IntCounter>,
    /// Seconds from a viewer's POST to the sending of its first picture.
    pub first_frame: Histogram,
    /// Viewers that were sent the pictures since the last keyframe.
    pub replays: IntCounter,
    /// Octets kept of the pictures since the last keyframes.
    pub fast_start_bytes: IntGauge,
    /// Times that those of a publisher made room for others.
    pub fast_start_evictions: IntCounter,
    /// What became of the packets that viewers asked for again.
    pub resends: Family<Resend, IntCounter>,
    /// Messages on data channels, one for each receiver.
    pub channel_messages: Family<Direction, IntCounter>,
    /// Seconds from a packet's arrival to the system call that sends it to a viewer. A worker observes into
    /// [`Histogram::local`] and flushes once a turn.
    pub forward_delay: Histogram,
    /// Times that the kernel refused segmentation offload and a socket went on without it.
    pub gso_fallbacks: IntCounter,
    /// Datagrams that reached another worker than their session's.
    pub handed_over: IntCounter,
    /// Turns of all workers' loops.
    pub worker_turns: IntCounter,
    /// Datagrams that the kernel dropped because a media socket's receive buffer was full; only Linux tells.
    pub socket_drops: Option<IntCounter>,
    /// Turns that took so long that the worker counts as stalled.
    pub worker_stalls: IntCounter,
    /// Workers that are stalled now.
    pub workers_stalled: IntGauge,
    worker_busy: CounterVec,
    by_stream: Arc<Streams>,
    /// HTTP connections that are open now.
    pub http_connections: Family<ConnectionKind, IntGauge>,
    /// HTTP connections and requests that found no place.
    pub http_refused: Family<NoPlace, IntCounter>,
    /// HTTP connections that the relay closed.
    pub http_closed: Family<Closing, IntCounter>,
    /// Event streams that viewers have opened and not closed.
    pub event_streams: IntGauge,
    /// Events written to them.
    pub events: Family<EventName, IntCounter>,
    /// HTTP requests that were answered.
    pub http_requests: Family<Route, Family<Status, IntCounter>>,
}

impl Metrics {
    /// All instruments at zero, in a registry of their own; [`STREAMS`] streams are shown by name.
    pub fn new() -> Self {
        Self::showing(STREAMS)
    }

    /// The same, with at most so many streams shown by name.
    pub fn showing(streams: usize) -> Self {
        let registry = Registry::new();
        let into = &registry;
        register_build_info(into);
        register_process(into);
        Self {
            streams: gauge(into, "sluice_streams", "Streams that have a publisher or a viewer."),
            sessions: gauges(into, "sluice_sessions", "Sessions that live now."),
            setup: histograms(into, "sluice_session_setup_seconds", "Time of each phase of set-up.", SETUP_SECONDS),
            session_ends: counters_by_two(into, "sluice_session_ends_total", "Sessions that ended."),
            refused_sessions: counters(into, "sluice_refused_sessions_total", "POSTs refused for lack of room."),
            limits: gauges_by_one(into, "sluice_limits", "Limits that are set; 0 for none."),
            takeovers: counters(into, "sluice_takeovers_total", "Streams that came to another publisher."),
            pauses: counter(into, "sluice_viewer_pauses_total", "Viewers paused because they were not heard."),
            rtp_packets: counters_by_two(into, "sluice_rtp_packets_total", "RTP packets received and sent."),
            rtp_bytes: counters_by_two(into, "sluice_rtp_bytes_total", "Bytes of RTP packets, header to tag."),
            drops: counters(into, "sluice_drops_total", "Datagrams and packets that went no further."),
            nacks: counters(into, "sluice_nacked_packets_total", "Packets asked for again."),
            keyframe_requests: counters(into, "sluice_keyframe_requests_total", "Keyframe requests (PLI, FIR)."),
            keyframe_answers: counters(into, "sluice_keyframe_answers_total", "What came of requests to publishers."),
            first_frame: histogram(
                into,
                HistogramOpts::new(
                    "sluice_first_frame_seconds",
                    "From a viewer's POST to its first picture's sending.",
                )
                .buckets(SETUP_SECONDS.to_vec()),
            ),
            replays: counter(into, "sluice_replays_total", "Viewers sent the pictures since the last keyframe."),
            fast_start_bytes: gauge(
                into,
                "sluice_fast_start_bytes",
                "Memory for the pictures since the last keyframes of all publishers.",
            ),
            fast_start_evictions: counter(
                into,
                "sluice_fast_start_evictions_total",
                "Times that a publisher's pictures made room for others (--fast-start-total).",
            ),
            resends: counters(into, "sluice_resends_total", "What became of packets that viewers asked for again."),
            channel_messages: counters(into, "sluice_channel_messages_total", "Messages on data channels."),
            forward_delay: histogram(
                into,
                HistogramOpts::new("sluice_forward_delay_seconds", "From a packet's arrival to its sending.")
                    .buckets(FORWARD_SECONDS.to_vec()),
            ),
            gso_fallbacks: counter(into, "sluice_gso_fallbacks_total", "Sockets that went on without GSO."),
            handed_over: counter(
                into,
                "sluice_handed_over_datagrams_total",
                "Datagrams that reached another worker than their session's.",
            ),
            worker_turns: counter(into, "sluice_worker_turns_total", "Turns of the workers' loops."),
            socket_drops: cfg!(target_os = "linux").then(|| {
                counter(into, "sluice_socket_drops_total", "Datagrams that found a media socket's receive buffer full.")
            }),
            worker_stalls: counter(into, "sluice_worker_stalls_total", "Times that a worker did not turn for 2 s."),
            workers_stalled: gauge(into, "sluice_workers_stalled", "Workers that have not turned for 2 s."),
            worker_busy: register(
                into,
                CounterVec::new(
                    Opts::new("sluice_worker_busy_seconds_total", "Time that a worker did not sleep."),
                    &["worker"],
                )
                .expect(VALID),
            ),
            by_stream: Streams::new(into, streams),
            http_connections: gauges_by_one(into, "sluice_http_connections", "HTTP connections open now."),
            http_refused: counters(into, "sluice_http_refused_total", "HTTP connections that found no place."),
            http_closed: counters(into, "sluice_http_closed_total", "HTTP connections that the relay closed."),
            event_streams: gauge(into, "sluice_event_streams", "Event streams that viewers have opened (WHEP)."),
            events: counters(into, "sluice_events_total", "Events written to viewers' event streams (WHEP)."),
            http_requests: counters_by_two(into, "sluice_http_requests_total", "HTTP requests answered."),
            registry,
        }
    }

    /// Seconds that the worker of this number did not sleep.
    pub fn worker_busy(&self, worker: u16) -> Counter {
        self.worker_busy.with_label_values(&[worker.to_string().as_str()])
    }

    /// The instruments of a stream, to be kept while somebody is in it.
    pub fn stream(&self, stream: &StreamName) -> Arc<StreamMetrics> {
        self.by_stream.of(stream)
    }

    /// Everything in the Prometheus text format, version 0.0.4.
    pub fn render(&self) -> String {
        // Encoding fails only for a family without metrics, and a registry gathers none of those.
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

    #[test]
    fn every_instrument_shows_what_was_added() {
        let metrics = Metrics::new();
        metrics.streams.inc();
        metrics.sessions[Role::Viewer][SessionState::Connected].add(3);
        metrics.setup[Phase::Ice].observe(0.004);
        metrics.rtp_packets[Direction::Out][Medium::Video].inc_by(70);
        metrics.drops[DropReason::Replayed].inc();
        metrics.session_ends[Role::Publisher][EndReason::Silent].inc();
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
