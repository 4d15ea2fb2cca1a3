//! One turn of a worker: packets of publishers, the inbox, timers, then viewers, in bounded time.

use std::time::{Duration, Instant};

use super::state::{Engine, SWEEP_INTERVAL};
use crate::reason::DropReason;
use crate::stream::{Inbox, WorkerId};
use crate::worker::message::Message;
use crate::worker::net::batch::Outbox;
use crate::worker::sessions::ended::expire_shared;

/// How often refused runs are checked for their age while the socket is blocked.
const BLOCKED_INTERVAL: Duration = Duration::from_millis(20);

/// How serving the viewers ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServeOutcome {
    /// Every viewer has every packet.
    Idle,
    /// The time was up before every viewer was served.
    More,
    /// The socket takes nothing now.
    Blocked,
}

impl Engine {
    /// A whole turn except for the socket: packets of publishers are pushed; those and the packets that other workers
    /// pushed are sealed for viewers and sent, until `budget` is used up.
    pub(crate) fn work(
        &mut self,
        inbox: &mut Inbox<Message>,
        outbox: &mut impl Outbox,
        budget: Duration,
        mut clock: impl FnMut() -> Instant,
    ) -> ServeOutcome {
        // 1. Push what publishers sent, once to each worker with viewers; before that, commands that found an inbox
        //    full.
        self.mailbox.retry_commands();
        self.flush_published();
        // 2. Inbox: media from all workers (this one too) and commands, in the order they came.
        for _ in 0..inbox.len() {
            let Some(message) = inbox.pop() else { break };
            self.handle_message(message, clock());
        }
        self.own_sockets.open(outbox);
        // 3. Timers, before viewers: a report or a request for a lost packet is small and must not wait.
        let now = clock();
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.handle_timeout(now);
        }
        // 4. Serve viewers, in bounded time.
        let progress = self.serve(outbox, budget, clock);
        self.mailbox.schedule(now);
        self.own_sockets.close(outbox);
        progress
    }

    /// Sends what waits: small datagrams first, then answers to NACKs, then media, viewer by viewer, until `budget` is
    /// used up. `clock` returns the current time.
    fn serve(
        &mut self,
        outbox: &mut impl Outbox,
        budget: Duration,
        mut clock: impl FnMut() -> Instant,
    ) -> ServeOutcome {
        let started = clock();
        let progress = self.serve_until(outbox, started + budget, started, &mut clock);
        self.counters.add_batch(self.batch.take_tally());
        self.counters.drops(DropReason::SocketFull, self.transmits.take_lost());
        self.counters.drops(DropReason::InboxFull, self.mailbox.take_lost());
        self.counters.flush();
        self.blocked_until = (progress == ServeOutcome::Blocked).then(|| clock() + BLOCKED_INTERVAL);
        progress
    }

    fn serve_until(
        &mut self,
        outbox: &mut impl Outbox,
        until: Instant,
        mut now: Instant,
        clock: &mut impl FnMut() -> Instant,
    ) -> ServeOutcome {
        if self.batch.is_blocked() && !self.batch.retry(outbox, now) {
            return ServeOutcome::Blocked;
        }
        if !self.transmits.send(outbox) {
            return ServeOutcome::Blocked;
        }
        for key in std::mem::take(&mut self.pending_nacks) {
            self.guard(key, now, |engine| engine.answer_nacks(key, outbox, now));
        }
        while let Some(key) = self.feeds.next_viewer() {
            self.guard(key, now, |engine| engine.serve_viewer(key, outbox, now));
            if self.batch.is_blocked() {
                return ServeOutcome::Blocked;
            }
            now = clock();
            if now >= until && self.feeds.is_ready() {
                return ServeOutcome::More;
            }
        }
        // Replays come last, so that live viewers do not wait for them.
        while let Some(key) = self.due_viewers.pop() {
            self.guard(key, now, |engine| engine.serve_viewer(key, outbox, now));
            if self.batch.is_blocked() {
                return ServeOutcome::Blocked;
            }
            now = clock();
            if now >= until && !self.due_viewers.is_empty() {
                return ServeOutcome::More;
            }
        }
        ServeOutcome::Idle
    }

    /// Does what is due.
    fn handle_timeout(&mut self, now: Instant) {
        self.demux.handle_timeout(now);
        self.take_demux_output(now);
        while let Some(key) = self.timers.pop_due(now) {
            self.guard(key, now, |engine| engine.on_session_timeout(key, now));
        }
        // Packets whose repair delay is over.
        self.flush_published();
        self.due_viewers.extend(std::iter::from_fn(|| self.serving_timers.pop_due(now)));
        self.sample(now);
        self.end_grace(now);
        if self.next_sweep <= now {
            self.next_sweep = now + SWEEP_INTERVAL;
            self.handed_over_paths.expire(now);
            self.feeds.expire(now);
            // One worker does this for all.
            if self.id == WorkerId(0) {
                expire_shared(&self.shared, now);
            }
        }
    }
}
