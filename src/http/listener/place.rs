//! A connection's place: reports of its task, its socket and its requests to [`Places`], and the signal to close.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::{Notify, watch};
use tokio::time::error::Elapsed;

use super::limits::Limits;
use super::places::{Id, Idle, Kind, Places, PlacesFull};
use crate::http::error::Problem;
use crate::metrics::{Closing, ConnectionKind, Metrics, NoPlace};
use crate::session::ClientGroup;

/// When to try again after there was no place.
const NO_PLACE_RETRY: Duration = Duration::from_secs(2);
const NOT_LISTENED: Problem = Problem::Unavailable {
    detail: "event streams need a connection to the relay's listener: connect to it directly",
    retry_after: NO_PLACE_RETRY,
};

/// The places of one listener, with the signal that closes each connection.
#[derive(Debug)]
pub(super) struct Entrance {
    taken: Mutex<Taken>,
    pub(super) metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Taken {
    places: Places,
    cuts: HashMap<Id, Arc<Notify>>,
}

impl Entrance {
    pub(super) fn new(limits: Limits, metrics: Arc<Metrics>) -> Arc<Self> {
        let taken = Mutex::new(Taken { places: Places::new(limits), cuts: HashMap::new() });
        Arc::new(Self { taken, metrics })
    }

    /// Gives a connection that was just accepted a place; `client` is `None` for a trusted proxy, and `waits` is what the
    /// relay waits for first.
    pub(super) fn enter(self: &Arc<Self>, client: Option<ClientGroup>, waits: Idle) -> Place {
        let mut taken = self.taken();
        let entered = taken.places.enter(client, waits, Instant::now());
        self.cut(&mut taken, entered.ousted);
        let cut = Arc::new(Notify::new());
        taken.cuts.insert(entered.id, Arc::clone(&cut));
        self.metrics.http_connections[shown(entered.kind)].inc();
        Place(Arc::new(Held {
            entrance: Arc::clone(self),
            id: entered.id,
            kind: Mutex::new(entered.kind),
            cut,
            has_answered: AtomicBool::new(false),
            was_served: AtomicBool::new(false),
            has_left_body: AtomicBool::new(false),
            pipelined: AtomicU32::new(0),
        }))
    }

    /// Closes the oldest idle connection, because the process may not open another file.
    pub(super) fn make_way(&self) {
        let mut taken = self.taken();
        let ousted = taken.places.make_way(Instant::now());
        self.cut(&mut taken, ousted);
    }

    fn cut(&self, taken: &mut Taken, ousted: Option<Id>) {
        if let Some(cut) = ousted.and_then(|id| taken.cuts.remove(&id)) {
            self.metrics.http_closed[Closing::MadeWay].inc();
            cut.notify_one();
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place; given back when the last clone is gone. A request finds the one that it came by in its
/// extensions.
#[derive(Clone, Debug)]
pub(in crate::http) struct Place(Arc<Held>);

#[derive(Debug)]
struct Held {
    entrance: Arc<Entrance>,
    id: Id,
    kind: Mutex<Kind>,
    cut: Arc<Notify>,
    /// The answer is complete, but may not have been written yet.
    has_answered: AtomicBool,
    was_served: AtomicBool,
    /// A request was answered although its body was not complete.
    has_left_body: AtomicBool,
    /// Requests since the last pause.
    pipelined: AtomicU32,
}

impl Place {
    /// Counts the connection as an event stream from now on. It has no age limit then and closes with its answer; the
    /// deadline for a client that does not read remains.
    ///
    /// # Errors
    /// A 503 if there are too many event streams, in total or of this client.
    pub(in crate::http) fn hold_open(&self) -> Result<(), Problem> {
        if !self.taken().places.hold_open(self.0.id) {
            self.0.entrance.metrics.http_refused[NoPlace::EventStreams].inc();
            let detail = "too many event streams are open: close some, or do without";
            return Err(Problem::Unavailable { detail, retry_after: NO_PLACE_RETRY });
        }
        let former = std::mem::replace(&mut *self.kind_mut(), Kind::EventStream);
        self.0.entrance.metrics.http_connections[shown(former)].dec();
        self.0.entrance.metrics.http_connections[ConnectionKind::EventStream].inc();
        Ok(())
    }

    /// A trusted proxy makes a request for this client.
    ///
    /// # Errors
    /// A 429 if that client has its share of connections.
    pub(in crate::http) fn ask_for(&self, client: ClientGroup) -> Result<(), Problem> {
        if self.taken().places.ask_for(self.0.id, Some(client)) {
            return Ok(());
        }
        self.0.entrance.metrics.http_refused[NoPlace::Client].inc();
        Err(refusal(PlacesFull::Client))
    }

    /// Another node makes requests on the connection, for many clients: it counts for none of them.
    pub(in crate::http) fn serve_node(&self) {
        self.taken().places.ask_for(self.0.id, None);
    }

    pub(super) fn kind(&self) -> Kind {
        *self.kind_mut()
    }

    /// Completes when the connection is to close at once.
    pub(super) async fn cut(&self) {
        self.0.cut.notified().await;
    }

    /// Runs a step that comes before the first request, such as the TLS handshake. `None` if the connection is to close
    /// at once, or the relay stops.
    ///
    /// # Errors
    /// [`Elapsed`] if the step is not complete by its deadline.
    pub(super) async fn within<T>(
        &self,
        deadline: Duration,
        stopped: &mut watch::Receiver<()>,
        step: impl Future<Output = T>,
    ) -> Option<Result<T, Elapsed>> {
        tokio::select! {
            outcome = tokio::time::timeout(deadline, step) => Some(outcome),
            () = self.cut() => None,
            _ = stopped.changed() => None,
        }
    }

    /// A request has arrived. Returns the number of requests since the last pause, this one included.
    pub(super) fn begin(&self) -> u32 {
        self.taken().places.busy(self.0.id);
        self.0.has_answered.store(false, Ordering::Relaxed);
        self.0.pipelined.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A connection in a reserved place requested health or metrics.
    pub(super) fn serve_reserved(&self) {
        self.0.was_served.store(true, Ordering::Relaxed);
    }

    /// The rest of a request's body is left unread: where it ends is not known, so no other request can follow it.
    pub(super) fn leave_body(&self) {
        self.0.has_left_body.store(true, Ordering::Relaxed);
    }

    pub(super) fn left_body(&self) -> bool {
        self.0.has_left_body.load(Ordering::Relaxed)
    }

    /// The socket has nothing more to read for now.
    pub(super) fn pause(&self) {
        self.0.pipelined.store(0, Ordering::Relaxed);
    }

    /// The answer is complete.
    pub(super) fn finish(&self) {
        self.0.has_answered.store(true, Ordering::Relaxed);
    }

    /// Everything is written to the socket.
    pub(super) fn flushed(&self, is_proxy: bool) {
        if self.0.has_answered.swap(false, Ordering::Relaxed) {
            let mut taken = self.taken();
            if is_proxy {
                taken.places.ask_for(self.0.id, None);
            }
            taken.places.idle(self.0.id, Idle::Waiting, Instant::now());
        }
    }

    /// The relay waits for the client.
    pub(super) fn idle(&self, why: Idle) {
        self.taken().places.idle(self.0.id, why, Instant::now());
    }

    /// The relay does not wait for the client.
    pub(super) fn busy(&self) {
        self.taken().places.busy(self.0.id);
    }

    pub(super) fn closes(&self, why: Closing) {
        self.0.entrance.metrics.http_closed[why].inc();
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.entrance.taken()
    }

    fn kind_mut(&self) -> MutexGuard<'_, Kind> {
        self.0.kind.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Sync> FromRequestParts<S> for Place {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or(NOT_LISTENED)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut taken = self.entrance.taken();
        taken.places.leave(self.id);
        taken.cuts.remove(&self.id);
        drop(taken);
        let kind = *self.kind.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.entrance.metrics.http_connections[shown(kind)].dec();
        if let Kind::Reserved(full) = kind
            && !*self.was_served.get_mut()
        {
            let refusal = if full == PlacesFull::Relay { NoPlace::Relay } else { NoPlace::Client };
            self.entrance.metrics.http_refused[refusal].inc();
        }
    }
}

/// The refusal of a client without a place.
pub(super) fn refusal(full: PlacesFull) -> Problem {
    let retry_after = NO_PLACE_RETRY;
    match full {
        PlacesFull::Relay => {
            Problem::Unavailable { detail: "too many connections to this relay: try again", retry_after }
        }
        PlacesFull::Client => {
            Problem::TooMany { by: "at a time from this address: close some connections", retry_after }
        }
    }
}

fn shown(kind: Kind) -> ConnectionKind {
    match kind {
        Kind::Request => ConnectionKind::Request,
        Kind::Reserved(_) => ConnectionKind::Reserved,
        Kind::EventStream => ConnectionKind::EventStream,
    }
}
