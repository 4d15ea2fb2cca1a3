//! `/api`: what the relay has and how it goes, as JSON, and the way to end a session. What is shown is read from records
//! that workers write about once a second, so a request costs no media thread anything. All of it needs the admin grant:
//! it names every stream, client and address. `openapi.json` describes the whole HTTP interface for programs.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use crate::http::Shared;
use crate::http::base_path::BasePath;
use crate::http::error::Problem;
use crate::http::request::{self, Administrator, NO_SUCH_SESSION};
use crate::metrics::End as Reason;
use crate::name::Role;
use crate::node::{Handle, PatchError};
use crate::session::{Report, SessionRecord};
use crate::stream::StreamInfo;

use super::sessions::Session;
use super::tracks::StreamTrack;

/// One stream of the list.
#[derive(Debug, Serialize)]
pub(in crate::http) struct Stream {
    name: String,
    /// Whether somebody publishes it now.
    live: bool,
    viewers: usize,
    /// Names of the codecs that its publisher sends.
    codecs: Vec<&'static str>,
    /// Since it is live.
    seconds: f64,
    tracks: Vec<StreamTrack>,
    /// Whether its publisher answers keyframe requests; absent until that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    keyframe_requests: Option<&'static str>,
}

/// One stream with everybody in it.
#[derive(Debug, Serialize)]
pub(in crate::http) struct StreamInFull {
    #[serde(flatten)]
    stream: Stream,
    /// The publisher first, then viewers, the oldest first.
    sessions: Vec<Session>,
}

/// The one text for every stream that is not there.
const NO_SUCH_STREAM: Problem = Problem::NotFound("no such stream: nobody publishes or watches it");

/// The OpenAPI document. It is written by hand; tests/http/openapi.rs holds it to what really happens.
pub(in crate::http) async fn document(_: Administrator, base_path: BasePath) -> Response {
    const SERVER: &str = "\"servers\": [{\"url\": \"/\"}]";
    let url = if base_path.as_str().is_empty() { "/" } else { base_path.as_str() };
    let server = format!("\"servers\": [{{\"url\": \"{url}\"}}]");
    ([(CONTENT_TYPE, "application/json")], include_str!("../openapi.json").replace(SERVER, &server)).into_response()
}

/// All streams.
pub(in crate::http) async fn streams(State(shared): State<Shared>, _: Administrator) -> Json<Vec<Stream>> {
    let now = Instant::now();
    Json(shared.media.streams().into_iter().map(|info| Stream::of(info, &shared.media, now)).collect())
}

/// One stream and its sessions.
pub(in crate::http) async fn stream(
    State(shared): State<Shared>,
    _: Administrator,
    request::Stream(name): request::Stream,
) -> Result<Json<StreamInFull>, Problem> {
    let now = Instant::now();
    let mut records = shared.media.records_of(&name);
    let info = shared.media.streams().into_iter().find(|info| info.name == name);
    // Sessions that wait for their first packet make no stream yet, and are shown all the same.
    if info.is_none() && records.is_empty() {
        return Err(NO_SUCH_STREAM);
    }
    let info = info.unwrap_or(StreamInfo { name, publisher: None, viewers: 0, formats: Vec::new() });
    records.sort_by_key(|record| (record.role == Role::Viewer, record.created));
    let sessions = records.iter().map(|record| Session::of(record, now)).collect();
    Ok(Json(StreamInFull { stream: Stream::of(info, &shared.media, now), sessions }))
}

/// All sessions that live or ended lately, the newest first.
pub(in crate::http) async fn sessions(State(shared): State<Shared>, _: Administrator) -> Json<Vec<Session>> {
    let now = Instant::now();
    let mut records = shared.media.records();
    records.sort_by_key(|record| Reverse(record.created));
    Json(records.iter().map(|record| Session::of(record, now)).collect())
}

/// One session, living or ended lately.
pub(in crate::http) async fn session(
    State(shared): State<Shared>,
    _: Administrator,
    request::Session(id): request::Session,
) -> Result<Json<Session>, Problem> {
    let record = shared.media.record(&id).ok_or(NO_SUCH_SESSION)?;
    Ok(Json(Session::of(&record, Instant::now())))
}

/// Ends a session, a publisher's or a viewer's. Its client may come back: who must not needs another token.
pub(in crate::http) async fn kick(
    State(shared): State<Shared>,
    _: Administrator,
    request::Session(id): request::Session,
) -> Result<StatusCode, Problem> {
    // It may wait for room in a worker's inbox, so not on a thread that serves other requests.
    let media = shared.media.clone();
    let ended = tokio::task::spawn_blocking(move || media.end(&id, Reason::Kicked)).await;
    ended.unwrap_or(Err(PatchError::NoSuchSession))?;
    Ok(StatusCode::NO_CONTENT)
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
