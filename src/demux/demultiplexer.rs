//! The demultiplexer of one worker: which session a datagram belongs to, and whether it passes (RFC 7983).
//!
//! A datagram's way reads from [`Demux::handle_datagram`]: STUN goes to the session's ICE agent, DTLS to its handshake,
//! RTP and RTCP only from a checked five-tuple to the caller.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use slotmap::SecondaryMap;

use super::demultiplexed::{Demultiplexed, DemuxEvent, DemuxFacts, Key};
use super::session::Session;
use crate::five_tuple::FiveTuple;
use crate::ice::Admission;
use crate::ice::agent::Statistics;
use crate::ice::public_stun::{PublicAnswer, PublicStun};
use crate::ice::stun::{Class, StunMessage, Transaction};
use crate::reason::DropReason;

/// Datagrams of the demultiplexer's own that wait to be sent. The worker takes them after each batch of at most 256
/// received datagrams; when the queue is full, further ones are dropped, as the network would.
pub(super) const MAX_TRANSMITS: usize = 2_048;

#[derive(Copy, Clone)]
pub(super) struct Claim {
    pub(super) key: Key,
    /// True if the client has proven that it receives there: by the DTLS handshake, or by an answer to our check.
    pub(super) proven: bool,
}

/// The sessions of one worker by ufrag and by five-tuple.
pub(crate) struct Demux {
    pub(super) sessions: SecondaryMap<Key, Session>,
    /// The session admitted last in each place, for answers to our checks: their transaction ids name the place.
    key_by_place: Vec<Key>,
    pub(super) claim_by_path: HashMap<FiveTuple, Claim, foldhash::fast::RandomState>,
    pub(super) key_by_ufrag: HashMap<String, Key, foldhash::fast::RandomState>,
    /// One entry per session: the earliest time at which something may be due.
    pub(super) timers: BTreeSet<(Instant, Key)>,
    pub(super) transmits: VecDeque<(FiveTuple, Vec<u8>)>,
    pub(super) events: VecDeque<DemuxEvent>,
    pub(super) random: StdRng,
    pub(super) tie_breaker: u64,
    /// Hides the places of sessions in transaction ids.
    mask: u32,
    /// Answers requests without credentials.
    public_stun: Option<PublicStun>,
}

impl Demux {
    /// An empty demultiplexer. `seed` must be random and secret: the transaction ids of our checks come from it.
    pub(crate) fn new(seed: [u8; 32]) -> Demux {
        let mut random = StdRng::from_seed(seed);
        Demux {
            sessions: SecondaryMap::new(),
            key_by_place: Vec::new(),
            claim_by_path: HashMap::default(),
            key_by_ufrag: HashMap::default(),
            timers: BTreeSet::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            tie_breaker: random.next_u64(),
            mask: random.next_u32(),
            public_stun: None,
            random,
        }
    }

    /// Answers Binding requests without credentials if `public_stun` is given.
    pub(crate) fn with(self, public_stun: Option<PublicStun>) -> Self {
        Self { public_stun, ..self }
    }

    /// Adds a session: from now on checks for its ufrag are answered. It has 10 s to complete DTLS.
    pub(crate) fn admit(&mut self, key: Key, admission: Admission, now: Instant) {
        self.remove(key);
        self.key_by_ufrag.insert(admission.local.ufrag.clone(), key);
        self.sessions.insert(key, Session::new(admission, now));
        let place = key.place() as usize;
        if self.key_by_place.len() <= place {
            self.key_by_place.resize(place + 1, Key::default());
        }
        self.key_by_place[place] = key;
        self.arm(key);
    }

    /// Adds the credentials of an ICE restart (RFC 8445 9). The old ones stay valid, and media stays where it is,
    /// until a path is proven under the new ones.
    pub(crate) fn restart(&mut self, key: Key, admission: Admission) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let ufrag = admission.local.ufrag.clone();
        let retired = session.agent.restart(admission);
        self.retire(key, retired);
        self.key_by_ufrag.insert(ufrag, key);
    }

    /// Removes a session, its ufrags and its five-tuples.
    pub(crate) fn remove(&mut self, key: Key) {
        let Some(session) = self.sessions.remove(key) else {
            return;
        };
        for ufrag in session.agent.ufrags() {
            self.key_by_ufrag.remove(ufrag);
        }
        for path in session.agent.paths() {
            release(&mut self.claim_by_path, path, key);
        }
        if let Some(armed) = session.armed {
            self.timers.remove(&(armed, key));
        }
    }

    /// Finds out what a datagram is and which session it belongs to (RFC 7983, RFC 5761 4).
    pub(crate) fn handle_datagram(&mut self, path: FiveTuple, datagram: &[u8], now: Instant) -> Demultiplexed {
        match datagram {
            [128..=191, second, ..] => self.handle_media(path, matches!(second, 192..=223)),
            [0..=3, ..] => self.handle_stun(path, datagram, now),
            [20..=63, ..] => self.handle_dtls(path, datagram, now),
            _ => Demultiplexed::Dropped(DropReason::Unrecognised),
        }
    }

    /// The next datagram to send, and where: a STUN answer, a check or a repeated flight.
    pub(crate) fn poll_transmit(&mut self) -> Option<(FiveTuple, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub(crate) fn poll_event(&mut self) -> Option<DemuxEvent> {
        self.events.pop_front()
    }

    /// When to call `handle_timeout`; `None` if nothing is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Repeats checks and flights that are due, and ends sessions whose time is up.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(due, key)) = self.timers.first().filter(|(due, _)| *due <= now) {
            self.timers.remove(&(due, key));
            let Some(session) = self.sessions.get_mut(key) else {
                continue;
            };
            session.armed = None;
            if let Some(overdue) = session.overdue(now) {
                session.end();
                self.events.push_back(DemuxEvent::Over(key, overdue));
                continue;
            }
            let transmits = &mut self.transmits;
            session.handshake.poll_repeat(now, |path, bytes| push(transmits, path, bytes.to_vec()));
            session.agent.poll_checks(self.tie_breaker, now, |path, bytes| push(transmits, path, bytes));
            let is_check_due = session.agent.take_due_check(now);
            if let Some(path) = session.agent.nominate_waiting(now) {
                self.check(key, path, now);
            }
            if is_check_due {
                self.probe(key, now);
            }
            self.arm(key);
        }
    }

    /// SRTP or SRTCP from `path` has passed its authentication, which renews consent.
    pub(crate) fn authenticated(&mut self, key: Key, path: FiveTuple, now: Instant) {
        if self.sessions.get_mut(key).is_some_and(|session| session.authenticated(path, now)) {
            self.events.push_back(DemuxEvent::Heard(key));
        }
    }

    /// Where to send to this session now. Before DTLS has completed, the path of the handshake; then the selected path,
    /// and `None` while none is selected.
    pub(crate) fn path(&self, key: Key) -> Option<FiveTuple> {
        self.sessions.get(key)?.path()
    }

    /// The facts of a session for its log line.
    pub(crate) fn facts(&self, key: Key) -> Option<DemuxFacts> {
        let session = self.sessions.get(key)?;
        let Statistics { checks, forged, first, paths, moves, round_trip } = session.agent.statistics();
        Some(DemuxFacts { checks, forged, first, paths, moves, dropped: session.dropped, round_trip })
    }

    /// Sends a Binding request to a connected client on its selected path (RFC 8445 7.2). The answer sets
    /// [`DemuxFacts::round_trip`], which a publisher's RTCP does not show, and shows that the client lives; a missing
    /// answer has no effect.
    pub(crate) fn probe(&mut self, key: Key, now: Instant) {
        let transaction = self.new_transaction(key);
        let Some(session) = self.sessions.get_mut(key).filter(|session| session.is_connected()) else { return };
        if let Some((path, request)) = session.agent.probe(transaction, self.tie_breaker, now) {
            push(&mut self.transmits, path, request);
        }
    }

    /// When the session was last heard on its selected path, by a valid check, SRTP or SRTCP. `None` while it has no
    /// selected path.
    pub(crate) fn heard(&self, key: Key) -> Option<Instant> {
        self.sessions.get(key)?.selected_heard()
    }

    /// The session that has proven this path.
    pub(crate) fn owner(&self, path: &FiveTuple) -> Option<Key> {
        self.claim_by_path.get(path).filter(|claim| claim.proven).map(|claim| claim.key)
    }

    /// Queues one [`DemuxEvent::Heard`] when the session is next heard on its selected path.
    pub(crate) fn report_when_heard(&mut self, key: Key) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.reports_when_heard = true;
        }
    }

    pub(super) fn handle_media(&mut self, path: FiveTuple, is_rtcp: bool) -> Demultiplexed {
        let Some(&Claim { key, proven }) = self.claim_by_path.get(&path) else {
            return Demultiplexed::Foreign;
        };
        if !proven && !self.sessions.get(key).is_some_and(Session::is_connected) {
            return refuse(&mut self.sessions, key, DropReason::UnknownPath);
        }
        if is_rtcp { Demultiplexed::Rtcp(key) } else { Demultiplexed::Rtp(key) }
    }

    pub(super) fn handle_stun(&mut self, path: FiveTuple, datagram: &[u8], now: Instant) -> Demultiplexed {
        let Some(message) = StunMessage::parse(datagram) else {
            return Demultiplexed::Dropped(DropReason::NotIntegrity);
        };
        match message.class {
            Class::Request => self.handle_request(path, &message, now),
            Class::Success => self.handle_answer(path, &message, now),
            Class::Error => self.handle_error(path, &message, now),
            Class::Other => Demultiplexed::Foreign,
        }
    }

    pub(super) fn handle_request(&mut self, path: FiveTuple, request: &StunMessage, now: Instant) -> Demultiplexed {
        let Some(ufrag) = request.local_ufrag() else {
            return self.handle_public_request(path, request, now);
        };
        let Some(&key) = self.key_by_ufrag.get(ufrag) else {
            return Demultiplexed::UnknownUfrag { ufrag: ufrag.to_owned() };
        };
        let Some(session) = self.sessions.get_mut(key).filter(|session| !session.is_over()) else {
            return Demultiplexed::Dropped(DropReason::UnknownPath);
        };
        let is_contested = self.claim_by_path.get(&path).is_some_and(|claim| claim.key != key);
        let Some(handled) = session.agent.handle_request(path, request, is_contested, now) else {
            return Demultiplexed::Dropped(DropReason::NotIntegrity);
        };
        push(&mut self.transmits, path, handled.answer);
        if handled.is_selected && session.take_awaited() {
            self.events.push_back(DemuxEvent::Heard(key));
        }
        if handled.is_claimed {
            self.claim_by_path.insert(path, Claim { key, proven: false });
        }
        if let Some(forgotten) = handled.forgotten {
            release(&mut self.claim_by_path, forgotten, key);
        }
        self.retire(key, handled.retired);
        self.check(key, path, now);
        self.arm(key);
        if handled.is_first { Demultiplexed::Opened(key) } else { Demultiplexed::Answered }
    }

    /// Answers a request without credentials if that is allowed. It belongs to no session.
    fn handle_public_request(&mut self, path: FiveTuple, request: &StunMessage, now: Instant) -> Demultiplexed {
        let Some(public) = self.public_stun.as_mut().filter(|_| request.is_plain()) else {
            return Demultiplexed::Dropped(DropReason::NotIntegrity);
        };
        match public.answer(request, path.remote, now) {
            PublicAnswer::Send(answer) => {
                push(&mut self.transmits, path, answer);
                Demultiplexed::PublicAnswer
            }
            PublicAnswer::Limited => Demultiplexed::Dropped(DropReason::StunLimit),
        }
    }

    pub(super) fn handle_answer(&mut self, path: FiveTuple, answer: &StunMessage, now: Instant) -> Demultiplexed {
        let Some(key) = self.requester(&answer.transaction) else {
            return Demultiplexed::Foreign;
        };
        let session = self.sessions.get_mut(key).filter(|session| !session.is_over());
        let Some(proof) = session.and_then(|session| session.agent.handle_answer(path, answer, now)) else {
            return Demultiplexed::Foreign;
        };
        let loser = self.claim_by_path.insert(path, Claim { key, proven: true }).map(|claim| claim.key);
        if let Some(session) = loser.filter(|loser| *loser != key).and_then(|loser| self.sessions.get_mut(loser)) {
            session.agent.lose(path);
        }
        self.retire(key, proof.retired);
        if proof.is_selected && self.sessions.get_mut(key).is_some_and(Session::take_awaited) {
            self.events.push_back(DemuxEvent::Heard(key));
        }
        if proof.has_moved {
            self.events.push_back(DemuxEvent::Moved { key, path });
        }
        if proof.is_first {
            // The path that a dialling agent nominates.
            self.check(key, path, now);
        }
        self.arm(key);
        if proof.is_first { Demultiplexed::Opened(key) } else { Demultiplexed::Answered }
    }

    pub(super) fn retire(&mut self, key: Key, retired: Option<String>) {
        if let Some(ufrag) = retired {
            self.key_by_ufrag.remove(&ufrag);
            self.events.push_back(DemuxEvent::Retired { key, ufrag });
        }
    }

    /// Begins a check of `path` if the session needs one, and sends the copies that are due.
    pub(super) fn check(&mut self, key: Key, path: FiveTuple, now: Instant) {
        let transaction = self.new_transaction(key);
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.agent.begin_check(path, transaction, now);
        let transmits = &mut self.transmits;
        session.agent.poll_checks(self.tie_breaker, now, |path, bytes| push(transmits, path, bytes));
    }

    /// A transaction id for a request of this session: 32 bits name the place of the session, so that an answer finds
    /// it without a search, and 64 bits are random. An answer that comes too late may find the next session in that
    /// place, which has sent no request with that id.
    pub(super) fn new_transaction(&mut self, key: Key) -> Transaction {
        let mut transaction = [0; 12];
        self.random.fill_bytes(&mut transaction);
        transaction[..4].copy_from_slice(&(key.place() ^ self.mask).to_be_bytes());
        transaction
    }

    /// The session in the place that a transaction id names.
    pub(super) fn requester(&self, transaction: &Transaction) -> Option<Key> {
        let [a, b, c, d, ..] = *transaction;
        let place = u32::from_be_bytes([a, b, c, d]) ^ self.mask;
        self.key_by_place.get(place as usize).copied()
    }

    /// Sets the session's timer if it must fire earlier than it is set. A timer that fires too early is set again, so
    /// that a deadline which moves with every packet costs nothing.
    pub(super) fn arm(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(due) = session.poll_timeout() else {
            return;
        };
        if session.armed.is_some_and(|armed| armed <= due) {
            return;
        }
        if let Some(armed) = session.armed.replace(due) {
            self.timers.remove(&(armed, key));
        }
        self.timers.insert((due, key));
    }
}

pub(super) fn push(transmits: &mut VecDeque<(FiveTuple, Vec<u8>)>, path: FiveTuple, datagram: Vec<u8>) {
    if transmits.len() < MAX_TRANSMITS {
        transmits.push_back((path, datagram));
    }
}

pub(super) fn release(
    claim_by_path: &mut HashMap<FiveTuple, Claim, foldhash::fast::RandomState>,
    path: FiveTuple,
    key: Key,
) {
    if claim_by_path.get(&path).is_some_and(|claim| claim.key == key) {
        claim_by_path.remove(&path);
    }
}

pub(super) fn refuse(sessions: &mut SecondaryMap<Key, Session>, key: Key, reason: DropReason) -> Demultiplexed {
    if let Some(session) = sessions.get_mut(key) {
        session.dropped += 1;
    }
    Demultiplexed::Dropped(reason)
}
