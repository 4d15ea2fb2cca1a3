//! One session as `/api` shows it: who it is, how it goes, and what an operator asks when it does not.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use serde::Serialize;

use super::tracks::SessionTrack;
use crate::metrics::Label as _;
use crate::session::{Report, SessionRecord};

/// One session, living or ended.
#[derive(Debug, Serialize)]
pub(in crate::http) struct Session {
    id: String,
    role: &'static str,
    stream: String,
    state: &'static str,
    /// From its offer until now, or until it ended.
    since_seconds: f64,
    /// Where its offer came from.
    client_address: IpAddr,
    /// The relay's addresses that its answer named, best first.
    told_addresses: Vec<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    srtp_profile: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    round_trip_seconds: Option<f64>,
    /// What a viewer's network carries, as the viewer sees it (REMB).
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_bits_per_second: Option<f32>,
    tracks: Vec<SessionTrack>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Ended>,
    offered: Offered,
    stun: Stun,
    setup: Setup,
    #[serde(skip_serializing_if = "Option::is_none")]
    keyframe_requests: Option<&'static str>,
    /// What went wrong, a DTLS alert for example.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

/// Where its packets go.
#[derive(Debug, Serialize)]
struct Path {
    protocol: &'static str,
    local: SocketAddr,
    remote: SocketAddr,
}

/// Why it is over.
#[derive(Debug, Serialize)]
struct Ended {
    reason: &'static str,
    seconds_ago: f64,
}

/// What the client offered.
#[derive(Debug, Serialize)]
struct Offered {
    codecs: Vec<String>,
    candidates: usize,
}

/// What came by STUN, and what was refused.
#[derive(Debug, Serialize)]
struct Stun {
    checks: u64,
    /// Where the first check came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<SocketAddr>,
    /// From how many addresses.
    addresses: u32,
    /// How often media moved to another.
    moves: u32,
    /// Datagrams refused: forged, or from an address that has not proven itself.
    refused: u64,
}

/// Seconds from its offer to each step; a step that it has not taken is absent.
#[derive(Debug, Serialize)]
struct Setup {
    #[serde(skip_serializing_if = "Option::is_none")]
    stun_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dtls_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_packet_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_picture_seconds: Option<f64>,
}

impl Session {
    /// What a record tells now.
    pub(super) fn of(record: &SessionRecord, now: Instant) -> Self {
        let report: Report = record.report();
        let since = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64();
        let step = |moment: Option<Instant>| moment.map(|moment| since(record.created, moment));
        let until = report.ended.map_or(now, |(_, moment)| moment);
        Self {
            id: record.id.to_string(),
            role: record.role.as_str(),
            stream: record.stream.to_string(),
            state: report.stage.as_str(),
            since_seconds: since(record.created, until),
            client_address: record.client,
            told_addresses: record.told(),
            user_agent: record.user_agent.clone(),
            path: report.path.map(|path| Path {
                protocol: path.protocol.as_str(),
                local: path.local,
                remote: path.remote,
            }),
            srtp_profile: report.srtp_profile,
            round_trip_seconds: report.round_trip.map(|trip| trip.as_secs_f64()),
            estimated_bits_per_second: report.estimate,
            tracks: report.tracks.into_iter().map(SessionTrack::from).collect(),
            ended: report
                .ended
                .map(|(reason, moment)| Ended { reason: reason.as_str(), seconds_ago: since(moment, now) }),
            offered: Offered { codecs: record.offered.codecs.clone(), candidates: record.offered.candidates },
            stun: Stun {
                checks: report.checks.authentic,
                from: report.checks.first,
                addresses: report.checks.addresses,
                moves: report.checks.moves,
                refused: report.checks.refused,
            },
            setup: Setup {
                stun_seconds: step(report.opened),
                dtls_seconds: step(report.connected),
                first_packet_seconds: step(report.first_media),
                first_picture_seconds: step(report.first_picture),
            },
            keyframe_requests: report
                .keyframe_responsive
                .map(|keyframe_responsive| if keyframe_responsive { "obeyed" } else { "ignored" }),
            failure: report.failure,
        }
    }
}
