//! Pulls and pushes as `/api` shows them.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::administrator::Administrator;
use crate::http::openapi::refusals::{Forbidden, Unauthorized};
use crate::http::openapi::texts::SessionId;
use crate::http::shared::node::Shared;
use crate::label::Label as _;
use crate::legs::Listed;

/// A pull from another server, or a push to it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Leg {
    /// pull: the stream comes from there; push: it goes there.
    direction: &'static str,
    /// Its name here.
    stream: String,
    /// Its URL there, without the query; of a stream of another node, the URL of that node.
    url: String,
    /// always, or on-demand: it is pulled while it has viewers.
    mode: &'static str,
    /// idle: nothing wants it; connecting; connected; failed: it is tried again after a pause.
    state: &'static str,
    /// For how long it has been in this state.
    #[schema(minimum = 0)]
    since_seconds: f64,
    /// Its session here, while there is one.
    #[schema(value_type = SessionId, inline, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// How often it has failed.
    failures: u64,
    /// Why it does not run.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

impl From<Listed> for Leg {
    fn from(listed: Listed) -> Self {
        Self {
            direction: listed.direction.as_str(),
            stream: listed.stream.to_string(),
            url: listed.url,
            mode: listed.mode.as_str(),
            state: listed.stage.as_str(),
            since_seconds: listed.since.as_secs_f64(),
            session: listed.session.map(|session| session.to_string()),
            failures: listed.failures,
            failure: listed.failure,
        }
    }
}

/// Pulls and pushes (--pull, --push), streams of other nodes among them, and why one does not run
#[utoipa::path(
    get,
    path = "/api/legs",
    operation_id = "legs",
    tag = "api",
    security((), ("admin" = [])),
    responses((status = 200, description = "Those of the configuration in its order, then those from other nodes by stream.", body = Vec<Leg>), Unauthorized, Forbidden),
)]
pub(in crate::http) async fn list(State(shared): State<Shared>, _: Administrator) -> Json<Vec<Leg>> {
    Json(shared.legs.list().into_iter().map(Leg::from).collect())
}
