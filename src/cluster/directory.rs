//! The directory as this node uses it: its own identity, and what it has read of others.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, broadcast, watch};
use tracing::{info, warn};
use url::Url;

use super::carried::Parts;
use super::key::Key;
use super::node_id::NodeId;
use super::placement::{self, Own};
use super::store::{Store, StoreError, Update};
use super::value::{NodeValue, VERSION};
use super::view::{ClaimedStream, ListedNode, Source, View};
use crate::metrics::{ClusterMetrics, DirectoryState, PlacementReason};
use crate::name::StreamName;

/// Origins of other nodes in a list, at most: pages have them in a header.
const ORIGINS: usize = 64;

/// The name of a node, and what it says of itself.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name.
    pub node: NodeId,
    /// Which start of it this is: ms since 1970.
    pub incarnation: u64,
    /// Where other nodes reach it.
    pub url: Option<String>,
    /// Where clients reach it, if they may be sent there.
    pub public_url: Option<String>,
    /// Its region: nodes of one region are near each other.
    pub region: Option<String>,
}

/// What a node says of itself that changes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Condition {
    load: f32,
    legs: u32,
    is_draining: bool,
}

/// How soon a node notices what has happened to others, and to the directory.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a node counts as living after its last heartbeat; whole seconds.
    pub lease: Duration,
    /// The pause between two heartbeats.
    pub heartbeat: Duration,
    /// How long the own heartbeat may be missing from what the node reads, before it reads everything anew.
    pub silence: Duration,
    /// How long the claim of a node that does not live is kept.
    pub orphan: Duration,
}

/// The directory of a cluster as one node uses it. In an `Arc`: `follow()` writes what it reads, and everything else reads
/// that.
#[derive(Debug)]
pub struct Directory {
    pub(super) own: Identity,
    pub(super) store: Store,
    pub(super) timing: Timing,
    view: RwLock<View>,
    condition: Mutex<Condition>,
    state: watch::Sender<DirectoryState>,
    /// The watch that is read now: heartbeats name it.
    pub(super) generation: watch::Sender<u64>,
    changes: Mutex<Changes>,
    has_changes: Notify,
    /// Streams whose claims have changed; `None` where any may have.
    claims: broadcast::Sender<Option<StreamName>>,
    /// The streams that this node pulls.
    parts: Mutex<Parts>,
    pub(super) parts_are_due: Notify,
    /// Those of this node, if others may use the directory too.
    pub(super) metrics: OnceLock<ClusterMetrics>,
}

/// A node that pulls a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// Its name.
    pub node: NodeId,
    /// The node that it pulls from.
    pub parent: NodeId,
    /// The epoch of the claim whose publication it receives.
    pub epoch: u64,
    /// Legs between it and the origin.
    pub hops: u8,
    /// Whether it lives.
    pub is_live: bool,
}

/// Changes of claims that wait for a slow reader. Beyond that it loses the oldest, and must look at all.
const CLAIMS: usize = 1024;

/// What has changed since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Anything may have.
    pub(crate) all: bool,
    /// Anything may have, also what was read last.
    pub(crate) unread: bool,
    /// The claims of these streams have.
    pub(crate) streams: BTreeSet<StreamName>,
}

impl Identity {
    /// That of this process, which other nodes reach at `url`.
    pub fn of_process(url: Option<String>, region: Option<String>) -> Self {
        Self { node: NodeId::random(), incarnation: now(), url, public_url: None, region }
    }
}

impl Carrier {
    fn of(source: Source<'_>) -> Option<Self> {
        let Source { node, epoch, hops, is_live, .. } = source;
        Some(Self { node: node.clone(), parent: source.parent?.clone(), epoch, hops, is_live })
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            // A lease of 10 s or less expires wrongly when the leader of three NATS servers stops for 8 s.
            lease: Duration::from_secs(15),
            heartbeat: Duration::from_secs(3),
            silence: Duration::from_secs(8),
            orphan: Duration::from_secs(60),
        }
    }
}

impl Directory {
    /// A directory before anything is read: see [`follow()`](super::follow()).
    pub fn new(own: Identity, store: Store, timing: Timing) -> Self {
        Self {
            own,
            store,
            timing,
            view: RwLock::default(),
            condition: Mutex::default(),
            state: watch::Sender::new(DirectoryState::Behind),
            generation: watch::Sender::default(),
            changes: Mutex::default(),
            has_changes: Notify::new(),
            claims: broadcast::Sender::new(CLAIMS),
            parts: Mutex::default(),
            parts_are_due: Notify::new(),
            metrics: OnceLock::new(),
        }
    }

    /// The name of this node.
    pub fn node(&self) -> &NodeId {
        &self.own.node
    }

    /// How well it follows the directory.
    pub fn state(&self) -> DirectoryState {
        *self.state.borrow()
    }

    /// Every change of that.
    pub(crate) fn states(&self) -> watch::Receiver<DirectoryState> {
        self.state.subscribe()
    }

    /// Which node has the publisher of a stream, by what was read last.
    pub fn lookup(&self, stream: &StreamName) -> Option<ClaimedStream> {
        self.view().list_stream(stream)
    }

    /// The nodes that live, by name. This one is always among them.
    pub fn nodes(&self) -> Vec<ListedNode> {
        let mut nodes = self.view().list_nodes();
        if let Err(place) = nodes.binary_search_by(|listed| listed.node.cmp(&self.own.node)) {
            let Identity { node, url, public_url, region, .. } = self.own.clone();
            let Condition { load, legs, is_draining } = *self.condition();
            nodes.insert(place, ListedNode { node, url, public_url, region, load, is_draining, legs, streams: 0 });
        }
        nodes
    }

    /// The origins (RFC 6454) at which clients reach other nodes that they may be sent to.
    pub(crate) fn public_origins(&self) -> Vec<String> {
        let others = self.view().list_nodes().into_iter().filter(|listed| listed.node != self.own.node);
        let urls = others.filter_map(|listed| Url::parse(&listed.public_url?).ok());
        let origins: BTreeSet<String> = urls.map(|url| url.origin().ascii_serialization()).collect();
        origins.into_iter().take(ORIGINS).collect()
    }

    /// The nodes that pull a stream, by name, by what was read last.
    pub fn carriers(&self, stream: &StreamName) -> Vec<Carrier> {
        self.view().carriers(stream).filter_map(Carrier::of).collect()
    }

    /// What was read of the nodes and streams of the cluster. Keep it for a moment only: while it is held, nothing is read.
    pub fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes to pull a stream from, in the order in which to ask them, as [`placement::parents`]
    /// chooses them. `hops` are the legs between this node and the origin if it carries the stream, or did until its parent
    /// went away.
    pub fn parents(&self, stream: &StreamName, hops: Option<u8>, reason: PlacementReason) -> Vec<NodeId> {
        if let Some(metrics) = self.metrics.get() {
            metrics.placements[reason].inc();
        }
        placement::parents(&self.view(), stream, &self.own(hops), &mut rand::rng())
    }

    /// This node, as it looks for a parent: see [`Self::parents`].
    pub fn own(&self, hops: Option<u8>) -> Own {
        Own { node: self.own.node.clone(), region: self.own.region.clone(), hops }
    }

    /// Says which part of its capacity this node uses, from 0 to 1, with the next heartbeat.
    pub fn set_load(&self, load: f32) {
        self.condition().load = load.clamp(0.0, 1.0);
    }

    /// Says on how many legs it sends streams to other relays, with the next heartbeat.
    pub fn set_legs(&self, legs: usize) {
        self.condition().legs = u32::try_from(legs).unwrap_or(u32::MAX);
    }

    /// How many streams it pulls over one, two, and three legs.
    pub(super) fn pulled(&self) -> [usize; 3] {
        let mut pulled = [0; 3];
        self.parts().hops().for_each(|hops| pulled[usize::from(hops).clamp(1, 3) - 1] += 1);
        pulled
    }

    /// Says at once that it is about to end: no node begins to pull from it.
    pub fn set_draining(&self) {
        if !std::mem::replace(&mut self.condition().is_draining, true) {
            // The heartbeat does not wait for its turn.
            self.generation.send_modify(|_| {});
        }
    }

    /// Where other nodes reach a node, if it says so.
    pub(super) fn url_of(&self, node: &NodeId) -> Option<String> {
        self.view().url(node).map(str::to_owned)
    }

    /// The streams that are claimed, by name.
    pub fn streams(&self) -> Vec<ClaimedStream> {
        self.view().list_streams()
    }

    /// The streams whose claims change from now on; `None` where any may have.
    pub(crate) fn claims(&self) -> broadcast::Receiver<Option<StreamName>> {
        self.claims.subscribe()
    }

    /// Waits until claims have changed. One reader at a time gets the changes.
    pub(crate) async fn changed(&self) -> Changes {
        loop {
            let changes = std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner));
            if changes != Changes::default() {
                return changes;
            }
            self.has_changes.notified().await;
        }
    }

    /// Says that this node lives, and which watch it reads.
    pub(super) async fn announce(&self, generation: u64) -> Result<(), StoreError> {
        let Identity { node, incarnation, url, public_url, region } = self.own.clone();
        let Condition { load, legs, is_draining: draining } = *self.condition();
        let (v, inc, r#gen, other) = (VERSION, incarnation, generation, serde_json::Map::new());
        let value = NodeValue { v, inc, r#gen, url, public_url, region, load, draining, legs, other };
        let key = Key::Node(node).encode();
        self.store.put_lease(&key, value.write(), self.timing.lease).await.map(|_| ())
    }

    /// Says that this node ends, after [`follow()`](super::follow()) was dropped. Its lease would say so too, but later.
    ///
    /// # Errors
    /// [`StoreError`]; then the lease says so.
    pub async fn leave(&self) -> Result<(), StoreError> {
        let key = Key::Node(self.own.node.clone()).encode();
        loop {
            let written = self.store.get(&key).await?;
            if written.value.is_none() {
                break;
            }
            match self.store.purge(&key, written.revision).await {
                // The last heartbeat has landed in between; no further one comes.
                Err(StoreError::Changed) => {}
                outcome => {
                    outcome?;
                    break;
                }
            }
        }
        self.remove_list().await
    }

    /// Whether a value that was read is a heartbeat of this node that names this watch.
    pub(super) fn is_echo(&self, update: &Update, generation: u64) -> bool {
        let is_own = Key::decode(&update.key) == Some(Key::Node(self.own.node.clone()));
        let read = update.entry.value.as_deref().filter(|_| is_own).and_then(NodeValue::read);
        read.is_some_and(|value| value.inc == self.own.incarnation && value.r#gen == generation)
    }

    /// Takes a value that was read.
    pub(super) fn apply(&self, update: &Update) {
        let about = self.view.write().unwrap_or_else(PoisonError::into_inner).apply(update);
        match about {
            Some(Key::Stream(stream)) => {
                // An error means that there are no readers.
                let _ = self.claims.send(Some(stream.clone()));
                self.note_changes(|changes| changes.streams.extend([stream]));
            }
            Some(Key::Carries(node, part)) if node == self.own.node => {
                self.check_part(part, update.entry.value.as_ref());
            }
            Some(Key::Carries(..) | Key::Node(_)) | None => {}
        }
    }

    /// Takes a view in which everything is that was written before the watch began.
    pub(super) fn replace(&self, view: View) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
        self.look_at_all();
        self.parts().note_all_due();
        self.parts_are_due.notify_one();
    }

    /// Makes [`Self::changed`] report that what was read last may have changed since.
    pub(super) fn ask_again(&self) {
        self.note_changes(|changes| changes.unread = true);
    }

    /// Makes [`Self::changed`] report that anything may have changed.
    pub(super) fn look_at_all(&self) {
        let _ = self.claims.send(None);
        self.note_changes(|changes| changes.all = true);
    }

    pub(super) fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how well the directory is followed, and says so if that is new.
    pub(super) fn set_state(&self, state: DirectoryState, why: &str) {
        if self.state.send_replace(state) == state || !self.store.is_shared() {
            return;
        }
        match state {
            DirectoryState::Connected => info!(node = %self.own.node, "the directory is connected and read: {why}"),
            DirectoryState::Behind => warn!("the directory may be out of date, media goes on: {why}"),
            DirectoryState::Unreachable => warn!("the directory is not reachable, media goes on: {why}"),
        }
    }

    fn note_changes(&self, note: impl FnOnce(&mut Changes)) {
        note(&mut self.changes.lock().unwrap_or_else(PoisonError::into_inner));
        self.has_changes.notify_one();
    }
}

/// The time in ms since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
