//! Sessions as `/api` shows them: what each is, how it goes, and what an operator needs to know when it fails.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::administrator::Administrator;
use super::tracks::SessionTrack;
use crate::http::endpoints::layer::LayerSelection;
use crate::http::error::Problem;
use crate::http::openapi::refusals::{Forbidden, NotFound, TooMany, Unauthorized};
use crate::http::openapi::texts::{
    EndReason, KeyframeRequests, Protocol, Role, SessionId, SrtpProfile, State as Stage,
};
use crate::http::request::path::{self, NO_SUCH_SESSION};
use crate::http::shared::node::Shared;
use crate::label::Label as _;
use crate::node::PatchError;
use crate::reason;
use crate::session::{self, Report, SessionRecord};

/// One session, living or ended.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Session {
    #[schema(value_type = SessionId, inline)]
    id: String,
    #[schema(value_type = Role, inline)]
    role: &'static str,
    stream: String,
    #[schema(value_type = Stage, inline)]
    state: &'static str,
    /// From its offer until now, or until it ended.
    #[schema(minimum = 0)]
    since_seconds: f64,
    /// The IP address that its offer came from.
    #[schema(value_type = String)]
    client_address: IpAddr,
    /// IP addresses and ports of the relay that its answer, or the answer to its last ICE restart, named; best first.
    #[schema(value_type = Vec<String>)]
    told_addresses: Vec<SocketAddr>,
    /// The client's product name.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[schema(value_type = Path, inline, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Path>,
    #[schema(value_type = SrtpProfile, inline, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    srtp_profile: Option<&'static str>,
    #[schema(nullable = false, minimum = 0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    round_trip_seconds: Option<f64>,
    /// What a viewer's network carries: as the relay measures it where the video has several encodings, else as the
    /// viewer estimates it (REMB).
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_bits_per_second: Option<u64>,
    #[schema(value_type = Network, inline, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Network>,
    tracks: Vec<SessionTrack>,
    /// What a viewer has selected of the layers; absent if the choice is the relay's.
    #[schema(nullable = false, inline)]
    #[serde(skip_serializing_if = "Option::is_none")]
    selection: Option<LayerSelection>,
    #[schema(value_type = Ended, inline, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Ended>,
    #[schema(inline)]
    offered: Offered,
    #[schema(inline)]
    stun: Stun,
    #[schema(inline)]
    setup: Setup,
    #[schema(value_type = KeyframeRequests, inline, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    keyframe_requests: Option<&'static str>,
    /// What went wrong, a DTLS alert for example.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// Why it did not connect or carries no media, and what to do; absent in its first 3 s and once media has passed.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<String>,
}

/// Where its packets go.
#[derive(Debug, Serialize, ToSchema)]
struct Path {
    #[schema(value_type = Protocol, inline)]
    protocol: &'static str,
    /// IP address and port.
    #[schema(value_type = String)]
    local: SocketAddr,
    /// IP address and port.
    #[schema(value_type = String)]
    remote: SocketAddr,
}

/// What a viewer's network made the relay do; absent while nothing depends on the network.
#[derive(Debug, Serialize, ToSchema)]
struct Network {
    /// No video is sent: the network carries no encoding of it, nothing arrives, or audio alone is selected.
    video_paused: bool,
    /// How often the estimate was lowered.
    lowered_estimates: u64,
    /// Probes that showed that the network carries more.
    probes_passed: u64,
    /// Probes that did not show it.
    probes_failed: u64,
    /// Bytes of padding that were sent for probes.
    padding_bytes: u64,
}

/// Why it ended.
#[derive(Debug, Serialize, ToSchema)]
struct Ended {
    #[schema(value_type = EndReason, inline)]
    reason: &'static str,
    #[schema(minimum = 0)]
    seconds_ago: f64,
}

/// What the client offered.
#[derive(Debug, Serialize, ToSchema)]
struct Offered {
    codecs: Vec<String>,
    /// ICE candidates; none is ever dialled.
    candidates: usize,
}

/// What arrived by STUN, and what was refused.
#[derive(Debug, Serialize, ToSchema)]
struct Stun {
    /// Authentic checks.
    checks: u64,
    /// Where the first check came from.
    #[schema(value_type = String, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<SocketAddr>,
    /// Addresses that sent some.
    addresses: u32,
    /// Moves of media to another address.
    moves: u32,
    /// Datagrams that were forged, or came from an address that did not count for them yet.
    refused: u64,
}

/// Seconds from its offer to each step; a step that it has not taken is absent.
#[derive(Debug, Serialize, ToSchema)]
struct Setup {
    #[schema(nullable = false, minimum = 0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    stun_seconds: Option<f64>,
    #[schema(nullable = false, minimum = 0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    dtls_seconds: Option<f64>,
    #[schema(nullable = false, minimum = 0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    first_packet_seconds: Option<f64>,
    #[schema(nullable = false, minimum = 0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    first_picture_seconds: Option<f64>,
}

/// All living sessions, and the last 100 that ended
#[utoipa::path(
    get,
    path = "/api/sessions",
    operation_id = "sessions",
    tag = "api",
    security((), ("admin" = [])),
    responses((status = 200, description = "The newest first.", body = Vec<Session>), Unauthorized, Forbidden),
)]
pub(in crate::http) async fn list(State(shared): State<Shared>, _: Administrator) -> Json<Vec<Session>> {
    let now = Instant::now();
    let mut records = shared.media.records();
    records.sort_by_key(|record| Reverse(record.created));
    Json(records.iter().map(|record| Session::of(record, now)).collect())
}

/// One session, living or among the last 100 that ended
#[utoipa::path(
    get,
    path = "/api/sessions/{id}",
    operation_id = "sessionRecord",
    tag = "api",
    security((), ("admin" = [])),
    params(path::SessionPath),
    responses((status = 200, description = "The session.", body = Session), Unauthorized, Forbidden, NotFound),
)]
pub(in crate::http) async fn get(
    State(shared): State<Shared>,
    _: Administrator,
    path::SessionPath(id): path::SessionPath,
) -> Result<Json<Session>, Problem> {
    let record = shared.media.record(&id).ok_or(NO_SUCH_SESSION)?;
    Ok(Json(Session::of(&record, Instant::now())))
}

/// Ends any session
///
/// Its client may come back: to keep it out, change the token.
#[utoipa::path(
    delete,
    path = "/api/sessions/{id}",
    operation_id = "kick",
    tag = "api",
    security((), ("admin" = [])),
    params(path::SessionPath),
    responses((status = 204, description = "It has ended."), Unauthorized, Forbidden, NotFound, TooMany),
)]
pub(in crate::http) async fn delete(
    State(shared): State<Shared>,
    _: Administrator,
    path::SessionPath(id): path::SessionPath,
) -> Result<StatusCode, Problem> {
    // It may wait for room in a worker's inbox, so not on a thread that serves other requests.
    let media = shared.media.clone();
    let ended = tokio::task::spawn_blocking(move || media.end(&id, reason::EndReason::Kicked)).await;
    ended.unwrap_or(Err(PatchError::NoSuchSession))?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<session::Network> for Network {
    fn from(network: session::Network) -> Self {
        Self {
            video_paused: network.is_video_paused,
            lowered_estimates: network.lowered,
            probes_passed: network.probes_passed,
            probes_failed: network.probes_failed,
            padding_bytes: network.padding,
        }
    }
}

impl Session {
    /// The content of a record now.
    pub(super) fn of(record: &SessionRecord, now: Instant) -> Self {
        let report: Report = record.report();
        let since = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64();
        let step = |moment: Option<Instant>| moment.map(|moment| since(record.created, moment));
        let explanation = record.explanation(&report, now);
        let until = report.ended.map_or(now, |(_, moment)| moment);
        Self {
            id: record.id.to_string(),
            role: record.class().as_str(),
            stream: record.stream.to_string(),
            state: report.stage.as_str(),
            since_seconds: since(record.created, until),
            client_address: record.client,
            told_addresses: record.candidates().udp,
            user_agent: record.user_agent.clone(),
            path: report.path.map(|path| Path {
                protocol: path.protocol.as_str(),
                local: path.local,
                remote: path.remote,
            }),
            srtp_profile: report.srtp_profile,
            round_trip_seconds: report.round_trip.map(|trip| trip.as_secs_f64()),
            estimated_bits_per_second: report.estimate.map(|bits| bits.round() as u64),
            network: report.network.map(Network::from),
            tracks: report.tracks.into_iter().map(SessionTrack::from).collect(),
            selection: LayerSelection::made(record),
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
                first_picture_seconds: step(report.first_frame),
            },
            keyframe_requests: report
                .keyframe_responsive
                .map(|keyframe_responsive| if keyframe_responsive { "obeyed" } else { "ignored" }),
            failure: report.failure,
            explanation,
        }
    }
}
