//! `/node/v1/streams/{stream}`: what this node has of a stream.

use axum::Json;
use axum::extract::State;

use crate::cluster::StreamState;
use crate::http::guard::from_node::FromNode;
use crate::http::openapi::refusals::{Malformed, Unauthorized};
use crate::http::request::path;
use crate::http::shared::node::Shared;
use crate::name::StreamName;

/// What this node has of a stream, for the other nodes of its cluster
#[utoipa::path(
    get,
    path = "/node/v1/streams/{stream}",
    operation_id = "nodeStream",
    tag = "nodes",
    security(("node" = [])),
    params(path::StreamPath),
    responses((status = 200, description = "Also of a stream that it does not have.", body = StreamState), Malformed, Unauthorized),
)]
pub(in crate::http) async fn get(
    State(shared): State<Shared>,
    _: FromNode,
    path::StreamPath(name): path::StreamPath,
) -> Json<StreamState> {
    Json(state(&shared, &name))
}

fn state(shared: &Shared, name: &StreamName) -> StreamState {
    let info = shared.media.stream(name);
    let publisher = info.as_ref().and_then(|info| info.publisher);
    let claim = shared.directory.lookup(name);
    let path = publisher.and(shared.calls.as_ref()).map(|calls| calls.path(name)).unwrap_or_default();
    let tracks = publisher.and_then(|session| shared.media.record(&session)).map(|record| record.report().tracks);
    let rids = tracks.unwrap_or_default().into_iter().filter_map(|track| track.rid).map(|rid| rid.to_string());
    let formats = info.map(|info| info.formats).unwrap_or_default();
    StreamState {
        version: StreamState::VERSION,
        epoch: claim.as_ref().map(|claim| claim.epoch),
        origin: path.first().cloned().or(claim.map(|claim| claim.node)),
        path,
        rids: rids.collect(),
        codecs: formats.iter().map(|format| format.codec.name().to_owned()).collect(),
        legs: shared.children.count(name, &shared.media),
        receiving: shared.media.is_receiving(name),
    }
}
