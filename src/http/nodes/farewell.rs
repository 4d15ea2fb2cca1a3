//! What a node tells viewers before it stops: to begin a session elsewhere. They are told one after the other, so that the
//! other nodes are not asked by all of them at once.

use std::time::Duration;

use rand::seq::SliceRandom as _;

use super::redirect::choose;
use crate::http::shared::node::Shared;
use crate::name::{Role, StreamName};

/// Tells the viewers that read events, spread over this time. Without another node they stay as long as they can.
pub(in crate::http) async fn tell(shared: &Shared, within: Duration) {
    let mut event_streams = shared.event_streams.all();
    event_streams.shuffle(&mut rand::rng());
    let pause = within / u32::try_from(event_streams.len().max(1)).unwrap_or(u32::MAX);
    for event_stream in event_streams {
        if has_other(shared) {
            event_stream.reconnect(&url(shared, &event_stream.stream));
        }
        tokio::time::sleep(pause).await;
    }
}

fn has_other(shared: &Shared) -> bool {
    let mut nodes = shared.directory.nodes().into_iter();
    nodes.any(|listed| listed.node != *shared.directory.node() && !listed.is_draining)
}

/// Where a viewer finds the stream: at another node, or at the same path, behind which a balancer has chosen another one.
fn url(shared: &Shared, stream: &StreamName) -> String {
    match choose(shared, Role::Viewer, stream) {
        Some((_, url)) => format!("{url}/whep/{stream}"),
        None => shared.base_path.join(&format!("/whep/{stream}")),
    }
}
