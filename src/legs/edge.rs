//! A stream that another node of the cluster has, pulled once for all its viewers here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::broadcast;
use tokio::time::sleep;
use tracing::info;

use super::backoff::Backoff;
use super::context::Context;
use super::failure::Failure;
use super::node_leg::NodeLeg;
use super::nodes::Nodes;
use super::report::Report;
use crate::cluster::NodeId;
use crate::metrics::PlacementReason;
use crate::name::StreamName;
use crate::reason::EndReason;
use crate::session::NodeEvent;

/// How often is looked at what no event tells: the number of viewers.
const TICK: Duration = Duration::from_millis(500);

/// The same until a session is connected.
const CONNECTING: Duration = Duration::from_millis(10);

/// How long a session may take to connect.
const CONNECT: Duration = Duration::from_secs(3);

/// How long a node has to answer before the next one is asked.
const QUICK: Duration = Duration::from_millis(500);

/// The same once all have been asked, for a node that lives by the directory.
const LIVING: Duration = Duration::from_secs(3);

/// How long a parent that has failed is asked after all others.
const AVOIDED: Duration = Duration::from_secs(5);

/// The task of one stream.
pub(super) struct Edge {
    nodes: Arc<Nodes>,
    stream: StreamName,
    report: Arc<Report>,
    events: broadcast::Receiver<NodeEvent>,
    claims: broadcast::Receiver<Option<StreamName>>,
    avoided: HashMap<NodeId, Instant>,
}

/// What has become of the leg.
enum Turn {
    /// Nothing wants it any more, or a client publishes the stream here.
    Unwanted,
    /// Another node has the stream.
    Moved,
    /// It has ended.
    Dead(EndReason),
}

impl Edge {
    pub(super) fn new(nodes: Arc<Nodes>, stream: StreamName, report: Arc<Report>) -> Self {
        let (events, claims) = (nodes.context.media.events(), nodes.context.directory.claims());
        Self { nodes, stream, report, events, claims, avoided: HashMap::new() }
    }

    /// Pulls the stream until nothing wants it.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(self.nodes.context.config().node_pauses.clone());
        let mut leg: Option<NodeLeg> = None;
        // Legs to the origin before the parent went away.
        let mut hops: Option<u8> = None;
        let mut reason = PlacementReason::Viewer;
        while self.is_wanted(leg.as_ref()) {
            // 1. Find a parent.
            self.report.connects(leg.as_ref().map(|leg| leg.session));
            let next = match self.find(hops, reason).await {
                Ok(next) => next,
                Err(Failure::Claimed) => continue,
                Err(failure) => {
                    if leg.is_none() {
                        self.nodes.carry(&self.stream, None);
                    }
                    let pause = backoff.pause(failure.retry_after(), &mut rand::rng());
                    self.report.fails(&failure, pause);
                    self.pause(pause).await;
                    continue;
                }
            };
            // 2. It replaces the leg before, whose media went on until now.
            if let Some(before) = leg.replace(next) {
                before.end(&self.nodes.context).await;
            }
            backoff.reset();
            let Some(current) = &leg else { continue };
            self.report.runs(current.session);
            self.nodes.carry(&self.stream, Some(current));
            // 3. Stay with it.
            match self.accompany(current).await {
                Turn::Unwanted => break,
                Turn::Moved => (hops, reason) = (None, PlacementReason::Moved),
                Turn::Dead(ended) => {
                    (hops, reason) = (Some(current.hops()), PlacementReason::Parent);
                    info!(stream = %self.stream, parent = %current.parent, reason = ?ended, "the leg has ended, another parent is asked");
                    self.avoided.insert(current.parent.clone(), Instant::now());
                    leg = None;
                }
            }
        }
        self.nodes.carry(&self.stream, None);
        if let Some(leg) = leg {
            leg.end(&self.nodes.context).await;
        }
    }

    /// Whether the stream is to be pulled.
    fn is_wanted(&self, leg: Option<&NodeLeg>) -> bool {
        let context = &self.nodes.context;
        let info = context.media.stream(&self.stream);
        let has_client = info.is_some_and(|info| info.publisher.is_some() && !info.is_carried);
        let has_source = leg.is_some() || context.claim_elsewhere(&self.stream).is_some();
        !has_client && has_source && context.is_watched(&self.stream, Instant::now())
    }

    /// Asks one node after the other, and returns the first leg that connects.
    async fn find(&mut self, hops: Option<u8>, reason: PlacementReason) -> Result<NodeLeg, Failure> {
        let context = Arc::clone(&self.nodes.context);
        let directory = &context.directory;
        let mut parents = directory.parents(&self.stream, hops, reason);
        self.avoided.retain(|_, since| since.elapsed() < AVOIDED);
        parents.sort_by_key(|parent| self.avoided.contains_key(parent));
        let mut failed = Failure::NoParent;
        let is_living = |parent: &NodeId| directory.nodes().iter().any(|listed| listed.node == *parent);
        // A node that hangs does not keep viewers waiting while another one would answer.
        let patient = parents.clone().into_iter().filter(is_living).map(|parent| (parent, LIVING));
        let tries: Vec<_> = parents.into_iter().map(|parent| (parent, QUICK)).chain(patient).collect();
        for (parent, limit) in tries {
            let begun = tokio::select! {
                begun = NodeLeg::begin(&context, &self.nodes.calls, &self.stream, &parent, limit) => begun,
                () = claim_changes(&mut self.claims, &context, &self.stream) => return Err(Failure::Claimed),
            };
            let connected = match begun {
                Ok(leg) => self.connected(leg).await,
                Err(failure) => Err(failure),
            };
            match connected {
                Ok(leg) => return Ok(leg),
                Err(failure) => {
                    tracing::debug!(stream = %self.stream, %parent, "no leg from this node: {failure}");
                    self.avoided.insert(parent, Instant::now());
                    failed = failure;
                }
            }
        }
        Err(failed)
    }

    /// Waits until the session of a leg is connected.
    async fn connected(&mut self, leg: NodeLeg) -> Result<NodeLeg, Failure> {
        let media = self.nodes.context.media.clone();
        let began = Instant::now();
        loop {
            let report = media.record(&leg.session).map(|record| record.report());
            match report.as_ref().map(|report| (report.connected, report.ended)) {
                Some((Some(_), None)) => return Ok(leg),
                Some((None, None)) if began.elapsed() < CONNECT => {}
                other => {
                    let reason = other.and_then(|(_, ended)| ended).map_or(EndReason::Deleted, |(reason, _)| reason);
                    let explanation = media.explanation(&leg.session);
                    leg.end(&self.nodes.context).await;
                    return Err(Failure::NotConnected { reason, explanation });
                }
            }
            self.wait(CONNECTING).await;
        }
    }

    /// Waits until something becomes of a leg.
    async fn accompany(&mut self, leg: &NodeLeg) -> Turn {
        loop {
            let report = self.nodes.context.media.record(&leg.session).map(|record| record.report());
            match report.map(|report| report.ended) {
                Some(None) => {}
                Some(Some((EndReason::Replaced, _))) => return Turn::Unwanted,
                Some(Some((reason, _))) => return Turn::Dead(reason),
                None => return Turn::Dead(EndReason::Failed),
            }
            if !self.is_wanted(Some(leg)) {
                return Turn::Unwanted;
            }
            if self.has_moved(leg) {
                return Turn::Moved;
            }
            self.wait(TICK).await;
        }
    }

    /// Whether another node than the origin of the leg has the stream.
    fn has_moved(&self, leg: &NodeLeg) -> bool {
        let claim = self.nodes.context.claim_elsewhere(&self.stream);
        claim.is_some_and(|claim| claim.node != *leg.origin() && claim.is_live && claim.epoch > leg.epoch)
    }

    /// Waits before parents are asked again, or until the claim of the stream changes.
    async fn pause(&mut self, pause: Duration) {
        let due = Instant::now() + pause;
        loop {
            tokio::select! {
                claim = self.claims.recv() => if matches!(claim, Ok(Some(stream)) if stream == self.stream) { return },
                () = sleep(due.saturating_duration_since(Instant::now())) => return,
            }
        }
    }

    /// Waits until something may have changed for the stream.
    async fn wait(&mut self, longest: Duration) {
        let due = Instant::now() + longest;
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Ok(NodeEvent::Published { stream } | NodeEvent::Unpublished { stream, .. }) if stream != self.stream => {}
                    // A session's stream is not known.
                    _ => return,
                },
                claim = self.claims.recv() => match claim {
                    Ok(Some(stream)) if stream != self.stream => {}
                    _ => return,
                },
                () = sleep(due.saturating_duration_since(Instant::now())) => return,
            }
        }
    }
}

/// Waits until another publisher has the stream elsewhere than now.
async fn claim_changes(claims: &mut broadcast::Receiver<Option<StreamName>>, context: &Context, stream: &StreamName) {
    let now = || context.claim_elsewhere(stream).map(|claim| (claim.node, claim.epoch));
    let before = now();
    loop {
        match claims.recv().await {
            Ok(Some(changed)) if changed != *stream => {}
            Err(broadcast::error::RecvError::Closed) => return std::future::pending().await,
            _ if now() != before => return,
            _ => {}
        }
    }
}
