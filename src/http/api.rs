//! `/api`: what the relay has, as JSON.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;

use super::Shared;
use super::error::Problem;
use super::request::bearer;
use crate::auth::Action;
use crate::stream::StreamInfo;

/// One stream of the list.
#[derive(Debug, Serialize)]
pub(super) struct Stream {
    name: String,
    /// Whether somebody publishes it now.
    live: bool,
    viewers: usize,
    /// Names of the codecs that its publisher sends.
    codecs: Vec<&'static str>,
}

/// The streams that the holder of the token may watch; the names of others are not told.
pub(super) async fn streams(State(shared): State<Shared>, headers: HeaderMap) -> Result<Json<Vec<Stream>>, Problem> {
    let token = bearer(&headers);
    shared.access.identify(token)?;
    let may_watch = |info: &StreamInfo| shared.access.grant(token, Action::Watch, &info.name).is_ok();
    Ok(Json(shared.media.streams().into_iter().filter(may_watch).map(Stream::from).collect()))
}

impl From<StreamInfo> for Stream {
    fn from(info: StreamInfo) -> Self {
        Self {
            name: info.name.to_string(),
            live: info.live,
            viewers: info.viewers,
            codecs: info.formats.iter().map(|format| format.codec.name()).collect(),
        }
    }
}
