//! The state of one worker, which owns its sessions. Requests of other workers and of HTTP come as messages. A panic in
//! the work for one session ends that session only.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::demux::{Demux, Key};
use crate::ice::public_stun::PublicStun;
use crate::name::StreamName;
use crate::reason::EndReason;
use crate::stream::WorkerId;
use crate::worker::liveness::Heartbeat;
use crate::worker::mailbox::Mailbox;
use crate::worker::net::batch::Batch;
use crate::worker::net::handed_over::HandedOverPaths;
use crate::worker::net::own_socket_changes::OwnSocketChanges;
use crate::worker::net::small_datagrams::SmallDatagrams;
use crate::worker::sessions::report::Sampler;
use crate::worker::sessions::table::Sessions;
use crate::worker::shared::Shared;
use crate::worker::stats::counters::Counters;
use crate::worker::timers::Timers;
use crate::worker::viewing::stream_feed::StreamFeeds;

/// How often what has expired is removed: handed-over paths, old packets of feeds, and pending sessions whose clients
/// never sent a packet.
pub(super) const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

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
    /// When viewers are served although no packets arrive.
    pub(crate) serving_timers: Timers,
    /// Viewers whose serving timer has fired.
    pub(crate) due_viewers: Vec<Key>,
    /// Publishers with packets that have not been pushed yet.
    pub(crate) unflushed: Vec<Key>,
    /// Viewers whose NACKs wait for an answer.
    pub(crate) pending_nacks: Vec<Key>,
    pub(crate) batch: Batch,
    pub(crate) transmits: SmallDatagrams,
    pub(crate) mailbox: Mailbox,
    pub(crate) counters: Counters,
    pub(super) next_sweep: Instant,
    pub(crate) sampler: Sampler,
    pub(super) blocked_until: Option<Instant>,
    /// When the kernel gets the next list of clients.
    pub(crate) steers_at: Option<Instant>,
    /// Sockets of sessions that the outbox is to open and to close.
    pub(crate) own_sockets: OwnSocketChanges,
    stopped: bool,
}

impl Engine {
    pub(crate) fn new(id: WorkerId, shared: Arc<Shared>, now: Instant) -> Self {
        let counters = Counters::new(shared.metrics.clone());
        Self {
            id,
            heartbeat: Arc::clone(&shared.heartbeats[usize::from(id.0)]),
            mailbox: Mailbox::new(shared.workers.clone()),
            feeds: StreamFeeds::new(shared.config.history_limits()),
            demux: Demux::new(rand::random()).with(shared.config.stun.then(|| PublicStun::new(now))),
            shared,
            sessions: Sessions::default(),
            publisher_by_stream: HashMap::new(),
            handed_over_paths: HandedOverPaths::default(),
            timers: Timers::default(),
            serving_timers: Timers::default(),
            due_viewers: Vec::new(),
            unflushed: Vec::new(),
            pending_nacks: Vec::new(),
            batch: Batch::default(),
            transmits: SmallDatagrams::default(),
            counters,
            // Pending sessions expire also on a relay that no datagram has reached yet.
            next_sweep: now + SWEEP_INTERVAL,
            sampler: Sampler::default(),
            blocked_until: None,
            steers_at: None,
            own_sockets: OwnSocketChanges::default(),
            stopped: false,
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let sessions =
            [self.timers.next(), self.serving_timers.next(), self.demux.poll_timeout(), self.sampler.poll_timeout()];
        let others = [self.blocked_until, self.steers_at, self.mailbox.poll_timeout(), self.feeds.next_abandoned()];
        sessions.into_iter().chain(others).flatten().chain([self.next_sweep]).min()
    }

    /// The sizes of the worker's collections by name: all are 0 once every session has ended and its messages are sent.
    pub(crate) fn counts(&self) -> Vec<(&'static str, usize)> {
        let mut counts = vec![
            ("sessions", self.sessions.len()),
            ("publishers", self.publisher_by_stream.len()),
            ("feeds", self.feeds.len()),
            ("handed-over paths", self.handed_over_paths.len()),
            ("timers", self.timers.len() + self.serving_timers.len()),
            ("viewers due", self.due_viewers.len()),
            ("publishers unflushed", self.unflushed.len()),
            ("pending NACKs", self.pending_nacks.len()),
            ("runs refused", usize::from(self.batch.is_blocked())),
            ("datagrams", self.transmits.len()),
            ("commands waiting", self.mailbox.len()),
            ("names", self.heartbeat.len()),
        ];
        counts.extend(self.demux.counts());
        counts
    }

    /// True once every session has been ended for the relay's stop, and the last small datagrams are sent.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped && self.transmits.len() == 0
    }

    /// Adds what only the socket counts.
    pub(crate) fn add_socket(&mut self, gso_fallbacks: u64) {
        self.counters.add_gso_fallbacks(gso_fallbacks);
    }

    /// Does work for one session; if it panics, that session ends and the worker goes on.
    pub(crate) fn guard(&mut self, key: Key, now: Instant, work: impl FnOnce(&mut Self)) {
        self.heartbeat.enter(key);
        // The session is dropped whole, and no other session's state is half changed when one's work stops.
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.batch.abandon();
            self.end(key, EndReason::Panicked, now);
        }
        self.heartbeat.leave();
    }

    pub(super) fn stop(&mut self, now: Instant) {
        for key in self.sessions.keys() {
            self.end(key, EndReason::Shutdown, now);
        }
        self.stopped = true;
        debug_assert!(self.shared.draining.load(Ordering::Relaxed), "no session joins a worker that stops");
    }
}
