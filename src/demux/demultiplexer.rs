//! The demultiplexer of one worker: which session a datagram belongs to, and whether it may pass (RFC 7983).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Demultiplexed, Event, Facts, Key};
use crate::five_tuple::FiveTuple;
use crate::ice::Admission;
use crate::reason::DropReason;

use super::session::{Overdue, Session};
use crate::ice::stun::{Class, Message};

/// Datagrams of the demultiplexer's own that wait to be sent; the worker takes them each turn, which brings at most 256
/// datagrams in. When full, further ones are lost as the network would lose them.
pub(super) const MAX_TRANSMITS: usize = 2_048;

/// RFC 8445 5.3: 4 to 256 ICE characters.
pub(super) const UFRAG_LENGTH: std::ops::RangeInclusive<usize> = 4..=256;

#[derive(Copy, Clone)]
pub(super) struct Claim {
    pub(super) key: Key,
    /// Media may come from there.
    pub(super) proven: bool,
}

/// All sessions of one worker, as the network sees them.
pub struct Demux {
    pub(super) sessions: HashMap<Key, Session, foldhash::fast::RandomState>,
    pub(super) claim_by_path: HashMap<FiveTuple, Claim, foldhash::fast::RandomState>,
    pub(super) key_by_ufrag: HashMap<String, Key, foldhash::fast::RandomState>,
    /// One entry a session: the earliest time at which it may have something due.
    pub(super) timers: BTreeSet<(Instant, Key)>,
    pub(super) transmits: VecDeque<(FiveTuple, Vec<u8>)>,
    pub(super) events: VecDeque<Event>,
    pub(super) random: StdRng,
    pub(super) tie_breaker: u64,
    /// Hides keys in transaction ids.
    pub(super) mask: u32,
}

impl Demux {
    /// An empty demultiplexer. `seed` must be random and secret: the transaction ids of our checks come from it.
    pub fn new(seed: [u8; 32]) -> Demux {
        let mut random = StdRng::from_seed(seed);
        Demux {
            sessions: HashMap::default(),
            claim_by_path: HashMap::default(),
            key_by_ufrag: HashMap::default(),
            timers: BTreeSet::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            tie_breaker: random.next_u64(),
            mask: random.next_u32(),
            random,
        }
    }

    /// Lets a session in: from now on checks for its ufrag are answered. It has 10 s to complete DTLS.
    pub fn admit(&mut self, key: Key, admission: Admission, now: Instant) {
        self.remove(key);
        self.key_by_ufrag.insert(admission.local.ufrag.clone(), key);
        self.sessions.insert(key, Session::new(admission, now));
        self.arm(key);
    }

    /// Adds the credentials of an ICE restart (RFC 8445 9). The old ones stay valid, and media stays where it is,
    /// until a path is proven under the new ones.
    pub fn restart(&mut self, key: Key, admission: Admission) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let ufrag = admission.local.ufrag.clone();
        let retired = session.restart(admission);
        self.retire(key, retired);
        self.key_by_ufrag.insert(ufrag, key);
    }

    /// Forgets a session, its ufrags and its paths.
    pub fn remove(&mut self, key: Key) {
        let Some(session) = self.sessions.remove(&key) else {
            return;
        };
        for ufrag in session.ufrags() {
            self.key_by_ufrag.remove(ufrag);
        }
        for path in session.paths() {
            release(&mut self.claim_by_path, path, key);
        }
        if let Some(armed) = session.armed {
            self.timers.remove(&(armed, key));
        }
    }

    /// Says what a datagram is and whose (RFC 7983, RFC 5761 4). Nothing it holds can do more than its sender has
    /// proven to be entitled to.
    pub fn handle_datagram(&mut self, path: FiveTuple, datagram: &[u8], now: Instant) -> Demultiplexed {
        match datagram {
            [128..=191, second, ..] => self.handle_media(path, matches!(second, 192..=223)),
            [0..=3, ..] => self.handle_stun(path, datagram, now),
            [20..=63, ..] => self.handle_dtls(path, datagram, now),
            _ => Demultiplexed::Dropped(DropReason::Unrecognised),
        }
    }

    /// STUN answers, checks and repeated flights to send.
    pub fn poll_transmit(&mut self) -> Option<(FiveTuple, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When `handle_timeout` has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Repeats what is due and ends what is overdue.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(due, key)) = self.timers.first().filter(|(due, _)| *due <= now) {
            self.timers.remove(&(due, key));
            let Some(session) = self.sessions.get_mut(&key) else {
                continue;
            };
            session.armed = None;
            if let Some(overdue) = session.overdue(now) {
                session.end();
                self.events.push_back(match overdue {
                    Overdue::NeverConnected => Event::NeverConnected(key),
                    Overdue::Silent => Event::Silent(key),
                });
                continue;
            }
            let transmits = &mut self.transmits;
            session.handshake.poll_repeat(now, |path, bytes| push(transmits, path, bytes.to_vec()));
            session.poll_checks(self.tie_breaker, now, |path, bytes| push(transmits, path, bytes));
            self.arm(key);
        }
    }

    /// SRTP or SRTCP that came on `path` has passed its authentication: the session is alive there.
    pub fn authenticated(&mut self, key: Key, path: FiveTuple, now: Instant) {
        if self.sessions.get_mut(&key).is_some_and(|session| session.authenticated(path, now)) {
            self.events.push_back(Event::Heard(key));
        }
    }

    /// Where to send to this session now: media goes nowhere else. `None` until a path is proven; while DTLS is under
    /// way, the path it goes over.
    pub fn path(&self, key: Key) -> Option<FiveTuple> {
        self.sessions.get(&key)?.path()
    }

    /// What the demultiplexer knows about a session.
    pub fn facts(&self, key: Key) -> Option<Facts> {
        let session = self.sessions.get(&key)?;
        Some(Facts { profiles: session.handshake.profiles(), ..session.facts })
    }

    pub(super) fn handle_media(&mut self, path: FiveTuple, is_rtcp: bool) -> Demultiplexed {
        match self.claim_by_path.get(&path) {
            Some(Claim { key, proven: true }) if is_rtcp => Demultiplexed::Rtcp(*key),
            Some(Claim { key, proven: true }) => Demultiplexed::Rtp(*key),
            Some(Claim { key, .. }) => refuse(&mut self.sessions, *key, DropReason::UnknownPath),
            None => Demultiplexed::Foreign,
        }
    }

    pub(super) fn handle_stun(&mut self, path: FiveTuple, datagram: &[u8], now: Instant) -> Demultiplexed {
        let Some(message) = Message::parse(datagram) else {
            return Demultiplexed::Dropped(DropReason::NotIntegrity);
        };
        match message.class {
            Class::Request => self.handle_request(path, &message, now),
            Class::Success => self.handle_answer(path, &message, now),
            Class::Other => Demultiplexed::Foreign,
        }
    }

    pub(super) fn handle_request(&mut self, path: FiveTuple, request: &Message, now: Instant) -> Demultiplexed {
        let Some(ufrag) = local_ufrag(request) else {
            return Demultiplexed::Dropped(DropReason::NotIntegrity);
        };
        let Some(&key) = self.key_by_ufrag.get(ufrag) else {
            return Demultiplexed::UnknownUfrag { ufrag: ufrag.to_owned() };
        };
        let Some(session) = self.sessions.get_mut(&key).filter(|session| !session.is_over()) else {
            return Demultiplexed::Dropped(DropReason::UnknownPath);
        };
        let Some(generation) = session.authenticate(request) else {
            session.facts.forged += 1;
            return Demultiplexed::Dropped(DropReason::NotIntegrity);
        };
        push(&mut self.transmits, path, generation.answer(&request.transaction, path.remote));
        let number = generation.number;
        let contested = self.claim_by_path.get(&path).is_some_and(|claim| claim.key != key);
        let heard = session.hear(path, number, request.use_candidate, contested, now);
        session.facts.checks += 1;
        let is_first = session.facts.first.is_none();
        session.facts.first.get_or_insert(path);
        self.events.extend(heard.awaited.then_some(Event::Heard(key)));
        if heard.claimed {
            self.claim_by_path.insert(path, Claim { key, proven: false });
        }
        if let Some(forgotten) = heard.forgotten {
            release(&mut self.claim_by_path, forgotten, key);
        }
        self.retire(key, heard.retired);
        self.check(key, path, now);
        self.arm(key);
        if is_first { Demultiplexed::Opened(key) } else { Demultiplexed::Answered }
    }

    pub(super) fn handle_answer(&mut self, path: FiveTuple, answer: &Message, now: Instant) -> Demultiplexed {
        let key = self.asker(&answer.transaction);
        let session = self.sessions.get_mut(&key).filter(|session| !session.is_over());
        let Some(proof) = session.and_then(|session| session.prove(path, answer, now)) else {
            return Demultiplexed::Foreign;
        };
        let loser = self.claim_by_path.insert(path, Claim { key, proven: true }).map(|claim| claim.key);
        if let Some(session) = loser.filter(|loser| *loser != key).and_then(|loser| self.sessions.get_mut(&loser)) {
            session.lose(path);
        }
        self.retire(key, proof.retired);
        if proof.moved {
            self.events.push_back(Event::Moved { key, path });
        }
        self.arm(key);
        Demultiplexed::Answered
    }

    pub(super) fn retire(&mut self, key: Key, retired: Option<String>) {
        if let Some(ufrag) = retired {
            self.key_by_ufrag.remove(&ufrag);
            self.events.push_back(Event::Retired { key, ufrag });
        }
    }

    /// Begins a check of `path` if the session needs one, and sends what is due.
    pub(super) fn check(&mut self, key: Key, path: FiveTuple, now: Instant) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let mut transaction = [0; 12];
        self.random.fill_bytes(&mut transaction);
        transaction[..4].copy_from_slice(&(key.0 ^ self.mask).to_be_bytes());
        session.begin_check(path, transaction, now);
        let transmits = &mut self.transmits;
        session.poll_checks(self.tie_breaker, now, |path, bytes| push(transmits, path, bytes));
    }

    /// The session that a transaction id of ours names: 32 bits say whose it is, so that an answer finds its session
    /// without a search, and 64 are random.
    pub(crate) fn asker(&self, transaction: &crate::ice::stun::Transaction) -> Key {
        let [a, b, c, d, ..] = *transaction;
        Key(u32::from_be_bytes([a, b, c, d]) ^ self.mask)
    }

    /// Sets the session's timer if it has to fire earlier than it is set. One that fires too early is set again, so
    /// that a deadline which moves with every packet costs nothing.
    pub(super) fn arm(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(&key) else {
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

/// The relay's half of the USERNAME of a request that is signed at all; whether rightly is still to be seen.
pub(super) fn local_ufrag<'a>(request: &Message<'a>) -> Option<&'a str> {
    let username = std::str::from_utf8(request.username.filter(|_| request.is_signed())?).ok()?;
    let (local, _remote) = username.split_once(':')?;
    let is_ice = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    (UFRAG_LENGTH.contains(&local.len()) && local.bytes().all(is_ice)).then_some(local)
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

pub(super) fn refuse(
    sessions: &mut HashMap<Key, Session, foldhash::fast::RandomState>,
    key: Key,
    reason: DropReason,
) -> Demultiplexed {
    if let Some(session) = sessions.get_mut(&key) {
        session.facts.dropped += 1;
    }
    Demultiplexed::Dropped(reason)
}
