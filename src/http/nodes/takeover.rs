//! Whether an encoder that lost its stream to another node's may take it back: see the rule in `cluster::evictions`.

use std::time::Duration;

use crate::cluster::Calls;
use crate::http::error::Problem;
use crate::http::shared::node::Shared;
use crate::name::StreamName;
use crate::node::CreateError;
use crate::stream::{Identity, TakeoverRefused};

/// How long the node of the live publisher may take to say whether it is heard. Without an answer it counts as silent.
const PATIENCE: Duration = Duration::from_millis(200);

/// Refuses an encoder that was replaced a moment ago, while the publisher that replaced it is heard.
///
/// # Errors
/// A 409 that says when to try again.
pub(in crate::http) async fn check(shared: &Shared, stream: &StreamName, encoder: &Identity) -> Result<(), Problem> {
    let Some(calls) = &shared.calls else { return Ok(()) };
    let Some(retry_after) = calls.evicted(stream, encoder) else { return Ok(()) };
    if is_heard(shared, calls, stream).await {
        return Err(CreateError::Refused(TakeoverRefused { retry_after }).into());
    }
    Ok(())
}

async fn is_heard(shared: &Shared, calls: &Calls, stream: &StreamName) -> bool {
    let Some(claim) = shared.directory.lookup(stream) else { return false };
    if claim.node == *shared.directory.node() {
        return shared.media.is_receiving(stream);
    }
    let asked = tokio::time::timeout(PATIENCE, calls.stream(&claim.node, stream)).await;
    asked.is_ok_and(|answer| answer.is_ok_and(|state| state.receiving))
}
