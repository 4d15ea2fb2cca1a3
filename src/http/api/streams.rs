//! Streams as `/api` shows them.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::administrator::Administrator;
use super::cluster_stream::ClusterStream;
use super::sessions::Session;
use super::tracks::StreamTrack;
use crate::http::error::Problem;
use crate::http::openapi::refusals::{Forbidden, Malformed, NotFound, Unauthorized};
use crate::http::openapi::texts::{KeyframeRequests, Scope};
use crate::http::request::path;
use crate::http::request::query::parameter;
use crate::http::shared::node::Shared;
use crate::name::Role;
use crate::node::Handle;
use crate::session::{Report, SessionRecord};
use crate::stream::StreamInfo;

/// One stream.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Stream {
    name: String,
    /// Whether it has a publisher now.
    live: bool,
    /// Connected viewers.
    viewers: usize,
    /// What its publisher sends, by the names of SDP.
    codecs: Vec<&'static str>,
    /// Since its publisher connected; 0 without a publisher.
    #[schema(minimum = 0)]
    seconds: f64,
    tracks: Vec<StreamTrack>,
    #[schema(value_type = KeyframeRequests, inline, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    keyframe_requests: Option<&'static str>,
}

/// A stream in the list of this node, or in that of its cluster.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::http) enum ListedStream {
    OfNode(Stream),
    OfCluster(ClusterStream),
}

/// One stream and its sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct StreamInFull {
    #[serde(flatten)]
    stream: Stream,
    /// The publisher first, then viewers, the oldest first; sessions without a packet too.
    sessions: Vec<Session>,
}

/// The one text for every stream that does not exist.
const NO_SUCH_STREAM: Problem = Problem::NotFound(
    "no such stream: it has no publisher and no viewer; publish it, or see /api/streams for the streams that exist",
);

/// All streams that have a publisher or a viewer on this node, or those of the cluster that have a publisher
#[utoipa::path(
    get,
    path = "/api/streams",
    operation_id = "streams",
    tag = "api",
    security((), ("admin" = [])),
    params(("scope" = inline(Option<Scope>), Query, description = "cluster for the streams of all nodes.")),
    responses((status = 200, description = "By name.", body = Vec<ListedStream>), Malformed, Unauthorized, Forbidden),
)]
pub(in crate::http) async fn list(
    State(shared): State<Shared>,
    _: Administrator,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<ListedStream>>, Problem> {
    if wants_cluster(query.as_deref())? {
        let streams = ClusterStream::list(&shared.directory, &shared.media).into_iter();
        return Ok(Json(streams.map(ListedStream::OfCluster).collect()));
    }
    let now = Instant::now();
    let streams = shared.media.streams().into_iter().map(|info| Stream::of(info, &shared.media, now));
    Ok(Json(streams.map(ListedStream::OfNode).collect()))
}

/// Reads `?scope=cluster`; other parameters are the client's own.
fn wants_cluster(query: Option<&str>) -> Result<bool, Problem> {
    match parameter(query, "scope") {
        None | Some("node") => Ok(false),
        Some("cluster") => Ok(true),
        Some(_) => Err(Problem::Malformed("scope is node or cluster: write ?scope=cluster for all nodes".to_owned())),
    }
}

/// One stream and its sessions
#[utoipa::path(
    get,
    path = "/api/streams/{stream}",
    operation_id = "stream",
    tag = "api",
    security((), ("admin" = [])),
    params(path::StreamPath),
    responses((status = 200, description = "The stream.", body = StreamInFull), Malformed, Unauthorized, Forbidden, NotFound),
)]
pub(in crate::http) async fn get(
    State(shared): State<Shared>,
    _: Administrator,
    path::StreamPath(name): path::StreamPath,
) -> Result<Json<StreamInFull>, Problem> {
    let now = Instant::now();
    let mut records = shared.media.records_of(&name);
    let info = shared.media.streams().into_iter().find(|info| info.name == name);
    // Sessions that wait for their first packet make no stream yet, and are shown all the same.
    if info.is_none() && records.is_empty() {
        return Err(NO_SUCH_STREAM);
    }
    let info = info.unwrap_or(StreamInfo { name, publisher: None, viewers: 0, formats: Vec::new(), is_carried: false });
    records.sort_by_key(|record| (record.role == Role::Viewer, record.created));
    let sessions = records.iter().map(|record| Session::of(record, now)).collect();
    Ok(Json(StreamInFull { stream: Stream::of(info, &shared.media, now), sessions }))
}

impl Stream {
    fn of(info: StreamInfo, media: &Handle, now: Instant) -> Self {
        let publisher: Option<Arc<SessionRecord>> = info.publisher.and_then(|session| media.record(&session));
        let report = publisher.map(|record| record.report()).unwrap_or_default();
        let Report { connected, tracks, keyframe_responsive, .. } = report;
        Self {
            name: info.name.to_string(),
            live: info.publisher.is_some(),
            viewers: info.viewers,
            codecs: info.formats.iter().map(|format| format.codec.name()).collect(),
            seconds: connected.map_or(0.0, |since| now.saturating_duration_since(since).as_secs_f64()),
            tracks: tracks.into_iter().map(StreamTrack::from).collect(),
            keyframe_requests: keyframe_responsive
                .map(|keyframe_responsive| if keyframe_responsive { "obeyed" } else { "ignored" }),
        }
    }
}
