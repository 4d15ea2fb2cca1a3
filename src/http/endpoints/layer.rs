//! `/session/{id}/layer`: a viewer selects which layer of the video it is sent (WHEP, layer selection).
//!
//! The selection is kept with the session: it holds for later publishers of the stream too, and a name that one of them
//! does not have counts as none. Only the client that made the session may select.

use std::fmt::Display;
use std::num::NonZeroU32;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::session::own_session;
use crate::http::base_path::BasePath;
use crate::http::error::Problem;
use crate::http::media_types::{ACCEPT_POST, JSON};
use crate::http::openapi::refusals::{
    ForeignPage, Malformed, NotFound, TooLarge, TooMany, TooSlow, Unauthorized, Unavailable, Unsupported, WrongType,
};
use crate::http::openapi::texts::JsonType;
use crate::http::request::asker::Asker;
use crate::http::request::body::read_bytes;
use crate::http::request::headers::require_type;
use crate::http::request::path::{NO_SUCH_SESSION, SessionPath};
use crate::http::shared::node::Shared;
use crate::http::shared::stream_layers::StreamLayers;
use crate::name::{Role, SessionId};
use crate::node::SessionInfo;
use crate::session::{Selection, SessionRecord, VideoSection};

const RELATION: &str = "urn:ietf:params:whep:ext:core:layer";

/// The largest selection.
const SELECTION_LIMIT: usize = 4 * 1024;

/// The longest name of an encoding that an error repeats, in characters.
const SHOWN: usize = 64;

/// Which layer of the video a viewer wants to be sent. Without anything but `mediaId` the relay chooses.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct LayerSelection {
    /// The video section: its place among the m= lines, or its a=mid. Absent: the video section.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    media_id: Option<String>,
    /// Whether to send audio alone and no video, whatever else is selected.
    #[schema(nullable = false, value_type = Option<bool>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_only: Option<bool>,
    /// The name of a simulcast encoding.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    rid: Option<String>,
    /// The older name of rid.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding_id: Option<String>,
    /// An encoding by its size, from 0 for the smallest; rid has priority.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    spatial_layer_id: Option<u8>,
    /// The highest temporal layer to be sent.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    temporal_layer_id: Option<u8>,
    /// The largest encoding that the relay may choose, as spatialLayerId.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_spatial_layer_id: Option<u8>,
    /// The highest temporal layer that the relay may choose.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_temporal_layer_id: Option<u8>,
    /// The widest frames that the relay may choose, in pixels.
    #[schema(nullable = false, value_type = Option<u32>, minimum = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_width: Option<NonZeroU32>,
    /// The highest frames that the relay may choose, in pixels.
    #[schema(nullable = false, value_type = Option<u32>, minimum = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_height: Option<NonZeroU32>,
}

/// What a viewer has selected, and which encoding it is sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct SelectedLayer {
    #[schema(inline)]
    selection: LayerSelection,
    /// The name of the encoding that it is sent, as of about a second ago; absent if the video has one, and while the
    /// viewer is sent audio alone.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
}

/// The Link header of the 201: where layers are selected.
pub(in crate::http) fn link(base_path: &BasePath, session: &str) -> HeaderValue {
    let path = base_path.join(&format!("/session/{session}/layer"));
    HeaderValue::try_from(format!("<{path}>; rel=\"{RELATION}\""))
        .expect("a base path and a session id are visible ASCII")
}

/// Selects which layer of the video the viewer is sent (WHEP, layer selection)
///
/// With mediaId alone the relay chooses again. The layers event names the layers.
#[utoipa::path(
    post,
    path = "/session/{id}/layer",
    operation_id = "selectLayer",
    tag = "session",
    security((), ("watch" = [])),
    params(SessionPath),
    request_body(content = inline(LayerSelection), content_type = "application/json"),
    responses(
        (status = 200, description = "It is selected, for later publishers of the stream too."),
        Malformed, Unauthorized, ForeignPage, NotFound, TooSlow, TooLarge, WrongType, Unsupported, TooMany, Unavailable,
    ),
)]
pub(in crate::http) async fn post(
    State(shared): State<Shared>,
    SessionPath(id): SessionPath,
    asker: Asker,
    request: Request,
) -> Result<StatusCode, Problem> {
    let (parts, body) = request.into_parts();
    let info = viewer(&shared, &id, &asker).await?;
    require_type(&parts.headers, JSON)?;
    let text = read_bytes(&parts.headers, body, SELECTION_LIMIT, shared.body_deadline).await?;
    let selection = read(&text)?;
    let record = shared.media.record(&id).ok_or(NO_SUCH_SESSION)?;
    selection.check_section(&record)?;
    let selection = selection.complete()?;
    if let Some(rid) = &selection.rid {
        check_rid(rid, &StreamLayers::of(&shared.media, &info.stream))?;
    }
    shared.media.select(&id, selection)?;
    Ok(StatusCode::OK)
}

/// What is selected, and which encoding the viewer is sent; HEAD too
#[utoipa::path(
    get,
    path = "/session/{id}/layer",
    operation_id = "selectedLayer",
    tag = "session",
    security((), ("watch" = [])),
    params(SessionPath),
    responses((status = 200, description = "The selection.", body = SelectedLayer), Unauthorized, ForeignPage, NotFound),
)]
pub(in crate::http) async fn get(
    State(shared): State<Shared>,
    SessionPath(id): SessionPath,
    asker: Asker,
) -> Result<Response, Problem> {
    viewer(&shared, &id, &asker).await?;
    let record = shared.media.record(&id).ok_or(NO_SUCH_SESSION)?;
    let selected = SelectedLayer {
        selection: LayerSelection::of(record.selection(), record.video.as_ref()),
        current: record.report().tracks.iter().find_map(|track| Some(track.rid.as_deref()?.to_owned())),
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(selected)).into_response())
}

/// Leaves the choice to the relay again
#[utoipa::path(
    delete,
    path = "/session/{id}/layer",
    operation_id = "unselectLayer",
    tag = "session",
    security((), ("watch" = [])),
    params(SessionPath),
    responses(
        (status = 200, description = "The relay chooses."), Unauthorized, ForeignPage, NotFound, TooMany, Unavailable,
    ),
)]
pub(in crate::http) async fn delete(
    State(shared): State<Shared>,
    SessionPath(id): SessionPath,
    asker: Asker,
) -> Result<StatusCode, Problem> {
    viewer(&shared, &id, &asker).await?;
    shared.media.select(&id, Selection::default())?;
    Ok(StatusCode::OK)
}

/// What it accepts; never needs a token
#[utoipa::path(
    options,
    path = "/session/{id}/layer",
    operation_id = "layerOptions",
    tag = "session",
    params(SessionPath),
    responses(
        (status = 204, description = "The headers say it.",
            headers(("Accept-Post" = inline(JsonType), description = "What a POST must be."))),
        ForeignPage,
    ),
)]
pub(in crate::http) async fn options() -> Response {
    let takes = [
        (ALLOW, HeaderValue::from_static("GET,HEAD,POST,DELETE,OPTIONS")),
        (ACCEPT_POST, HeaderValue::from_static(JSON)),
    ];
    (StatusCode::NO_CONTENT, takes).into_response()
}

/// Finds a viewer's session that the holder of the request's token made.
async fn viewer(shared: &Shared, id: &SessionId, asker: &Asker) -> Result<SessionInfo, Problem> {
    let info = own_session(shared, id, asker).await?;
    if info.role != Role::Viewer {
        return Err(Problem::NotFound("a publisher selects no layer: its viewers do"));
    }
    Ok(info)
}

fn read(text: &[u8]) -> Result<LayerSelection, Problem> {
    let malformed = |reason: &dyn Display| {
        let example = "{\"mediaId\": \"0\", \"rid\": \"h\"}";
        Problem::Malformed(format!("the body selects no layer: {reason}; send a JSON object such as {example}"))
    };
    // serde reads a struct from an array too, member by member.
    if text.trim_ascii_start().starts_with(b"[") {
        return Err(malformed(&"invalid type: array"));
    }
    serde_json::from_slice(text).map_err(|error| malformed(&error))
}

/// Checks that the stream has an encoding of this name now.
fn check_rid(rid: &str, layers: &StreamLayers) -> Result<(), Problem> {
    if layers.rids().any(|known| known == rid) {
        return Ok(());
    }
    let shown: String = rid.chars().take(SHOWN).collect();
    let names: Vec<_> = layers.rids().map(|name| format!("{name:?}")).collect();
    let known = match &names[..] {
        [] if layers.is_empty() => "the stream has no video now".to_owned(),
        [] => "the stream has one encoding, without a name".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    Err(Problem::Unsupported(format!("no encoding has the rid {shown:?}: {known}")))
}

impl LayerSelection {
    /// What a viewer has selected; `None` if the choice is the relay's.
    pub(in crate::http) fn made(record: &SessionRecord) -> Option<Self> {
        let selection = record.selection();
        (!selection.is_automatic()).then(|| Self::of(selection, record.video.as_ref()))
    }

    fn of(selection: Selection, video: Option<&VideoSection>) -> Self {
        Self {
            media_id: video.map(|section| section.place.to_string()),
            audio_only: selection.audio_only.then_some(true),
            rid: selection.rid.map(String::from),
            encoding_id: None,
            spatial_layer_id: selection.spatial,
            temporal_layer_id: selection.temporal,
            max_spatial_layer_id: selection.max_spatial,
            max_temporal_layer_id: selection.max_temporal,
            max_width: selection.max_width.and_then(NonZeroU32::new),
            max_height: selection.max_height.and_then(NonZeroU32::new),
        }
    }

    /// Checks that it means the video section of the session.
    fn check_section(&self, record: &SessionRecord) -> Result<(), Problem> {
        let Some(video) = &record.video else {
            return Err(Problem::Unsupported("the session has no video, so it has no layers".to_owned()));
        };
        let is_video = |id: &String| *id == video.place.to_string() || *id == video.mid;
        if self.media_id.as_ref().is_none_or(is_video) {
            return Ok(());
        }
        let own = video.place;
        Err(Problem::Unsupported(format!("mediaId is not that of the session's video section: send \"{own}\"")))
    }

    /// The selection for the worker.
    fn complete(self) -> Result<Selection, Problem> {
        let rid = match (self.rid, self.encoding_id) {
            (Some(rid), Some(older)) if rid != older => {
                return Err(Problem::Malformed("rid and encodingId differ: send one of them".to_owned()));
            }
            (rid, older) => rid.or(older),
        };
        Ok(Selection {
            audio_only: self.audio_only.unwrap_or_default(),
            rid: rid.map(String::into_boxed_str),
            spatial: self.spatial_layer_id,
            temporal: self.temporal_layer_id,
            max_spatial: self.max_spatial_layer_id,
            max_temporal: self.max_temporal_layer_id,
            max_width: self.max_width.map(NonZeroU32::get),
            max_height: self.max_height.map(NonZeroU32::get),
            ..Selection::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(text: &str) -> Result<Selection, Problem> {
        read(text.as_bytes()).and_then(LayerSelection::complete)
    }

    #[test]
    fn a_selection_is_read_whichever_of_its_members_are_there() {
        for automatic in ["{}", "{\"mediaId\": \"1\"}", "{\"audioOnly\": false}", "{\"rid\": null, \"bitrate\": 5}"] {
            assert_eq!(selected(automatic), Ok(Selection::default()), "{automatic}");
        }
        let all = "{\"mediaId\": \"0\", \"audioOnly\": true, \"encodingId\": \"h\", \"spatialLayerId\": 1, \
                   \"temporalLayerId\": 2, \"maxSpatialLayerId\": 3, \"maxTemporalLayerId\": 4, \"maxWidth\": 640, \
                   \"maxHeight\": 360}";
        let expected = Selection {
            audio_only: true,
            rid: Some("h".into()),
            spatial: Some(1),
            temporal: Some(2),
            max_spatial: Some(3),
            max_temporal: Some(4),
            max_width: Some(640),
            max_height: Some(360),
            ..Selection::default()
        };
        assert_eq!(selected(all), Ok(expected.clone()));
        assert_eq!(LayerSelection::of(expected.clone(), None).complete(), Ok(expected));
        assert_eq!(selected("{\"rid\": \"h\", \"encodingId\": \"h\"}"), selected("{\"rid\": \"h\"}"));
    }

    #[test]
    fn a_selection_of_wrong_types_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "EOF"),
            ("[]", "invalid type"),
            (" [\"0\", \"h\", null, null, null, null, null, null, null]", "invalid type"),
            ("\"h\"", "invalid type"),
            ("{", "EOF"),
            ("{\"rid\": 1}", "expected a string"),
            ("{\"mediaId\": 0}", "expected a string"),
            ("{\"temporalLayerId\": \"1\"}", "expected u8"),
            ("{\"audioOnly\": 1}", "expected a boolean"),
            ("{\"spatialLayerId\": -1}", "expected u8"),
            ("{\"maxWidth\": 0}", "nonzero"),
            ("{\"maxHeight\": 1.5}", "floating point"),
            ("{\"rid\": \"h\", \"encodingId\": \"f\"}", "differ"),
            ("{\"rid\": \"h\", \"rid\": \"f\"}", "duplicate"),
        ] {
            let Err(problem) = selected(text) else { panic!("{text} is taken") };
            assert_eq!(problem.status(), 400);
            assert!(problem.to_string().contains(reason), "{text}: {problem}");
        }
    }
}
