//! The event streams that are open, and the one task that sends events to them.
//!
//! Each stream with readers has one bounded channel, in which the slowest reader loses the oldest events: the newest
//! one is the current state. A media thread only wakes the task. The rules: a session gets "inactive" only if there was
//! a publisher during the session, and an event stream ends with its session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, broadcast, watch};
use tracing::debug;

use crate::metrics::{EventName, Metrics};
use crate::name::{SessionId, StreamName};
use crate::node::Handle;
use crate::session::{NodeEvent, PublisherState};
use crate::stream::Absence;

/// Event streams of one session; one more is refused.
const OF_SESSION: usize = 4;

/// Event streams of all sessions; one more is refused.
const OF_RELAY: usize = 32 * 1024;

/// Events that wait for a reader; beyond that the oldest is lost.
const QUEUE: usize = 16;

/// The turn of an event stream that is closed.
const CLOSED: u64 = u64::MAX;

/// An event for a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum PublisherEvent {
    /// Its stream has a publisher.
    Active,
    /// It has none any more.
    Inactive(Absence),
}

/// Why no further event stream is opened.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http) enum EventStreamsFull {
    /// The session has that many.
    OfSession(usize),
    /// The relay has too many.
    OfRelay,
}

/// The event stream is closed, its session has ended, or another reader has taken it over.
#[derive(Debug)]
pub(in crate::http) struct Closed;

/// All event streams. HTTP tasks write, and the task that follows the node's events.
pub(in crate::http) struct EventStreams {
    table: Mutex<Table>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Table {
    by_session: HashMap<SessionId, Vec<Arc<EventStream>>>,
    channel_by_stream: HashMap<StreamName, Channel>,
    open: usize,
}

/// Where all event streams of one stream hear what is new.
struct Channel {
    state: Option<PublisherEvent>,
    since: Instant,
    sender: broadcast::Sender<PublisherEvent>,
    listeners: usize,
}

/// One event stream.
pub(in crate::http) struct EventStream {
    key: String,
    stream: StreamName,
    wanted: Vec<EventName>,
    /// Whose turn it is to read: the newest reader's.
    turn: watch::Sender<u64>,
    queue: Arc<AsyncMutex<Queue>>,
    metrics: Arc<Metrics>,
}

/// The events that an event stream has still to send.
struct Queue {
    receiver: broadcast::Receiver<PublisherEvent>,
    /// The state when it was made, if that is to be sent.
    first: Option<PublisherEvent>,
    /// The last event: sent again to the next reader, because it may not have arrived.
    last: Option<PublisherEvent>,
    has_been_active: bool,
}

/// Reads one event stream.
pub(in crate::http) struct Reader {
    stream: Arc<EventStream>,
    turns: watch::Receiver<u64>,
    turn: u64,
    queue: Option<OwnedMutexGuard<Queue>>,
}

impl PublisherEvent {
    pub(in crate::http) fn name(self) -> EventName {
        match self {
            Self::Active => EventName::Active,
            Self::Inactive(_) => EventName::Inactive,
        }
    }

    /// The state of a stream as an event, for a session that was made at that moment: it gets no event of what was
    /// before.
    fn of(state: PublisherState, created: Option<Instant>) -> Option<Self> {
        match state {
            PublisherState::Never => None,
            PublisherState::Live => Some(Self::Active),
            PublisherState::Absent(absence, since) => {
                created.is_none_or(|created| created < since).then_some(Self::Inactive(absence))
            }
        }
    }
}

impl EventStreams {
    pub(in crate::http) fn new(metrics: Arc<Metrics>) -> Self {
        Self { table: Mutex::default(), metrics }
    }

    /// Opens an event stream for a session and returns its key.
    pub(in crate::http) fn open(
        &self,
        media: &Handle,
        session: SessionId,
        stream: &StreamName,
        wanted: Vec<EventName>,
    ) -> Result<String, EventStreamsFull> {
        let mut table = self.table();
        if table.open >= OF_RELAY {
            return Err(EventStreamsFull::OfRelay);
        }
        if table.by_session.get(&session).is_some_and(|streams| streams.len() >= OF_SESSION) {
            return Err(EventStreamsFull::OfSession(OF_SESSION));
        }
        let state = media.publisher(stream);
        let channel = table.channel_by_stream.entry(stream.clone()).or_insert_with(|| Channel {
            state: PublisherEvent::of(state, None),
            since: Instant::now(),
            sender: broadcast::Sender::new(QUEUE),
            listeners: 0,
        });
        channel.listeners += 1;
        let created = media.record(&session).map(|record| record.created);
        let known = channel.state.filter(|_| created.is_some_and(|created| created < channel.since));
        let first = PublisherEvent::of(state, created).or(known.filter(|event| *event != PublisherEvent::Active));
        let receiver = channel.sender.subscribe();
        let queue = Queue { receiver, first, last: None, has_been_active: first.is_some() };
        let key = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
        let opened = EventStream {
            key: key.clone(),
            stream: stream.clone(),
            wanted,
            turn: watch::Sender::new(0),
            queue: Arc::new(AsyncMutex::new(queue)),
            metrics: Arc::clone(&self.metrics),
        };
        table.by_session.entry(session).or_default().push(Arc::new(opened));
        table.open += 1;
        self.metrics.event_streams.inc();
        debug!(%session, %stream, "event stream opened");
        Ok(key)
    }

    /// The event stream of a session with this key.
    pub(in crate::http) fn find(&self, session: &SessionId, key: &str) -> Option<Arc<EventStream>> {
        self.table().by_session.get(session)?.iter().find(|stream| stream.key == key).cloned()
    }

    /// Closes one; false when there is none.
    pub(in crate::http) fn close(&self, session: &SessionId, key: &str) -> bool {
        let mut table = self.table();
        let Some(streams) = table.by_session.get_mut(session) else { return false };
        let Some(place) = streams.iter().position(|stream| stream.key == key) else { return false };
        let closed = streams.swap_remove(place);
        if streams.is_empty() {
            table.by_session.remove(session);
        }
        self.forget(&mut table, session, &closed);
        true
    }

    /// Closes all of a session that has ended.
    pub(in crate::http) fn end_session(&self, session: &SessionId) {
        let mut table = self.table();
        for closed in table.by_session.remove(session).unwrap_or_default() {
            self.forget(&mut table, session, &closed);
        }
    }

    /// Tells listeners what happens, for ever.
    pub(in crate::http) async fn follow(&self, media: &Handle, mut events: broadcast::Receiver<NodeEvent>) {
        loop {
            match events.recv().await {
                Ok(NodeEvent::SessionEnded { session }) => self.end_session(&session),
                Ok(NodeEvent::Published { stream }) => self.look_at(media, &stream, Absence::Lost),
                Ok(NodeEvent::Unpublished { stream, absence }) => self.look_at(media, &stream, absence),
                Err(RecvError::Lagged(_)) => self.look_at_everything(media),
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Tells a stream's listeners what is true now, if that is news.
    fn look_at(&self, media: &Handle, stream: &StreamName, absence: Absence) {
        let mut table = self.table();
        let Some(channel) = table.channel_by_stream.get_mut(stream) else { return };
        channel.tell(media.publisher(stream), absence);
    }

    /// Some events were missed.
    fn look_at_everything(&self, media: &Handle) {
        let mut table = self.table();
        for (stream, channel) in &mut table.channel_by_stream {
            channel.tell(media.publisher(stream), Absence::Lost);
        }
        let ended: Vec<_> = table.by_session.keys().filter(|id| media.lookup(id).is_none()).copied().collect();
        drop(table);
        ended.iter().for_each(|session| self.end_session(session));
    }

    fn forget(&self, table: &mut Table, session: &SessionId, closed: &EventStream) {
        closed.turn.send_replace(CLOSED);
        table.open -= 1;
        self.metrics.event_streams.dec();
        debug!(%session, stream = %closed.stream, "event stream closed");
        let Some(channel) = table.channel_by_stream.get_mut(&closed.stream) else { return };
        channel.listeners -= 1;
        if channel.listeners == 0 {
            table.channel_by_stream.remove(&closed.stream);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channel {
    /// Sends the state of now if it is new; `absence` is how the publisher left, if the state does not say so any more.
    fn tell(&mut self, state: PublisherState, absence: Absence) {
        let left =
            self.state.filter(|before| *before == PublisherEvent::Active).map(|_| PublisherEvent::Inactive(absence));
        let Some(event) = PublisherEvent::of(state, None).or(left).filter(|event| Some(*event) != self.state) else {
            return;
        };
        (self.state, self.since) = (Some(event), Instant::now());
        // An error means that there is no reader.
        let _ = self.sender.send(event);
    }
}

impl Queue {
    /// The next event; waits for it.
    async fn next(&mut self) -> Result<PublisherEvent, Closed> {
        loop {
            let event = match self.first.take() {
                Some(event) => event,
                None => match self.receiver.recv().await {
                    Ok(event) => event,
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return Err(Closed),
                },
            };
            self.has_been_active |= event == PublisherEvent::Active;
            if self.has_been_active && self.last != Some(event) {
                self.last = Some(event);
                return Ok(event);
            }
        }
    }
}

impl Reader {
    /// Takes the turn from the present reader.
    pub(in crate::http) fn new(stream: Arc<EventStream>) -> Self {
        let mut turn = CLOSED;
        stream.turn.send_if_modified(|now| {
            let is_open = *now != CLOSED;
            *now += u64::from(is_open);
            turn = *now;
            is_open
        });
        Self { turns: stream.turn.subscribe(), stream, turn, queue: None }
    }

    /// The next event; waits for it.
    ///
    /// # Errors
    /// [`Closed`] when there will be no other.
    pub(in crate::http) async fn next(&mut self) -> Result<PublisherEvent, Closed> {
        if self.turn == CLOSED {
            return Err(Closed);
        }
        let Self { stream, turns, turn, queue } = self;
        tokio::select! {
            biased;
            _ = turns.wait_for(|now| now != turn) => Err(Closed),
            event = read(stream, queue) => event,
        }
    }
}

/// The next event that a viewer wants.
async fn read(stream: &EventStream, held: &mut Option<OwnedMutexGuard<Queue>>) -> Result<PublisherEvent, Closed> {
    let queue = match held {
        Some(queue) => queue,
        None => {
            let mut queue = Arc::clone(&stream.queue).lock_owned().await;
            // The reader before may have lost it on the way.
            if queue.first.is_none() {
                queue.first = queue.last.take();
            }
            held.insert(queue)
        }
    };
    loop {
        let event = queue.next().await?;
        if stream.wanted.contains(&event.name()) {
            stream.metrics.events[event.name()].inc();
            return Ok(event);
        }
    }
}
