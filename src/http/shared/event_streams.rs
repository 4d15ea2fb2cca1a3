//! The event streams that are open, and the one task that sends events to them.
//!
//! Each stream with readers has one bounded channel, in which the slowest reader loses the oldest events: the newest
//! one is the current state. A media thread only wakes the task. Layers and the number of viewers are looked at once a
//! second, so that they cost media threads nothing. The rule: an event stream ends with its session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use super::event_stream::{EventStream, Opening, PublisherEvent, StreamState};
use super::stream_layers::StreamLayers;
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

/// How often layers and viewers are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How often viewers get the rates of layers if nothing else has changed.
const REFRESH: Duration = Duration::from_secs(5);

/// Why no further event stream is opened.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http) enum EventStreamsFull {
    /// The session has that many.
    OfSession(usize),
    /// The relay has too many.
    OfRelay,
}

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
    news: watch::Sender<StreamState>,
    /// The layers that were sent last, and when.
    layers: (StreamLayers, Instant),
    listeners: usize,
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
            news: watch::Sender::default(),
            layers: (StreamLayers::default(), Instant::now()),
            listeners: 0,
        });
        if channel.listeners == 0 {
            channel.look(media, stream, Instant::now());
        }
        channel.listeners += 1;
        let record = media.record(&session);
        let created = record.as_ref().map(|record| record.created);
        let known = channel.state.filter(|_| created.is_some_and(|created| created < channel.since));
        let first = PublisherEvent::of(state, created).or(known.filter(|event| *event != PublisherEvent::Active));
        let key = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
        let opening = Opening {
            key: key.clone(),
            stream: stream.clone(),
            wanted,
            video: record.and_then(|record| record.video.as_ref().map(|section| section.place)),
            events: channel.sender.subscribe(),
            state: channel.news.subscribe(),
            first,
        };
        let opened = EventStream::new(opening, Arc::clone(&self.metrics));
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

    /// All that are open.
    pub(in crate::http) fn all(&self) -> Vec<Arc<EventStream>> {
        self.table().by_session.values().flatten().cloned().collect()
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

    /// Sends what happens to the readers of event streams; never returns.
    pub(in crate::http) async fn follow(&self, media: &Handle, mut events: broadcast::Receiver<NodeEvent>) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                _ = looks.tick() => {
                    self.look(media);
                    continue;
                }
            };
            match event {
                Ok(NodeEvent::SessionEnded { session }) => self.end_session(&session),
                Ok(NodeEvent::Published { stream }) => self.look_at(media, &stream, Absence::Lost),
                Ok(NodeEvent::Unpublished { stream, absence }) => self.look_at(media, &stream, absence),
                Err(RecvError::Lagged(_)) => self.look_at_everything(media),
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Sends the state of a stream to its readers, if it has changed.
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

    /// Looks at what changes often.
    fn look(&self, media: &Handle) {
        let now = Instant::now();
        for (stream, channel) in &mut self.table().channel_by_stream {
            channel.look(media, stream, now);
        }
    }

    fn forget(&self, table: &mut Table, session: &SessionId, closed: &EventStream) {
        closed.close();
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

    /// Sends what has changed of the layers and of the number of viewers.
    fn look(&mut self, media: &Handle, stream: &StreamName, now: Instant) {
        let layers = StreamLayers::of(media, stream);
        let (sent, since) = &self.layers;
        let is_due = !layers.is_alike(sent) || (layers != *sent && now.saturating_duration_since(*since) >= REFRESH);
        let text = is_due.then(|| Arc::from(layers.to_json().to_string()));
        let viewers = Some(media.stream(stream).map_or(0, |info| info.viewers));
        self.news.send_if_modified(|state| {
            let is_changed = text.is_some() || state.viewers != viewers;
            state.layers = text.or(state.layers.take());
            state.viewers = viewers;
            is_changed
        });
        if is_due {
            self.layers = (layers, now);
        }
    }
}
