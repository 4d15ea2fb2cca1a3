//! One session at the demultiplexer: its credentials, the paths it was heard on, which of them is proven, and its limits in time.
//!
//! The rule it keeps: a valid MESSAGE-INTEGRITY proves who sent a check, not that the sender owns the address it came
//! from. Media goes only to an address that has proven to receive: the first by the DTLS handshake, all of which went
//! over it, any other by answering a check of ours from there.

use std::time::{Duration, Instant};

use super::demultiplexed::Facts;
use super::probe::Probe;
use crate::dtls::handshake::{Handshake, Ways};
use crate::five_tuple::FiveTuple;
use crate::ice::Admission;
use crate::ice::check::{Allowance, Check};
use crate::ice::generation::{Generation, Number};
use crate::ice::stun::{Message, Transaction};

/// From admission to a completed DTLS handshake.
const SET_UP: Duration = Duration::from_secs(10);

/// Without valid STUN, SRTP or SRTCP the session is over.
const SILENCE: Duration = Duration::from_secs(30);

/// After this, a valid request from elsewhere needs no USE-CANDIDATE to be considered a move: keepalives of many
/// clients carry none.
const STALE: Duration = Duration::from_secs(1);

/// Addresses remembered for each session. When there are more, the one longest silent is forgotten.
const MAX_PATHS: usize = 8;

/// Why a session is over, if it is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Overdue {
    NeverConnected,
    Silent,
}

/// What an authentic request asks the demultiplexer to do.
#[derive(Default)]
pub(crate) struct Heard {
    /// This path may now carry the session's DTLS.
    pub(crate) claimed: bool,
    /// This path was forgotten in favour of the new one.
    pub(crate) forgotten: Option<FiveTuple>,
    /// Credentials that are no longer valid.
    pub(crate) retired: Option<String>,
    /// Somebody waits to be told that it was heard.
    pub(crate) awaited: bool,
}

/// What the answer to a check of ours proved.
pub(crate) struct Proof {
    /// Media goes there from now on.
    pub(crate) moved: bool,
    /// Credentials that are no longer valid.
    pub(crate) retired: Option<String>,
}

enum Phase {
    Handshaking { until: Instant },
    Connected,
    Over,
}

/// Where media goes.
#[derive(Copy, Clone)]
struct Live {
    path: FiveTuple,
    heard: Instant,
    /// The nomination it was chosen by; an answer to an earlier one moves nothing.
    nomination: u64,
}

/// An address that sent an authentic request.
struct Known {
    path: FiveTuple,
    heard: Instant,
    generation: Number,
    nomination: u64,
    /// False while another session holds the address and this one has not proven its claim.
    held: bool,
    check: Option<Check>,
    /// The last check was not answered.
    failed: bool,
}

/// One session.
pub(crate) struct Session {
    current: Generation,
    previous: Option<Generation>,
    phase: Phase,
    heard: Instant,
    live: Option<Live>,
    known: Vec<Known>,
    nominations: u64,
    allowance: Allowance,
    pub(crate) probe: Probe,
    pub(crate) handshake: Handshake,
    pub(crate) facts: Facts,
    /// Somebody waits to be told that it was heard where media goes.
    pub(crate) awaited: bool,
    /// When the demultiplexer's timer looks at this session next.
    pub(crate) armed: Option<Instant>,
}

impl Session {
    /// A session of which nothing was heard yet.
    pub(crate) fn new(admission: Admission, now: Instant) -> Session {
        Session {
            current: Generation::new(0, admission),
            previous: None,
            phase: Phase::Handshaking { until: now + SET_UP },
            heard: now,
            live: None,
            known: Vec::new(),
            nominations: 0,
            allowance: Allowance::new(now),
            probe: None,
            handshake: Handshake::new(),
            facts: Facts::default(),
            awaited: false,
            armed: None,
        }
    }

    /// Adds a generation; a restart that was never used makes way. Returns the ufrag that is no longer valid.
    pub(crate) fn restart(&mut self, admission: Admission) -> Option<String> {
        let next = Generation::new(self.current.number + 1, admission);
        let replaced = std::mem::replace(&mut self.current, next);
        match &self.previous {
            Some(_) => Some(replaced.local_ufrag),
            None => {
                self.previous = Some(replaced);
                None
            }
        }
    }

    /// The local ufrags under which requests may come.
    pub(crate) fn ufrags(&self) -> impl Iterator<Item = &str> {
        self.generations().map(|generation| generation.local_ufrag.as_str())
    }

    /// All addresses heard of, for cleaning up.
    pub(crate) fn paths(&self) -> impl Iterator<Item = FiveTuple> {
        self.known.iter().map(|known| known.path)
    }

    /// The generation that a request is signed for.
    pub(crate) fn authenticate(&self, request: &Message) -> Option<&Generation> {
        self.generations().find(|generation| generation.accepts(request))
    }

    /// The number of requests and more, once DTLS is through.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected)
    }

    /// Nothing more is taken from it or sent for it.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Stops everything until the owner removes it.
    pub(crate) fn end(&mut self) {
        self.phase = Phase::Over;
        self.live = None;
    }

    /// Where media goes; before DTLS has completed, where the handshake goes.
    pub(crate) fn path(&self) -> Option<FiveTuple> {
        match self.phase {
            Phase::Handshaking { .. } => self.handshake_path(),
            Phase::Connected => self.live.map(|live| live.path),
            Phase::Over => None,
        }
    }

    /// Where DTLS goes: to the proven path, else where it last came from, else to the first valid one.
    pub(crate) fn handshake_path(&self) -> Option<FiveTuple> {
        let last = match self.handshake.ways() {
            Ways::None => None,
            Ways::One(path) | Ways::Several { latest: path } => Some(path),
        };
        let first = || self.known.iter().find(|known| known.held).map(|known| known.path);
        self.live.map(|live| live.path).or(last).or_else(first)
    }

    /// Takes note of an authentic request from `path`. `contested`: another session holds that address.
    pub(crate) fn hear(
        &mut self,
        path: FiveTuple,
        generation: Number,
        use_candidate: bool,
        contested: bool,
        now: Instant,
    ) -> Heard {
        let mut heard = Heard::default();
        let is_moving = use_candidate || self.live.is_none_or(|live| now >= live.heard + STALE);
        self.heard = now;
        let index = self.remember(path, generation, now, &mut heard);
        if is_moving {
            self.nominations += 1;
            self.known[index].nomination = self.nominations;
        }
        let known = &mut self.known[index];
        if contested {
            known.held = false;
        } else {
            heard.claimed = !known.held;
            known.held = true;
        }
        match &mut self.live {
            Some(live) if live.path == path => {
                live.heard = now;
                live.nomination = live.nomination.max(known.nomination);
                heard.awaited = std::mem::take(&mut self.awaited);
                heard.retired = self.retire_before(generation);
            }
            _ => {}
        }
        heard
    }

    /// Begins a check if the address has to prove itself before anything else follows. The transaction is fresh and
    /// random, so that nobody who does not receive there can answer.
    pub(crate) fn begin_check(&mut self, path: FiveTuple, transaction: Transaction, now: Instant) {
        let is_live = self.live.is_some_and(|live| live.path == path);
        let newest = self.live.map_or(0, |live| live.nomination);
        let is_connected = self.is_connected();
        let Some(known) = self.known.iter_mut().find(|known| known.path == path) else {
            return;
        };
        let is_wanted = match is_connected {
            true => !is_live && known.nomination > newest,
            false => !known.held,
        };
        if is_wanted && known.check.is_none() && self.allowance.take(known.failed, now) {
            known.check = Some(Check::new(transaction, now));
        }
    }

    /// Hands out the copies of checks that are due.
    pub(crate) fn poll_checks(&mut self, tie_breaker: u64, now: Instant, mut send: impl FnMut(FiveTuple, Vec<u8>)) {
        for known in &mut self.known {
            let Some(check) = &mut known.check else {
                continue;
            };
            if check.is_over(now) {
                known.check = None;
                known.failed = true;
                continue;
            }
            if check.poll(now) {
                let previous = self.previous.as_ref().filter(|previous| previous.number == known.generation);
                let generation = previous.unwrap_or(&self.current);
                send(known.path, generation.request(&check.transaction, tie_breaker));
            }
        }
    }

    /// Where media goes, and the credentials under which that path was last heard.
    pub(crate) fn live_generation(&self) -> Option<(FiveTuple, &Generation)> {
        let path = self.live.filter(|_| self.is_connected())?.path;
        let number = self.known.iter().find(|known| known.path == path)?.generation;
        Some((path, self.generations().find(|generation| generation.number == number)?))
    }

    /// Takes an answer that came from `path`; `None` when it proves nothing.
    pub(crate) fn prove(&mut self, path: FiveTuple, answer: &Message, now: Instant) -> Option<Proof> {
        if self.measure(path, answer, now) {
            self.heard = now;
            return Some(Proof { moved: false, retired: None });
        }
        let is_connected = self.is_connected();
        let known = self.known.iter().position(|known| known.path == path)?;
        let check = self.known[known].check.as_ref()?;
        let is_ours = check.transaction == answer.transaction && !check.is_over(now);
        if !is_ours || !self.generations().any(|generation| generation.signed(answer)) {
            return None;
        }
        let known = &mut self.known[known];
        known.check = None;
        known.failed = false;
        known.held = true;
        known.heard = now;
        self.heard = now;
        let moved = is_connected && self.live.is_none_or(|live| known.nomination > live.nomination);
        let mut proof = Proof { moved, retired: None };
        if moved {
            let generation = known.generation;
            self.live = Some(Live { path, heard: now, nomination: known.nomination });
            self.facts.moves += 1;
            proof.retired = self.retire_before(generation);
        }
        Some(proof)
    }

    /// DTLS has completed. Returns the path that it proved, or `None` with the address that has to be checked first,
    /// because the handshake went over several.
    pub(crate) fn connect(&mut self, now: Instant) -> Result<FiveTuple, Option<FiveTuple>> {
        self.phase = Phase::Connected;
        self.heard = now;
        self.handshake.connect();
        let proven = match self.handshake.ways() {
            Ways::One(path) if self.holds(path) => path,
            Ways::Several { latest: path } => return Err(Some(path)),
            Ways::One(_) | Ways::None => return Err(None),
        };
        self.nominations += 1;
        self.live = Some(Live { path: proven, heard: now, nomination: self.nominations });
        Ok(proven)
    }

    /// An address whose check has to begin at once, although no request has just come from there.
    pub(crate) fn nominate(&mut self, path: FiveTuple) {
        self.nominations += 1;
        if let Some(known) = self.known.iter_mut().find(|known| known.path == path) {
            known.nomination = self.nominations;
        }
    }

    /// SRTP or SRTCP from `path` has passed its authentication. True when somebody waits to be told.
    pub(crate) fn authenticated(&mut self, path: FiveTuple, now: Instant) -> bool {
        self.heard = now;
        self.handshake.settle();
        let Some(live) = self.live.as_mut().filter(|live| live.path == path) else { return false };
        live.heard = now;
        std::mem::take(&mut self.awaited)
    }

    /// When it was heard last where media goes.
    pub(crate) fn heard(&self) -> Option<Instant> {
        self.live.map(|live| live.heard)
    }

    /// Another session has proven that the address is its own.
    pub(crate) fn lose(&mut self, path: FiveTuple) {
        self.known.retain(|known| known.path != path);
        self.live = self.live.filter(|live| live.path != path);
    }

    /// Whether time is up.
    pub(crate) fn overdue(&self, now: Instant) -> Option<Overdue> {
        match self.phase {
            Phase::Handshaking { until } if now >= until => Some(Overdue::NeverConnected),
            Phase::Connected if now >= self.heard + SILENCE => Some(Overdue::Silent),
            _ => None,
        }
    }

    /// When anything of this session is due next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let limit = match self.phase {
            Phase::Handshaking { until } => until,
            Phase::Connected => self.heard + SILENCE,
            Phase::Over => return None,
        };
        let checks = self.known.iter().filter_map(|known| known.check.as_ref()).map(Check::poll_timeout);
        checks.chain(self.handshake.poll_timeout()).chain([limit]).min()
    }

    fn generations(&self) -> impl Iterator<Item = &Generation> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    fn holds(&self, path: FiveTuple) -> bool {
        self.known.iter().any(|known| known.path == path && known.held)
    }

    /// A path is proven under this generation: an older one has served its time.
    fn retire_before(&mut self, generation: Number) -> Option<String> {
        if generation != self.current.number {
            return None;
        }
        self.previous.take().map(|previous| previous.local_ufrag)
    }

    fn remember(&mut self, path: FiveTuple, generation: Number, now: Instant, heard: &mut Heard) -> usize {
        if let Some(index) = self.known.iter().position(|known| known.path == path) {
            self.known[index].heard = now;
            self.known[index].generation = generation;
            return index;
        }
        if self.known.len() >= MAX_PATHS {
            let live = self.live.map(|live| live.path);
            let spare = self.known.iter().enumerate().filter(|(_, known)| Some(known.path) != live);
            if let Some((index, _)) = spare.min_by_key(|(_, known)| known.heard) {
                heard.forgotten = Some(self.known.swap_remove(index).path);
            }
        }
        self.facts.paths += 1;
        self.known.push(Known { path, heard: now, generation, nomination: 0, held: false, check: None, failed: false });
        self.known.len() - 1
    }
}
