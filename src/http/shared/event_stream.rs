//! One event stream of a viewer, and its reader.
//!
//! Whether there is a publisher comes as events in a bounded channel, in which a slow reader loses the oldest ones.
//! What changes often, the layers and the number of viewers, comes as a state of which only the newest is kept. The
//! rules: a session gets "inactive" only if there was a publisher during the session, and a new reader gets again what
//! the one before may not have received.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, broadcast, watch};

use crate::metrics::{EventName, Metrics};
use crate::name::StreamName;
use crate::session::PublisherState;
use crate::stream::Absence;

/// The turn of an event stream that is closed.
const CLOSED: u64 = u64::MAX;

/// Whether a stream has a publisher, as an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum PublisherEvent {
    /// It has one.
    Active,
    /// It has none any more.
    Inactive(Absence),
}

/// What changes often of a stream, as its viewers get it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct StreamState {
    /// Its layers, in JSON; `None` until it has had some.
    pub(in crate::http) layers: Option<Arc<str>>,
    /// Its connected viewers; `None` until they are counted.
    pub(in crate::http) viewers: Option<usize>,
}

/// An event for a viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum ViewerEvent {
    /// Whether there is a publisher.
    Publisher(PublisherEvent),
    /// The layers of the video section at this place among the `m=` lines, in JSON.
    Layers(usize, Arc<str>),
    /// The number of viewers.
    ViewerCount(usize),
    /// Where the viewer finds the stream from now on.
    Reconnect(Arc<str>),
}

/// The event stream is closed, its session has ended, or another reader has taken it over.
#[derive(Debug)]
pub(in crate::http) struct Closed;

/// What an event stream is made of.
pub(super) struct Opening {
    pub(super) key: String,
    pub(super) stream: StreamName,
    pub(super) wanted: Vec<EventName>,
    /// The place of the session's video section among the `m=` lines.
    pub(super) video: Option<usize>,
    pub(super) events: broadcast::Receiver<PublisherEvent>,
    pub(super) state: watch::Receiver<StreamState>,
    /// Whether there is a publisher at that moment, if that is to be sent.
    pub(super) first: Option<PublisherEvent>,
}

/// One event stream.
pub(in crate::http) struct EventStream {
    pub(super) key: String,
    pub(in crate::http) stream: StreamName,
    wanted: Vec<EventName>,
    video: Option<usize>,
    /// Where the viewer is to go, once it is.
    elsewhere: watch::Sender<Option<Arc<str>>>,
    /// Whose turn it is to read: the newest reader's.
    turn: watch::Sender<u64>,
    queue: Arc<AsyncMutex<Queue>>,
    metrics: Arc<Metrics>,
}

/// The events that an event stream has still to send.
struct Queue {
    events: broadcast::Receiver<PublisherEvent>,
    state: watch::Receiver<StreamState>,
    /// Whether there was a publisher when it was made, if that is to be sent.
    first: Option<PublisherEvent>,
    /// The last of these events.
    last: Option<PublisherEvent>,
    /// The last state that was sent.
    sent: StreamState,
    elsewhere: watch::Receiver<Option<Arc<str>>>,
    /// Where the viewer was told to go.
    told: Option<Arc<str>>,
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
    fn name(self) -> EventName {
        match self {
            Self::Active => EventName::Active,
            Self::Inactive(_) => EventName::Inactive,
        }
    }

    /// The state of a stream as an event, for a session that was made at that moment: events from before it are left
    /// out.
    pub(super) fn of(state: PublisherState, created: Option<Instant>) -> Option<Self> {
        match state {
            PublisherState::Never => None,
            PublisherState::Live => Some(Self::Active),
            PublisherState::Absent(absence, since) => {
                created.is_none_or(|created| created < since).then_some(Self::Inactive(absence))
            }
        }
    }
}

impl ViewerEvent {
    pub(in crate::http) fn name(&self) -> EventName {
        match self {
            Self::Publisher(event) => event.name(),
            Self::Layers(..) => EventName::Layers,
            Self::ViewerCount(_) => EventName::ViewerCount,
            Self::Reconnect(_) => EventName::Reconnect,
        }
    }
}

impl EventStream {
    pub(super) fn new(opening: Opening, metrics: Arc<Metrics>) -> Self {
        let Opening { key, stream, wanted, video, events, state, first } = opening;
        let (sent, has_been_active) = (StreamState::default(), first.is_some());
        let elsewhere = watch::Sender::default();
        let followed = elsewhere.subscribe();
        let queue = Queue { events, state, first, last: None, sent, elsewhere: followed, told: None, has_been_active };
        let (turn, queue) = (watch::Sender::new(0), Arc::new(AsyncMutex::new(queue)));
        Self { key, stream, wanted, video, elsewhere, turn, queue, metrics }
    }

    /// Ends it for its reader and for all later ones.
    pub(super) fn close(&self) {
        self.turn.send_replace(CLOSED);
    }

    /// Tells the viewer where to begin another session.
    pub(in crate::http) fn reconnect(&self, url: &str) {
        self.elsewhere.send_replace(Some(url.into()));
    }

    fn wants(&self, event: EventName) -> bool {
        self.wanted.contains(&event)
    }
}

impl Queue {
    /// The next event that this event stream sends; waits for it.
    async fn next(&mut self, of: &EventStream) -> Result<ViewerEvent, Closed> {
        loop {
            if let Some(event) = self.first.take()
                && let Some(news) = self.take(event, of)
            {
                return Ok(news);
            }
            if let Some(news) = self.take_elsewhere(of).or_else(|| self.take_state(of)) {
                return Ok(news);
            }
            let follows_state = of.wants(EventName::Layers) || of.wants(EventName::ViewerCount);
            tokio::select! {
                biased;
                event = self.events.recv() => match event {
                    Ok(event) => self.first = Some(event),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Err(Closed),
                },
                changed = self.elsewhere.changed() => changed.map_err(|_| Closed)?,
                changed = self.state.changed(), if follows_state => changed.map_err(|_| Closed)?,
            }
        }
    }

    /// This event, if it is new and this event stream sends it.
    fn take(&mut self, event: PublisherEvent, of: &EventStream) -> Option<ViewerEvent> {
        self.has_been_active |= event == PublisherEvent::Active;
        if !self.has_been_active || self.last == Some(event) {
            return None;
        }
        self.last = Some(event);
        of.wants(event.name()).then_some(ViewerEvent::Publisher(event))
    }

    /// Where the viewer is to go, if that is new and this event stream sends it.
    fn take_elsewhere(&mut self, of: &EventStream) -> Option<ViewerEvent> {
        let now = self.elsewhere.borrow_and_update().clone();
        if now == self.told || !of.wants(EventName::Reconnect) {
            return None;
        }
        self.told = now;
        self.told.clone().map(ViewerEvent::Reconnect)
    }

    /// What has changed in the state, if this event stream sends it.
    fn take_state(&mut self, of: &EventStream) -> Option<ViewerEvent> {
        let now = self.state.borrow_and_update().clone();
        if let (Some(place), Some(layers)) = (of.video.filter(|_| of.wants(EventName::Layers)), &now.layers)
            && self.sent.layers != now.layers
        {
            self.sent.layers = Some(Arc::clone(layers));
            return Some(ViewerEvent::Layers(place, Arc::clone(layers)));
        }
        if self.sent.viewers != now.viewers && of.wants(EventName::ViewerCount) {
            self.sent.viewers = now.viewers;
            return now.viewers.map(ViewerEvent::ViewerCount);
        }
        None
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
    pub(in crate::http) async fn next(&mut self) -> Result<ViewerEvent, Closed> {
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
async fn read(stream: &EventStream, held: &mut Option<OwnedMutexGuard<Queue>>) -> Result<ViewerEvent, Closed> {
    let queue = match held {
        Some(queue) => queue,
        None => {
            let mut queue = Arc::clone(&stream.queue).lock_owned().await;
            // The reader before may have lost them on the way.
            if queue.first.is_none() {
                queue.first = queue.last.take();
            }
            (queue.sent, queue.told) = (StreamState::default(), None);
            held.insert(queue)
        }
    };
    let event = queue.next(stream).await?;
    stream.metrics.events[event.name()].inc();
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Label as _;

    struct Scene {
        events: broadcast::Sender<PublisherEvent>,
        state: watch::Sender<StreamState>,
        stream: Arc<EventStream>,
    }

    fn scene(wanted: &[EventName], first: Option<PublisherEvent>) -> Scene {
        let (events, state) = (broadcast::Sender::new(2), watch::Sender::default());
        let opening = Opening {
            key: "key".to_owned(),
            stream: "cam".parse().unwrap(),
            wanted: wanted.to_vec(),
            video: Some(1),
            events: events.subscribe(),
            state: state.subscribe(),
            first,
        };
        let stream = Arc::new(EventStream::new(opening, Arc::new(Metrics::new())));
        Scene { events, state, stream }
    }

    impl Scene {
        /// The queue reports the state from now on.
        fn tell(&self, layers: &str, viewers: usize) {
            self.state.send_replace(StreamState { layers: Some(layers.into()), viewers: Some(viewers) });
        }
    }

    /// The events that can be read at once.
    async fn ready(reader: &mut Reader) -> Vec<ViewerEvent> {
        let mut events = Vec::new();
        while let Some(event) = std::future::poll_fn(|context| {
            let next = std::pin::pin!(reader.next());
            std::task::Poll::Ready(match next.poll(context) {
                std::task::Poll::Ready(event) => event.ok(),
                std::task::Poll::Pending => None,
            })
        })
        .await
        {
            events.push(event);
        }
        events
    }

    #[tokio::test]
    async fn of_a_state_that_changes_often_only_the_newest_is_sent() {
        let scene = scene(&[EventName::Layers, EventName::ViewerCount], None);
        let mut reader = Reader::new(Arc::clone(&scene.stream));
        assert_eq!(ready(&mut reader).await, []);
        scene.tell("a", 1);
        scene.tell("b", 2);
        let expected = [ViewerEvent::Layers(1, "b".into()), ViewerEvent::ViewerCount(2)];
        assert_eq!(ready(&mut reader).await, expected);
        scene.tell("b", 3);
        assert_eq!(ready(&mut reader).await, [ViewerEvent::ViewerCount(3)]);
        scene.tell("b", 3);
        assert_eq!(ready(&mut reader).await, [], "nothing is new");
        let mut second = Reader::new(Arc::clone(&scene.stream));
        assert_eq!(ready(&mut reader).await, []);
        drop(reader);
        assert_eq!(ready(&mut second).await.len(), 2, "a new reader gets all of it");
    }

    #[tokio::test]
    async fn a_viewer_is_told_once_to_reconnect_and_a_new_reader_again() {
        let scene = scene(&[EventName::Reconnect], Some(PublisherEvent::Active));
        let mut reader = Reader::new(Arc::clone(&scene.stream));
        assert_eq!(ready(&mut reader).await, []);
        scene.stream.reconnect("/whep/cam");
        scene.stream.reconnect("/whep/cam");
        assert_eq!(ready(&mut reader).await, [ViewerEvent::Reconnect("/whep/cam".into())]);
        drop(reader);
        let mut second = Reader::new(Arc::clone(&scene.stream));
        assert_eq!(ready(&mut second).await.len(), 1);
    }

    #[tokio::test]
    async fn only_what_the_viewer_wants_is_sent() {
        let scene = scene(&[EventName::ViewerCount], Some(PublisherEvent::Active));
        let mut reader = Reader::new(Arc::clone(&scene.stream));
        scene.tell("a", 1);
        scene.stream.reconnect("/whep/cam");
        assert_eq!(ready(&mut reader).await, [ViewerEvent::ViewerCount(1)]);
    }

    #[tokio::test]
    async fn a_slow_reader_loses_the_oldest_events_of_the_publisher_and_none_is_sent_twice() {
        let scene = scene(EventName::ALL, None);
        let mut reader = Reader::new(Arc::clone(&scene.stream));
        let ended = PublisherEvent::Inactive(Absence::Ended);
        let _ = scene.events.send(ended);
        assert_eq!(ready(&mut reader).await, [], "there was no publisher");
        for event in [PublisherEvent::Active, PublisherEvent::Active, ended, PublisherEvent::Active] {
            let _ = scene.events.send(event);
        }
        let expected = [ended, PublisherEvent::Active].map(ViewerEvent::Publisher);
        assert_eq!(ready(&mut reader).await, expected[1..], "the first was lost, so the second reports nothing");
    }
}
