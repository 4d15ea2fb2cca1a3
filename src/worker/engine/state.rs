//! A worker without its thread: told the time and the bytes, it answers with values.
//!
//! It owns its sessions and everything of theirs; what other workers and HTTP want comes as messages. A panic in the
//! work for one session ends that session only.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::timers::Timers;
use crate::demux::{Demultiplexed, Demux, Event as DemuxEvent, Key};
use crate::five_tuple::FiveTuple;
use crate::metrics::{DropReason, End as Reason};
use crate::name::StreamName;
use crate::reason::Drop;
use crate::session::pending_sessions::Found;
use crate::stream::{Inbox, WorkerId};
use crate::worker::liveness::Heartbeat;
use crate::worker::mailbox::UnsentCommands;
use crate::worker::message::Message;
use crate::worker::net::batch::{Batch, Outbox, Sent};
use crate::worker::net::handed_over::HandedOverPaths;
use crate::worker::session::end_waiting;
use crate::worker::session_report::Sampler;
use crate::worker::sessions::Sessions;
use crate::worker::shared::Shared;
use crate::worker::stats::counters::Counters;
use crate::worker::viewing::stream_feed::StreamFeeds;

/// How often the pending sessions is looked through for sessions that never came.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// While the socket is blocked, refused runs are looked at this often, for their age.
const BLOCKED_INTERVAL: Duration = Duration::from_millis(20);

/// Small datagrams (STUN, DTLS, RTCP) that wait for the socket; beyond that they are lost as on the network.
const MAX_TRANSMITS: usize = 16 * 1024;

/// One worker's state.
pub(crate) struct Engine {
    pub(crate) id: WorkerId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) heartbeat: Arc<Heartbeat>,
    pub(crate) demux: Demux,
    pub(crate) sessions: Sessions,
    pub(crate) publisher_by_stream: HashMap<StreamName, Key>,
    pub(crate) feeds: StreamFeeds,
    pub(crate) handed_over_paths: HandedOverPaths,
    pub(crate) timers: Timers,
    /// Viewers that are to be served at a time of their own.
    pub(crate) turns: Timers,
    /// Those of them whose time has come.
    due: Vec<Key>,
    /// Publishers with packets that have not been pushed yet.
    pub(crate) unflushed: Vec<Key>,
    /// Viewers whose NACKs wait for an answer.
    pub(crate) pending_nacks: Vec<Key>,
    pub(crate) batch: Batch,
    pub(crate) transmits: VecDeque<(FiveTuple, Vec<u8>)>,
    pub(crate) waiting: UnsentCommands,
    pub(crate) counters: Counters,
    next_sweep: Instant,
    pub(crate) sampler: Sampler,
    blocked_until: Option<Instant>,
    /// When the kernel is to be told whose datagrams come here.
    pub(crate) steers_at: Option<Instant>,
    stopped: bool,
}

/// What is left after a serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Everybody has everything.
    Idle,
    /// The time was up before everybody was served.
    More,
    /// The socket takes nothing now.
    Blocked,
}

impl Engine {
    pub(crate) fn new(id: WorkerId, shared: Arc<Shared>, now: Instant) -> Self {
        let counters = Counters::new(shared.metrics.clone());
        let feeds = StreamFeeds::new(shared.config.history_limits());
        Self {
            id,
            heartbeat: Arc::clone(&shared.heartbeats[usize::from(id.0)]),
            shared,
            demux: Demux::new(rand::random()),
            sessions: Sessions::default(),
            publisher_by_stream: HashMap::new(),
            feeds,
            handed_over_paths: HandedOverPaths::default(),
            timers: Timers::default(),
            turns: Timers::default(),
            due: Vec::new(),
            unflushed: Vec::new(),
            pending_nacks: Vec::new(),
            batch: Batch::default(),
            transmits: VecDeque::new(),
            waiting: UnsentCommands::default(),
            counters,
            // A relay that nobody has reached yet gives up sessions too, so the clock does not wait for a first datagram.
            next_sweep: now + SWEEP_INTERVAL,
            sampler: Sampler::default(),
            blocked_until: None,
            steers_at: None,
            stopped: false,
        }
    }

    /// Takes one datagram from the socket; `received` is when the kernel got it.
    pub(crate) fn handle_datagram(&mut self, path: FiveTuple, datagram: &mut [u8], received: Instant, now: Instant) {
        self.handle_arrival(path, datagram, received, now, false);
    }

    /// Takes a datagram; `handed` over by another worker if that found it to be better placed here.
    fn handle_arrival(&mut self, path: FiveTuple, datagram: &mut [u8], received: Instant, now: Instant, handed: bool) {
        let mut arrival = self.demux.handle_datagram(path, datagram, now);
        if let Demultiplexed::UnknownUfrag { ufrag } = &arrival {
            if !handed && let Some(home) = self.home_of(ufrag).filter(|home| *home != self.id) {
                return self.hand_over(home, path, datagram, received, now);
            }
            match self.shared.pending_sessions.take(ufrag, self.id) {
                Found::Session(waiting) => {
                    self.adopt(*waiting, now);
                    arrival = self.demux.handle_datagram(path, datagram, now);
                }
                Found::Owned(worker) if worker != self.id => {
                    return self.hand_over(worker, path, datagram, received, now);
                }
                Found::Owned(_) | Found::Unknown => return self.counters.drop(DropReason::UnknownUfrag),
            }
        }
        match arrival {
            Demultiplexed::Rtp(key) => self.guard(key, now, |engine| engine.on_rtp(key, path, datagram, received, now)),
            Demultiplexed::Rtcp(key) => self.guard(key, now, |engine| engine.on_rtcp(key, path, datagram, now)),
            Demultiplexed::Dtls { key, datagram: whole, clear } => {
                self.counters.drops(DropReason::ClearDtls, u64::from(clear));
                let datagram = whole.as_deref().unwrap_or(datagram);
                self.guard(key, now, |engine| engine.on_dtls(key, datagram, now));
            }
            Demultiplexed::ClientHello { key, profiles, datagram } => {
                self.guard(key, now, |engine| engine.on_client_hello(key, profiles, &datagram, now));
            }
            Demultiplexed::Opened(key) => self.guard(key, now, |engine| engine.on_opened(key, now)),
            Demultiplexed::Answered => self.on_check(path, now),
            Demultiplexed::Held => {}
            Demultiplexed::UnknownUfrag { .. } => self.counters.drop(DropReason::UnknownUfrag),
            // An answer to a check names nobody, so it is known by its path like DTLS and media.
            Demultiplexed::Foreign | Demultiplexed::Dropped(Drop::StunUnexpected) => {
                match self.handed_over_paths.owner(&path) {
                    Some(worker) => self.hand_over(worker, path, datagram, received, now),
                    None => self.counters.drop(DropReason::UnknownPath),
                }
            }
            Demultiplexed::Dropped(drop) => self.counters.drop_at_door(drop),
        }
        self.take_door_output(now);
    }

    /// Takes one message from the inbox.
    pub(crate) fn handle_message(&mut self, message: Message, now: Instant) {
        match message {
            Message::Media(published) => self.on_media(&published),
            Message::Subscribed(subscribed) => self.on_subscribed(*subscribed, now),
            Message::Clock { stream, epoch, kind, clock } => self.on_clock(&stream, epoch, kind, clock, now),
            Message::KeyframeResponsive { stream, epoch, kind, keyframe_responsive } => {
                self.on_obeys(&stream, epoch, kind, keyframe_responsive)
            }
            Message::GiveUpPictures { stream, epoch } => self.on_give_up_pictures(&stream, epoch, now),
            Message::Channel { stream, epoch, channel } => self.on_published_channel(&stream, epoch, channel, now),
            Message::DataFromPublisher { stream, epoch, label, message } => {
                self.on_data_from_publisher(&stream, epoch, &label, &message, now)
            }
            Message::DataFromViewer { stream, label, message } => {
                self.on_data_from_viewer(&stream, &label, &message, now)
            }
            Message::Unpublished { stream, epoch } => self.on_unpublished(&stream, epoch, now),
            Message::Lost { stream, epoch, lost } => self.on_lost(&stream, epoch, lost, now),
            Message::Subscribe { stream, worker } => self.on_subscribe(&stream, worker),
            Message::Unsubscribe { stream, worker } => self.on_unsubscribe(&stream, worker),
            Message::Demand { stream } => self.on_demand(&stream, now),
            Message::Datagram { path, mut datagram, received } => {
                self.handle_arrival(path, &mut datagram, received, now, true);
                self.steer(path, now);
            }
            Message::Restart { session, admission } => {
                if let Some(key) = self.sessions.key(&session) {
                    self.demux.restart(key, *admission);
                    self.take_door_output(now);
                }
            }
            Message::StandDown { session } => self.on_stand_down(&session, now),
            Message::End { session, reason } => {
                if let Some(key) = self.sessions.key(&session) {
                    self.end(key, reason, now);
                }
            }
            Message::Hold { session, hold } => self.hold(session, &hold, now),
            Message::Stop => self.stop(now),
        }
    }

    /// Does what is due.
    fn handle_timeout(&mut self, now: Instant) {
        self.demux.handle_timeout(now);
        self.take_door_output(now);
        while let Some(key) = self.timers.pop_due(now) {
            self.guard(key, now, |engine| engine.on_session_timeout(key, now));
        }
        // What publishers sent and had to wait.
        self.flush_published();
        self.due.extend(std::iter::from_fn(|| self.turns.pop_due(now)));
        self.sample(now);
        self.end_grace(now);
        if self.next_sweep <= now {
            self.next_sweep = now + SWEEP_INTERVAL;
            self.handed_over_paths.expire(now);
            self.feeds.expire(now);
            // One worker looks for all.
            if self.id == WorkerId(0) {
                self.shared.client_closed.expire(now);
                for waiting in self.shared.pending_sessions.expire(now) {
                    end_waiting(&waiting, Reason::NeverConnected, &self.shared, now);
                }
                self.shared.pending_sessions.shrink();
            }
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let sessions = [self.timers.next(), self.turns.next(), self.demux.poll_timeout(), self.sampler.poll_timeout()];
        let others = [self.blocked_until, self.steers_at, self.waiting.poll_timeout(), self.feeds.next_abandoned()];
        sessions.into_iter().chain(others).flatten().chain([self.next_sweep]).min()
    }

    /// Everything of a turn but the socket: what publishers sent is pushed and, with what other workers pushed, sealed
    /// for viewers and sent, until `budget` is used up.
    pub(crate) fn work(
        &mut self,
        inbox: &mut Inbox<Message>,
        outbox: &mut impl Outbox,
        budget: Duration,
        mut clock: impl FnMut() -> Instant,
    ) -> Progress {
        // 1. Push what publishers sent, once to each worker with viewers; before it the commands that found no room.
        self.push_waiting();
        self.flush_published();
        // 2. Inbox: media from all workers (this one too) and commands, in the order they came.
        for _ in 0..inbox.len() {
            let Some(message) = inbox.pop() else { break };
            self.handle_message(message, clock());
        }
        // 3. Timers, before viewers: a report or a request for a lost packet is small and must not wait.
        let now = clock();
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.handle_timeout(now);
        }
        // 4. Serve viewers, in bounded time.
        let progress = self.serve(outbox, budget, clock);
        self.waiting.schedule(now);
        progress
    }

    /// Sends what waits: small datagrams first, then answers to NACKs, then media, viewer by viewer, until `budget` is
    /// used up. `clock` tells the time.
    fn serve(&mut self, outbox: &mut impl Outbox, budget: Duration, mut clock: impl FnMut() -> Instant) -> Progress {
        let started = clock();
        let progress = self.serve_until(outbox, started + budget, started, &mut clock);
        self.counters.add_batch(self.batch.take_tally());
        self.counters.flush();
        self.blocked_until = (progress == Progress::Blocked).then(|| clock() + BLOCKED_INTERVAL);
        progress
    }

    fn serve_until(
        &mut self,
        outbox: &mut impl Outbox,
        until: Instant,
        mut now: Instant,
        clock: &mut impl FnMut() -> Instant,
    ) -> Progress {
        if self.batch.is_blocked() && !self.batch.retry(outbox, now) {
            return Progress::Blocked;
        }
        while let Some((path, datagram)) = self.transmits.front() {
            if outbox.send(path, datagram, None) == Sent::Blocked {
                return Progress::Blocked;
            }
            self.transmits.pop_front();
        }
        for key in std::mem::take(&mut self.pending_nacks) {
            self.guard(key, now, |engine| engine.answer_viewer(key, outbox, now));
        }
        while let Some(key) = self.feeds.next_viewer() {
            self.guard(key, now, |engine| engine.serve_viewer(key, outbox, now));
            if self.batch.is_blocked() {
                return Progress::Blocked;
            }
            now = clock();
            if now >= until && self.feeds.is_ready() {
                return Progress::More;
            }
        }
        // Replays come last: those who are live do not wait for those who are not yet.
        while let Some(key) = self.due.pop() {
            self.guard(key, now, |engine| engine.serve_viewer(key, outbox, now));
            if self.batch.is_blocked() {
                return Progress::Blocked;
            }
            now = clock();
            if now >= until && !self.due.is_empty() {
                return Progress::More;
            }
        }
        Progress::Idle
    }

    /// How much it keeps, by name: all of it is 0 once every session has gone and what came of that is done.
    pub(crate) fn counts(&self) -> Vec<(&'static str, usize)> {
        let mut counts = vec![
            ("sessions", self.sessions.keys().len()),
            ("publishers", self.publisher_by_stream.len()),
            ("feeds", self.feeds.len()),
            ("foreign paths", self.handed_over_paths.len()),
            ("timers", self.timers.len() + self.turns.len()),
            ("viewers due", self.due.len()),
            ("publishers unflushed", self.unflushed.len()),
            ("viewers asking", self.pending_nacks.len()),
            ("runs refused", usize::from(self.batch.is_blocked())),
            ("datagrams", self.transmits.len()),
            ("commands waiting", self.waiting.len()),
            ("names", self.heartbeat.len()),
        ];
        counts.extend(self.demux.counts());
        counts
    }

    /// True once every session has been ended for the relay's stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped && self.transmits.is_empty()
    }

    /// Adds what only the socket counts.
    pub(crate) fn add_socket(&mut self, gso_fallbacks: u64) {
        self.counters.add_gso_fallbacks(gso_fallbacks);
    }

    /// Queues a small datagram.
    pub(crate) fn transmit(&mut self, path: FiveTuple, datagram: Vec<u8>) {
        if self.transmits.len() < MAX_TRANSMITS {
            self.transmits.push_back((path, datagram));
        } else {
            self.counters.drop(DropReason::SocketFull);
        }
    }

    /// Does work for one session; if it panics, that session ends and the worker goes on.
    pub(crate) fn guard(&mut self, key: Key, now: Instant, work: impl FnOnce(&mut Self)) {
        self.heartbeat.enter(key);
        // The session is dropped whole, and no other session's state is half changed when one's work stops.
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.batch.abandon();
            self.end(key, Reason::Panicked, now);
        }
        self.heartbeat.leave();
    }

    pub(crate) fn take_door_output(&mut self, now: Instant) {
        while let Some((path, datagram)) = self.demux.poll_transmit() {
            self.transmit(path, datagram);
        }
        while let Some(event) = self.demux.poll_event() {
            match event {
                DemuxEvent::Moved { key, path } => {
                    if let Some(session) = self.sessions.get_mut(key) {
                        tracing::debug!(session = %session.id, remote = %path.remote, "path moved");
                        session.path = Some(path);
                        session.steered = None;
                        // What waited for a path goes out now.
                        let stream = session.stream.clone();
                        self.feeds.mark_ready(&stream);
                    }
                    self.on_return(key, now);
                }
                DemuxEvent::Heard(key) => self.on_return(key, now),
                DemuxEvent::Retired { key, ufrag } => {
                    if let Some(session) = self.sessions.get_mut(key) {
                        self.shared.pending_sessions.retire(&session.id, &ufrag);
                    }
                }
                DemuxEvent::Silent(key) => self.end(key, Reason::Silent, now),
                DemuxEvent::NeverConnected(key) => self.on_handshake_timeout(key, now),
                DemuxEvent::Flooded(key) => self.end(key, Reason::Flooded, now),
            }
        }
    }

    fn stop(&mut self, now: Instant) {
        for key in self.sessions.keys() {
            self.end(key, Reason::Shutdown, now);
        }
        self.stopped = true;
        debug_assert!(self.shared.draining.load(Ordering::Relaxed), "nobody joins a worker that stops");
    }
}
