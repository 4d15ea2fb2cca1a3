//! The ICE agent of one session: the paths that its client was heard on, which of them media takes, and consent
//! (RFC 8445, RFC 7675).
//!
//! The rule it keeps: a valid MESSAGE-INTEGRITY proves which client sent a check, not that the client owns the source
//! address. Media goes only to an address that has proven to receive: the first by the DTLS handshake, all of which
//! went over it, any other by an answer to a check of ours from there. Candidates of a client are never dialled; those
//! of another relay are where it is called (see `dialling`).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::admission::Admission;
use super::check::{Check, CheckBudget, DIAL, PROOF};
use super::control::Control;
use super::generation::{Generation, Number};
use super::stun::{StunMessage, Transaction};
use crate::five_tuple::FiveTuple;

/// Consent ends after this time without valid STUN, SRTP or SRTCP.
const CONSENT: Duration = Duration::from_secs(30);

/// When the selected path has been silent for this time, the last valid request on another path since then needs no
/// USE-CANDIDATE to nominate it: keepalives of many clients carry none.
const STALE: Duration = Duration::from_secs(1);

/// Probes whose answers are awaited at once: with a probe each 200 ms, an answer may take 800 ms.
const MAX_PROBES: usize = 4;

/// Paths remembered for each session. When there are more, the one that has been silent longest is forgotten.
const MAX_PATHS: usize = 8;

/// What a valid request of the client has changed.
pub(crate) struct HandledRequest {
    /// The Binding success answer, to be sent to where the request came from.
    pub(crate) answer: Vec<u8>,
    /// True for the first valid request of the session.
    pub(crate) is_first: bool,
    /// True if the request came over the selected path.
    pub(crate) is_selected: bool,
    /// True if the path may carry the session's DTLS from now on.
    pub(crate) is_claimed: bool,
    /// The path that was forgotten in favour of this one.
    pub(crate) forgotten: Option<FiveTuple>,
    /// The local ufrag of credentials that are no longer valid.
    pub(crate) retired: Option<String>,
}

/// What a valid answer to a request of ours has proven.
pub(crate) struct Proof {
    /// True for the first answer where nothing was heard before: the relay dials, and DTLS may begin on the path.
    pub(crate) is_first: bool,
    /// True if the answer came over the selected path.
    pub(crate) is_selected: bool,
    /// True if media takes this path from now on.
    pub(crate) has_moved: bool,
    /// The local ufrag of credentials that are no longer valid.
    pub(crate) retired: Option<String>,
}

/// What the agent has counted.
#[derive(Copy, Clone, Default, Debug)]
pub(crate) struct Statistics {
    /// Valid requests.
    pub(crate) checks: u64,
    /// Requests that named this session with a wrong MESSAGE-INTEGRITY.
    pub(crate) forged: u64,
    /// The path of the first valid request, or of the first answer to a dialling relay.
    pub(crate) first: Option<FiveTuple>,
    /// Paths that valid requests came over.
    pub(crate) paths: u32,
    /// Moves of media to another path.
    pub(crate) moves: u32,
    /// The round-trip time that the last answered probe measured.
    pub(crate) round_trip: Option<Duration>,
}

/// Which path media takes.
#[derive(Copy, Clone)]
enum Selection {
    /// None before DTLS has completed.
    Handshaking,
    /// DTLS has completed and no path is proven, or the proven one turned out to be another session's.
    Unproven,
    Selected(SelectedPath),
}

#[derive(Copy, Clone)]
struct SelectedPath {
    path: FiveTuple,
    last_heard: Instant,
    /// The nomination that selected it; an answer to a check of an earlier one moves nothing.
    nomination: u64,
}

/// A path that a valid request came over, or that is dialled.
pub(super) struct KnownPath {
    pub(super) path: FiveTuple,
    last_heard: Instant,
    generation: Number,
    nomination: u64,
    /// True if its last request nominates it only once the selected path has been silent.
    is_waiting: bool,
    /// False while another session has claimed the path and this one has not proven that it receives there.
    is_claimed: bool,
    pub(super) check: Option<Check>,
    /// True if the last check was not answered.
    has_failed: bool,
}

/// A request on the selected path that measures the round-trip time, until it is answered.
struct Probe {
    transaction: Transaction,
    sent: Instant,
}

/// The agent of one session.
pub(crate) struct Agent {
    pub(super) current: Generation,
    previous: Option<Generation>,
    last_heard: Instant,
    selection: Selection,
    pub(super) known: Vec<KnownPath>,
    nominations: u64,
    allowance: CheckBudget,
    /// Oldest first.
    probes: VecDeque<Probe>,
    pub(super) control: Control,
    /// Silence of this length ends the session.
    pub(super) consent: Duration,
    /// How often the path of media is checked, and when that is due next.
    pub(super) interval: Option<Duration>,
    next_check: Option<Instant>,
    statistics: Statistics,
}

impl Agent {
    /// An agent that has heard nothing yet.
    pub(crate) fn new(admission: Admission, now: Instant) -> Agent {
        Agent {
            current: Generation::new(0, admission),
            previous: None,
            last_heard: now,
            selection: Selection::Handshaking,
            known: Vec::new(),
            nominations: 0,
            allowance: CheckBudget::new(now),
            probes: VecDeque::new(),
            control: Control::Controlled,
            consent: CONSENT,
            interval: None,
            next_check: None,
            statistics: Statistics::default(),
        }
    }

    /// Adds the credentials of an ICE restart (RFC 8445 9). Those of a restart that no client has used are replaced:
    /// returns their local ufrag, which is no longer valid.
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

    /// The local ufrags that requests may name.
    pub(crate) fn ufrags(&self) -> impl Iterator<Item = &str> {
        self.generations().map(|generation| generation.local_ufrag.as_str())
    }

    /// All paths that are remembered.
    pub(crate) fn paths(&self) -> impl Iterator<Item = FiveTuple> {
        self.known.iter().map(|known| known.path)
    }

    /// What it has counted.
    pub(crate) fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// The path that media takes.
    pub(crate) fn selected_path(&self) -> Option<FiveTuple> {
        self.selected().map(|selected| selected.path)
    }

    /// When the client was last heard on the selected path.
    pub(crate) fn selected_heard(&self) -> Option<Instant> {
        self.selected().map(|selected| selected.last_heard)
    }

    /// The first path that may carry the session's DTLS.
    pub(crate) fn first_claimed(&self) -> Option<FiveTuple> {
        self.known.iter().find(|known| known.is_claimed).map(|known| known.path)
    }

    /// When consent ends unless something valid arrives.
    pub(crate) fn consent_until(&self) -> Instant {
        self.last_heard + self.consent
    }

    /// Takes a Binding request; `None` if its USERNAME or MESSAGE-INTEGRITY is wrong. `is_contested`: another session
    /// has claimed the path.
    pub(crate) fn handle_request(
        &mut self,
        path: FiveTuple,
        request: &StunMessage,
        is_contested: bool,
        now: Instant,
    ) -> Option<HandledRequest> {
        let Some(signed_for) = self.generations().find(|generation| generation.accepts(request)) else {
            self.statistics.forged += 1;
            return None;
        };
        let answer = match self.control.is_kept_against(request) {
            true => signed_for.role_conflict(&request.transaction),
            false => signed_for.answer(&request.transaction, path.remote),
        };
        let generation = signed_for.number;
        self.statistics.checks += 1;
        if self.stays_controlling(request) {
            return Some(self.answered_as_controlling(path, answer, now));
        }
        let is_first = self.statistics.first.is_none();
        self.statistics.first.get_or_insert(path);
        let nominates =
            request.use_candidate || self.selected().is_none_or(|selected| now >= selected.last_heard + STALE);
        self.last_heard = now;
        let (index, forgotten) = self.remember(path, generation, now);
        if nominates {
            self.nominations += 1;
            self.known[index].nomination = self.nominations;
        }
        let known = &mut self.known[index];
        known.is_waiting = !nominates;
        let is_claimed = !is_contested && !known.is_claimed;
        known.is_claimed = !is_contested;
        let mut handled = HandledRequest { answer, is_first, is_selected: false, is_claimed, forgotten, retired: None };
        if let Selection::Selected(selected) = &mut self.selection
            && selected.path == path
        {
            selected.last_heard = now;
            selected.nomination = selected.nomination.max(known.nomination);
            handled.is_selected = true;
            handled.retired = self.retire_before(generation);
        }
        Some(handled)
    }

    /// Takes a Binding success answer; `None` if it proves nothing.
    pub(crate) fn handle_answer(&mut self, path: FiveTuple, answer: &StunMessage, now: Instant) -> Option<Proof> {
        if self.handle_probe_answer(path, answer, now) {
            self.heard_on(path, now);
            return Some(Proof { is_first: false, is_selected: true, has_moved: false, retired: None });
        }
        let index = self.take_check(path, answer, now)?;
        let is_first = self.statistics.first.is_none();
        self.statistics.first.get_or_insert(path);
        let known = &mut self.known[index];
        known.has_failed = false;
        known.is_claimed = true;
        known.last_heard = now;
        let (nomination, generation) = (known.nomination, known.generation);
        let is_selected = self.heard_on(path, now);
        self.on_dialled(path);
        let has_moved = match self.selection {
            Selection::Handshaking => false,
            Selection::Unproven => true,
            Selection::Selected(selected) => nomination > selected.nomination,
        };
        let mut proof = Proof { is_first, is_selected, has_moved, retired: None };
        if has_moved {
            self.selection = Selection::Selected(SelectedPath { path, last_heard: now, nomination });
            self.statistics.moves += 1;
            proof.retired = self.retire_before(generation);
        }
        Some(proof)
    }

    /// DTLS has completed: paths can be selected.
    pub(crate) fn connect(&mut self, now: Instant) {
        self.selection = Selection::Unproven;
        self.last_heard = now;
        self.next_check = self.interval.map(|_| now);
    }

    /// Selects the path that the whole DTLS handshake went over; false if another session has claimed it.
    pub(crate) fn select(&mut self, path: FiveTuple, now: Instant) -> bool {
        let is_claimed = self.known.iter().any(|known| known.path == path && known.is_claimed);
        if is_claimed {
            self.nominations += 1;
            let nomination = self.nominations;
            self.selection = Selection::Selected(SelectedPath { path, last_heard: now, nomination });
        }
        is_claimed
    }

    /// Nominates a path as a request with USE-CANDIDATE would.
    pub(crate) fn nominate(&mut self, path: FiveTuple) {
        self.nominations += 1;
        if let Some(known) = self.known.iter_mut().find(|known| known.path == path) {
            known.nomination = self.nominations;
        }
    }

    /// Nominates the path that waited for the selected one to be silent, if it has been for long enough.
    pub(crate) fn nominate_waiting(&mut self, now: Instant) -> Option<FiveTuple> {
        let (index, _) = self.waiting().filter(|(_, due)| now >= *due)?;
        self.known[index].is_waiting = false;
        let path = self.known[index].path;
        self.nominate(path);
        Some(path)
    }

    /// SRTP or SRTCP from `path` has passed its authentication. True if that is the selected path.
    pub(crate) fn authenticated(&mut self, path: FiveTuple, now: Instant) -> bool {
        self.heard_on(path, now)
    }

    /// Forgets a path that another session has proven to be its own.
    pub(crate) fn lose(&mut self, path: FiveTuple) {
        self.known.retain(|known| known.path != path);
        if self.selected_path() == Some(path) {
            self.selection = Selection::Unproven;
        }
    }

    /// Begins a check of `path` if it must prove itself before anything else goes there. The transaction id must be
    /// fresh and random, so that only a host that receives at the address can answer.
    pub(crate) fn begin_check(&mut self, path: FiveTuple, transaction: Transaction, now: Instant) {
        let Some(known) = self.known.iter_mut().find(|known| known.path == path) else {
            return;
        };
        let is_wanted = match self.selection {
            Selection::Handshaking => !known.is_claimed || self.control.nominates(path),
            Selection::Unproven => known.nomination > 0,
            Selection::Selected(selected) => selected.path != path && known.nomination > selected.nomination,
        };
        if is_wanted && known.check.is_none() && self.allowance.take(known.has_failed, now) {
            let dials = matches!(self.control, Control::Controlling { .. });
            known.check = Some(Check::new(transaction, if dials { &DIAL } else { &PROOF }, now));
        }
    }

    /// Sends the copies of checks that are due.
    pub(crate) fn poll_checks(&mut self, tie_breaker: u64, now: Instant, mut send: impl FnMut(FiveTuple, Vec<u8>)) {
        for known in &mut self.known {
            let Some(check) = &mut known.check else {
                continue;
            };
            if check.is_over(now) {
                known.check = None;
                known.has_failed = true;
                continue;
            }
            if check.poll(now) {
                let previous = self.previous.as_ref().filter(|previous| previous.number == known.generation);
                let generation = previous.unwrap_or(&self.current);
                send(known.path, generation.request(&check.transaction, (self.control.on(known.path), tie_breaker)));
            }
        }
    }

    /// When the next copy of a check is due, or a path that waits is nominated.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let checks = self.known.iter().filter_map(|known| known.check.as_ref()).map(Check::poll_timeout);
        checks.chain(self.waiting().map(|(_, due)| due)).chain(self.next_check).min()
    }

    /// True if the path of media is to be checked now because the other side may be gone.
    pub(crate) fn take_due_check(&mut self, now: Instant) -> bool {
        let is_due = self.next_check.is_some_and(|due| due <= now);
        if is_due {
            self.next_check = self.interval.map(|interval| now + interval);
        }
        is_due
    }

    /// A request that measures the round-trip time on the selected path, and that path. An answer to it moves nothing.
    pub(crate) fn probe(
        &mut self,
        transaction: Transaction,
        tie_breaker: u64,
        now: Instant,
    ) -> Option<(FiveTuple, Vec<u8>)> {
        let (path, generation) = self.selected_generation()?;
        let request = generation.request(&transaction, (self.control.on(path), tie_breaker));
        if self.probes.len() >= MAX_PROBES {
            self.probes.pop_front();
        }
        self.probes.push_back(Probe { transaction, sent: now });
        Some((path, request))
    }

    /// Takes an answer to a probe; false if it is not a valid one.
    fn handle_probe_answer(&mut self, path: FiveTuple, answer: &StunMessage, now: Instant) -> bool {
        let Some(index) = self.probes.iter().position(|probe| probe.transaction == answer.transaction) else {
            return false;
        };
        let is_valid = self.selected_generation().is_some_and(|(selected, of)| selected == path && of.signed(answer));
        if is_valid && let Some(probe) = self.probes.drain(..=index).next_back() {
            self.statistics.round_trip = Some(now.saturating_duration_since(probe.sent));
        }
        is_valid
    }

    /// The other side was heard on a path. True if that is the selected one.
    #[inline]
    pub(super) fn heard_on(&mut self, path: FiveTuple, now: Instant) -> bool {
        self.last_heard = now;
        match &mut self.selection {
            Selection::Selected(selected) if selected.path == path => {
                selected.last_heard = now;
                true
            }
            _ => false,
        }
    }

    /// Ends the check of a path that an authentic answer is about; returns the place of the path in `known`.
    pub(super) fn take_check(&mut self, path: FiveTuple, answer: &StunMessage, now: Instant) -> Option<usize> {
        let index = self.known.iter().position(|known| known.path == path)?;
        let check = self.known[index].check.as_ref()?;
        let is_ours = check.transaction == answer.transaction && !check.is_over(now);
        if !is_ours || !self.generations().any(|generation| generation.signed(answer)) {
            return None;
        }
        self.known[index].check = None;
        Some(index)
    }

    /// The place of the path that was heard last of those that wait, and when it is nominated unless the selected path is
    /// heard before.
    fn waiting(&self) -> Option<(usize, Instant)> {
        let selected = self.selected()?;
        let waits = |known: &KnownPath| {
            known.is_waiting && known.path != selected.path && known.last_heard >= selected.last_heard
        };
        let waiting = self.known.iter().enumerate().filter(|(_, known)| waits(known));
        let (index, _) = waiting.max_by_key(|(_, known)| known.last_heard)?;
        Some((index, selected.last_heard + STALE))
    }

    fn selected(&self) -> Option<SelectedPath> {
        match self.selection {
            Selection::Selected(selected) => Some(selected),
            Selection::Handshaking | Selection::Unproven => None,
        }
    }

    /// The selected path, and the credentials that it was last heard with.
    fn selected_generation(&self) -> Option<(FiveTuple, &Generation)> {
        let path = self.selected_path()?;
        let number = self.known.iter().find(|known| known.path == path)?.generation;
        Some((path, self.generations().find(|generation| generation.number == number)?))
    }

    fn generations(&self) -> impl Iterator<Item = &Generation> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// A path is proven under this generation: if it is the current one, the previous one is no longer valid.
    fn retire_before(&mut self, generation: Number) -> Option<String> {
        if generation != self.current.number {
            return None;
        }
        self.previous.take().map(|previous| previous.local_ufrag)
    }

    /// The place of the path in `known`, and the path that was forgotten for it.
    pub(super) fn remember(&mut self, path: FiveTuple, generation: Number, now: Instant) -> (usize, Option<FiveTuple>) {
        if let Some(index) = self.known.iter().position(|known| known.path == path) {
            self.known[index].last_heard = now;
            self.known[index].generation = generation;
            return (index, None);
        }
        let mut forgotten = None;
        if self.known.len() >= MAX_PATHS {
            let selected = self.selected_path();
            let spare = self.known.iter().enumerate().filter(|(_, known)| Some(known.path) != selected);
            if let Some((index, _)) = spare.min_by_key(|(_, known)| known.last_heard) {
                forgotten = Some(self.known.swap_remove(index).path);
            }
        }
        self.statistics.paths += 1;
        self.known.push(KnownPath {
            path,
            last_heard: now,
            generation,
            nomination: 0,
            is_waiting: false,
            is_claimed: false,
            check: None,
            has_failed: false,
        });
        (self.known.len() - 1, forgotten)
    }
}
