//! Streams of other nodes: each that has viewers here, and is published elsewhere, is pulled once for all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::configured::Mode;
use super::edge::Edge;
use super::nodes::Nodes;
use super::report::{Report, Subject};
use crate::metrics::LegDirection;
use crate::name::StreamName;
use crate::session::NodeEvent;

/// The streams that are pulled now.
pub(super) struct Edges {
    nodes: Arc<Nodes>,
    running: BTreeMap<StreamName, watch::Sender<bool>>,
    tasks: JoinSet<StreamName>,
}

impl Edges {
    pub(super) fn new(nodes: Arc<Nodes>) -> Self {
        Self { nodes, running: BTreeMap::new(), tasks: JoinSet::new() }
    }

    /// Begins an edge for each stream that needs one, until the legs are to stop.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let media = self.nodes.context.media.clone();
        let (mut events, mut claims) = (media.events(), self.nodes.context.directory.claims());
        let mut wants = self.nodes.context.wants();
        loop {
            let stream = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                want = wants.recv() => match want {
                    Ok(stream) => Some(stream),
                    Err(RecvError::Lagged(_)) => None,
                    Err(RecvError::Closed) => break,
                },
                claim = claims.recv() => claim.unwrap_or(None),
                event = events.recv() => match event {
                    Ok(NodeEvent::Unpublished { stream, .. }) => Some(stream),
                    Ok(NodeEvent::Published { .. } | NodeEvent::SessionEnded { .. }) => continue,
                    Err(RecvError::Lagged(_)) => None,
                    Err(RecvError::Closed) => break,
                },
                Some(ended) = self.tasks.join_next() => {
                    let Ok(stream) = ended else { continue };
                    self.running.remove(&stream);
                    self.nodes.note(&stream, None);
                    Some(stream)
                }
            };
            match stream {
                Some(stream) => self.look_at(&stream),
                None => media.streams().iter().for_each(|info| self.look_at(&info.name)),
            }
        }
        for stop in self.running.values() {
            let _ = stop.send(true);
        }
        while self.tasks.join_next().await.is_some() {}
    }

    /// Begins an edge if a stream needs one and has none.
    fn look_at(&mut self, stream: &StreamName) {
        let context = &self.nodes.context;
        let is_published = context.media.stream(stream).is_some_and(|info| info.publisher.is_some());
        let Some(claim) = context.claim_elsewhere(stream) else { return };
        if is_published || self.running.contains_key(stream) || !context.is_watched(stream, Instant::now()) {
            return;
        }
        let subject = Subject {
            direction: LegDirection::Pull,
            stream: stream.clone(),
            url: claim.url.unwrap_or_default(),
            mode: Mode::OnDemand,
        };
        let report = Arc::new(Report::new(subject, Arc::clone(&context.metrics)));
        self.nodes.note(stream, Some(&report));
        let (stop, mut stopped) = watch::channel(false);
        self.running.insert(stream.clone(), stop);
        let edge = Edge::new(Arc::clone(&self.nodes), stream.clone(), report);
        let stream = stream.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = edge.run() => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            }
            stream
        });
    }
}
