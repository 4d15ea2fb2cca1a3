//! Claims the streams of this node's publishers, and ends publishers whose stream another node has.
//!
//! A publisher is live before its stream is claimed, and stays live while that fails: its publication is provisional. A
//! claim is checked again when the directory shows another one, after each reconnection, and after this node has stood
//! still.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tracing::{debug, info};

use super::calls::Calls;
use super::claim::{Claimed, Publication};
use super::directory::Directory;
use super::follow::follow;
use super::orphans::Orphans;
use super::store::StoreError;
use crate::metrics::{ClusterMetrics, DirectoryState};
use crate::name::{SessionId, StreamName};
use crate::node::Handle;
use crate::reason::EndReason;
use crate::session::NodeEvent;

/// Requests to the directory at a time; further ones wait.
const REQUESTS: usize = 32;

/// How soon a claim that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How often the claims of nodes that do not live are looked for.
const ORPHANS: Duration = Duration::from_secs(10);

/// How often a node says how busy it is; each says so with its next heartbeat.
const LOOK: Duration = Duration::from_secs(1);

/// How long a node that stops may take to give up its claims.
const FAREWELL: Duration = Duration::from_secs(1);

/// The publications of this node.
struct Publications {
    directory: Arc<Directory>,
    media: Handle,
    /// `None` where nodes do not call each other.
    calls: Option<Arc<Calls>>,
    held: BTreeMap<StreamName, Held>,
    /// Streams with a request on its way, and whether to look at them again when it is answered.
    asking: BTreeMap<StreamName, bool>,
    answers: JoinSet<(StreamName, u64, Answer)>,
    permits: Arc<Semaphore>,
}

/// The live publisher of a stream.
struct Held {
    session: SessionId,
    publication: Publication,
    standing: Standing,
}

enum Standing {
    /// It is live, and not claimed yet.
    Provisional,
    Claimed,
    /// Another node has the stream; these sessions are being ended.
    Lost(Vec<SessionId>),
}

enum Answer {
    Claim(Result<Claimed, StoreError>),
    Release(Result<(), StoreError>),
}

/// Follows the directory and claims streams in it until `stopped` completes, then gives them up.
pub(crate) async fn run(
    (directory, calls): (Arc<Directory>, Option<Arc<Calls>>),
    media: Handle,
    metrics: Option<ClusterMetrics>,
    stopped: impl Future<Output = ()>,
) {
    let handle = media.clone();
    let mut publications = Publications::new(Arc::clone(&directory), calls, media);
    if let Some(metrics) = metrics {
        // It runs once.
        let _ = directory.metrics.set(metrics);
    }
    tokio::select! {
        () = follow(&directory) => {}
        () = publications.keep() => {}
        () = look_at_load(&directory, &handle) => {}
        () = stopped => {}
    }
    // Without an answer, the lease of the node ends the claims.
    let _ = tokio::time::timeout(FAREWELL, publications.give_up()).await;
}

impl Publications {
    fn new(directory: Arc<Directory>, calls: Option<Arc<Calls>>, media: Handle) -> Self {
        Self {
            directory,
            media,
            calls,
            held: BTreeMap::new(),
            asking: BTreeMap::new(),
            answers: JoinSet::new(),
            permits: Arc::new(Semaphore::new(REQUESTS)),
        }
    }

    async fn keep(&mut self) {
        let directory = Arc::clone(&self.directory);
        let (mut events, mut states) = (self.media.events(), directory.states());
        let (mut orphans, mut looked) = (Orphans::default(), tokio::time::interval(ORPHANS));
        loop {
            if let Some(metrics) = directory.metrics.get() {
                metrics.set(*states.borrow_and_update(), self.provisional().count());
            }
            tokio::select! {
                event = events.recv() => match event {
                    Ok(NodeEvent::Published { stream } | NodeEvent::Unpublished { stream, .. }) => self.look_at(stream),
                    Ok(NodeEvent::SessionEnded { session }) => {
                        let lost = self.held.iter().find(|(_, held)| held.standing.is_ended(&session));
                        if let Some(stream) = lost.map(|(stream, _)| stream.clone()) {
                            self.look_at(stream);
                        }
                    }
                    Err(RecvError::Lagged(_)) => self.look_at_all(),
                    // The workers have ended.
                    Err(RecvError::Closed) => return,
                },
                changes = directory.changed() => {
                    if changes.unread {
                        self.claim_again();
                    }
                    if changes.all || changes.unread {
                        self.look_at_all();
                    }
                    changes.streams.into_iter().for_each(|stream| self.look_at(stream));
                }
                Some(Ok((stream, nonce, answer))) = self.answers.join_next() => self.take(stream, nonce, answer),
                _ = states.changed() => {}
                _ = looked.tick() => {
                    if let Err(error) = orphans.remove(&directory, Instant::now()).await {
                        debug!("the claim of a node that has gone is not removed: {error}");
                    }
                }
                () = tokio::time::sleep(RETRY), if self.has_retries() => {
                    let again: Vec<_> = self.provisional().cloned().collect();
                    again.into_iter().for_each(|stream| self.look_at(stream));
                }
            }
        }
    }

    /// Releases every claim, and says that the node ends.
    async fn give_up(&mut self) {
        self.look_at_all();
        while let Some(answer) = self.answers.join_next().await {
            if let Ok((stream, nonce, answer)) = answer {
                self.take(stream, nonce, answer);
            }
        }
        let _ = self.directory.leave().await;
    }

    fn provisional(&self) -> impl Iterator<Item = &StreamName> {
        let is_provisional = |held: &Held| matches!(held.standing, Standing::Provisional);
        self.held.iter().filter(move |(_, held)| is_provisional(held)).map(|(stream, _)| stream)
    }

    /// Whether a claim has failed that can be made now: without a connection, all are looked at once there is one.
    fn has_retries(&self) -> bool {
        self.directory.state() == DirectoryState::Connected
            && self.provisional().any(|stream| !self.asking.contains_key(stream))
    }

    fn look_at_all(&mut self) {
        let live = self
            .media
            .streams()
            .into_iter()
            .filter(|info| info.publisher.is_some() && !info.is_carried)
            .map(|info| info.name);
        let streams: HashSet<StreamName> =
            live.chain(self.held.keys().cloned()).chain(self.directory.own_streams()).collect();
        streams.into_iter().for_each(|stream| self.look_at(stream));
    }

    /// Asks the directory whether this node still has the streams that it has claimed.
    fn claim_again(&mut self) {
        let is_asked = |held: &&Held| {
            matches!(held.standing, Standing::Claimed) && !self.asking.contains_key(&held.publication.stream)
        };
        let asked: Vec<_> = self.held.values().filter(is_asked).map(|held| held.publication.clone()).collect();
        asked.into_iter().for_each(|publication| self.claim(publication));
    }

    /// Compares the publisher of a stream with its claim, and asks for what is missing.
    fn look_at(&mut self, stream: StreamName) {
        if let Some(again) = self.asking.get_mut(&stream) {
            *again = true;
            return;
        }
        let live = self.media.stream(&stream).filter(|info| !info.is_carried).and_then(|info| info.publisher);
        let recorded = self.directory.own_claim(&stream);
        let Some(session) = live else {
            // A standby that is being ended may still become the live one for a moment.
            if self.held.get(&stream).is_some_and(|held| held.standing.ends_any(&self.media)) {
                return;
            }
            self.held.remove(&stream);
            // It may also be one that was given up on, and landed late.
            return recorded.into_iter().for_each(|publication| self.release(publication));
        };
        let is_known = |held: &Held| held.session == session || held.standing.is_ended(&session);
        if !self.held.get(&stream).is_some_and(is_known) {
            let publication = Publication::starting(stream.clone());
            self.held.insert(stream.clone(), Held { session, publication, standing: Standing::Provisional });
        }
        let Some(held) = self.held.get_mut(&stream) else { return };
        if matches!(held.standing, Standing::Lost(_)) {
            return;
        }
        let is_claimed = recorded.is_some_and(|recorded| recorded.nonce == held.publication.nonce);
        held.standing = if is_claimed { Standing::Claimed } else { Standing::Provisional };
        if !is_claimed && self.directory.state() != DirectoryState::Unreachable {
            let publication = held.publication.clone();
            self.claim(publication);
        }
    }

    fn claim(&mut self, publication: Publication) {
        let (directory, permits) = (Arc::clone(&self.directory), Arc::clone(&self.permits));
        self.asking.insert(publication.stream.clone(), false);
        self.answers.spawn(async move {
            let _permit = permits.acquire().await;
            let answer = Answer::Claim(directory.claim(&publication).await);
            (publication.stream, publication.nonce, answer)
        });
    }

    fn release(&mut self, publication: Publication) {
        let (directory, permits) = (Arc::clone(&self.directory), Arc::clone(&self.permits));
        self.asking.insert(publication.stream.clone(), false);
        self.answers.spawn(async move {
            let _permit = permits.acquire().await;
            let answer = Answer::Release(directory.release(&publication).await);
            (publication.stream, publication.nonce, answer)
        });
    }

    fn take(&mut self, stream: StreamName, nonce: u64, answer: Answer) {
        let again = self.asking.remove(&stream).unwrap_or_default();
        let held = self.held.get_mut(&stream).filter(|held| held.publication.nonce == nonce);
        match (answer, held) {
            (Answer::Claim(Ok(Claimed::Won { started, .. })), Some(held)) => {
                held.publication.started = started;
                held.standing = Standing::Claimed;
            }
            (Answer::Claim(Ok(Claimed::Lost(node))), Some(held)) => {
                let sessions = self.media.publishers(&stream);
                info!(%stream, %node, "another node has the stream: its publisher started later");
                held.standing = Standing::Lost(sessions.clone());
                self.note_eviction(&stream);
                end(&self.media, sessions);
            }
            (Answer::Claim(Err(error)), _) => debug!(%stream, "the stream is not claimed: {error}"),
            (Answer::Release(Err(error)), _) => debug!(%stream, "the claim is not released: {error}"),
            (Answer::Claim(Ok(_)) | Answer::Release(Ok(())), _) => {}
        }
        if again {
            self.look_at(stream);
        }
    }
}

impl Publications {
    /// Notes that the encoder of this node is replaced, unless it is silent: then it may return at once.
    fn note_eviction(&self, stream: &StreamName) {
        let encoder = self.media.publisher_identity(stream).filter(|_| self.media.is_receiving(stream));
        let (Some(calls), Some(encoder)) = (self.calls.clone(), encoder) else { return };
        let stream = stream.clone();
        tokio::spawn(async move {
            if let Err(error) = calls.evict(&stream, &encoder).await {
                debug!(%stream, "that its encoder was replaced is not noted: {error}");
            }
        });
    }
}

impl Standing {
    /// Whether the session is one that ends because another node has its stream.
    fn is_ended(&self, session: &SessionId) -> bool {
        matches!(self, Self::Lost(sessions) if sessions.contains(session))
    }

    /// Whether some of those are still open.
    fn ends_any(&self, media: &Handle) -> bool {
        matches!(self, Self::Lost(sessions) if sessions.iter().any(|session| media.lookup(session).is_some()))
    }
}

/// Says which part of their time the workers of this node are busy, and how many legs it serves, once a second.
async fn look_at_load(directory: &Directory, media: &Handle) {
    // A relay alone says so to nobody.
    let Some(metrics) = directory.metrics.get() else { return std::future::pending().await };
    let (mut before, mut at) = (metrics.busy().0, Instant::now());
    loop {
        tokio::time::sleep(LOOK).await;
        let (busy, workers) = metrics.busy();
        let possible = at.elapsed().as_secs_f64() * workers.max(1) as f64;
        directory.set_load(((busy - before) / possible) as f32);
        (before, at) = (busy, Instant::now());
        let served = media.served_legs();
        directory.set_legs(served);
        metrics.set_legs(served, directory.pulled());
    }
}

/// Ends sessions on another thread: a worker that is behind blocks the one that ends its session.
fn end(media: &Handle, sessions: Vec<SessionId>) {
    let media = media.clone();
    tokio::task::spawn_blocking(move || {
        for session in sessions {
            // One that has ended by itself is as good.
            let _ = media.end(&session, EndReason::Replaced);
        }
    });
}
