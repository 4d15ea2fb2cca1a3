//! The places of a listener's connections. It has no clock and closes nothing: it gets the time as an argument, and
//! returns which connection makes way.
//!
//! Requests have a bounded number of places, and each client a share of them. When all are taken, or a client's share
//! is, an idle connection makes way for the new one: one that waits for a request, else one whose client does not read
//! its answer, else one whose client does not send its body; the oldest first. Without an idle connection, the new one
//! gets one of a few reserved places, where only health and metrics are served, for seconds. Event streams have places
//! of their own.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::limits::Limits;
use crate::session::ClientGroup;

/// What a connection counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It serves one request after the other.
    Request,
    /// It may request health or metrics once, because no other place was free.
    Reserved(PlacesFull),
    /// It is held open for events.
    EventStream,
}

/// Why there was no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlacesFull {
    /// All places are taken.
    Relay,
    /// The client's share is taken.
    Client,
}

/// Why a connection may make way: of the first two kinds whichever is oldest, then the others in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// The PROXY header or the TLS handshake is not complete.
    Handshake,
    /// No complete request has arrived.
    Waiting,
    /// The client does not read its answer.
    Unread,
    /// The client does not send its request's body.
    Unsent,
}

pub(super) type Id = u64;

/// The place of a new connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entered {
    pub(super) id: Id,
    pub(super) kind: Kind,
    /// The connection that makes way for it and is to be closed.
    pub(super) ousted: Option<Id>,
}

/// The places of one listener. Behind a mutex: the task of every connection writes, and holds it briefly.
#[derive(Debug)]
pub(super) struct Places {
    limits: Limits,
    next: Id,
    entries: HashMap<Id, Entry>,
    all: Tally,
    by_client: HashMap<ClientGroup, Tally>,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    /// The client that it counts for; `None` for a trusted proxy between requests.
    client: Option<ClientGroup>,
    idle: Option<(Idle, Instant)>,
}

/// The places of one client, or of all.
#[derive(Debug, Default)]
struct Tally {
    requests: usize,
    event_streams: usize,
    reserved: BTreeSet<Id>,
    /// Connections that may make way, by reason in the order of [`Idle`]; within a reason the oldest first.
    idle: [BTreeSet<(Instant, Id)>; 4],
}

impl Places {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, next: 0, entries: HashMap::new(), all: Tally::default(), by_client: HashMap::new() }
    }

    /// Gives a connection that was just accepted a place; `client` is `None` for a trusted proxy, and `waits` is what the
    /// relay waits for first.
    pub(super) fn enter(&mut self, client: Option<ClientGroup>, waits: Idle, now: Instant) -> Entered {
        let (kind, ousted) = match self.full(client) {
            None => (Kind::Request, None),
            Some(full) => {
                let crowd =
                    client.filter(|_| full == PlacesFull::Client).and_then(|client| self.by_client.get(&client));
                match crowd.unwrap_or(&self.all).oldest_idle(now, self.limits.grace) {
                    Some(oldest) => (Kind::Request, Some(oldest)),
                    None => (Kind::Reserved(full), self.crowded_out(client)),
                }
            }
        };
        let ousted = ousted.or_else(|| if waits == Idle::Handshake { self.oldest_handshake(client) } else { None });
        if let Some(ousted) = ousted {
            self.leave(ousted);
        }
        let id = self.next;
        self.next += 1;
        self.entries.insert(id, Entry { kind, client, idle: None });
        self.each_tally(client, |tally| tally.add(id, kind));
        self.idle(id, waits, now);
        Entered { id, kind, ousted }
    }

    /// The oldest handshake of the client, if it has as many at once as it may, or of all clients.
    fn oldest_handshake(&self, client: Option<ClientGroup>) -> Option<Id> {
        let of_client = client.and_then(|client| self.by_client.get(&client));
        let full = |tally: &Tally, limit: usize| {
            let handshakes = &tally.idle[Idle::Handshake as usize];
            handshakes.first().filter(|_| handshakes.len() >= limit).map(|(_, id)| *id)
        };
        let own = of_client.and_then(|tally| full(tally, self.limits.handshakes_per_client));
        own.or_else(|| full(&self.all, self.limits.handshakes))
    }

    /// Frees the place of the oldest idle connection and returns it; the caller closes it.
    pub(super) fn make_way(&mut self, now: Instant) -> Option<Id> {
        let oldest = self.all.oldest_idle(now, self.limits.grace)?;
        self.leave(oldest);
        Some(oldest)
    }

    /// A connection has closed.
    pub(super) fn leave(&mut self, id: Id) {
        self.busy(id);
        if let Some(Entry { kind, client, .. }) = self.entries.remove(&id) {
            self.each_tally(client, |tally| tally.remove(id, kind));
        }
    }

    /// From now on a connection may make way.
    pub(super) fn idle(&mut self, id: Id, why: Idle, now: Instant) {
        self.busy(id);
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.kind == Kind::Request) else { return };
        entry.idle = Some((why, now));
        let client = entry.client;
        self.each_tally(client, |tally| {
            tally.idle[why as usize].insert((now, id));
        });
    }

    /// From now on a connection may not make way.
    pub(super) fn busy(&mut self, id: Id) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Some((why, since)) = entry.idle.take() else { return };
        let client = entry.client;
        self.each_tally(client, |tally| {
            tally.idle[why as usize].remove(&(since, id));
        });
    }

    /// A trusted proxy makes a request for `client` on a connection, or its request is done. False if the client has
    /// its share.
    pub(super) fn ask_for(&mut self, id: Id, client: Option<ClientGroup>) -> bool {
        let Some(&Entry { kind, client: former, .. }) = self.entries.get(&id) else { return false };
        if former == client {
            return true;
        }
        if kind == Kind::Request && client.is_some_and(|client| self.has_its_share(client)) {
            return false;
        }
        self.change(id, kind, client);
        true
    }

    /// Counts a connection as an event stream; false if there is no place for one more.
    pub(super) fn hold_open(&mut self, id: Id) -> bool {
        let Some(&Entry { kind, client, .. }) = self.entries.get(&id) else { return false };
        let of_client = client.and_then(|client| self.by_client.get(&client)).map_or(0, |tally| tally.event_streams);
        let is_full =
            self.all.event_streams >= self.limits.event_streams || of_client >= self.limits.event_streams_per_client;
        if kind == Kind::Request && !is_full {
            self.change(id, Kind::EventStream, client);
            return true;
        }
        kind == Kind::EventStream
    }

    /// Counts a connection as another kind, or for another client.
    fn change(&mut self, id: Id, kind: Kind, client: Option<ClientGroup>) {
        self.leave(id);
        self.entries.insert(id, Entry { kind, client, idle: None });
        self.each_tally(client, |tally| tally.add(id, kind));
    }

    /// Which places are all taken for this client, if any.
    fn full(&self, client: Option<ClientGroup>) -> Option<PlacesFull> {
        if client.is_some_and(|client| self.has_its_share(client)) {
            return Some(PlacesFull::Client);
        }
        (self.all.requests >= self.limits.requests).then_some(PlacesFull::Relay)
    }

    fn has_its_share(&self, client: ClientGroup) -> bool {
        let has = self.by_client.get(&client).map_or(0, |tally| tally.requests);
        self.limits.requests_per_client.is_some_and(|limit| has >= limit)
    }

    /// Which connection loses its reserved place to another one of `client`, if one must.
    fn crowded_out(&self, client: Option<ClientGroup>) -> Option<Id> {
        let own = client.and_then(|client| self.by_client.get(&client)).map(|tally| &tally.reserved);
        match own {
            Some(own) if own.len() >= (self.limits.reserved / 4).max(1) => own.first().copied(),
            _ if self.all.reserved.len() >= self.limits.reserved => self.all.reserved.first().copied(),
            _ => None,
        }
    }

    /// Changes the tally of all and that of a client; an empty tally of a client is removed.
    fn each_tally(&mut self, client: Option<ClientGroup>, change: impl Fn(&mut Tally)) {
        change(&mut self.all);
        let Some(client) = client else { return };
        let tally = self.by_client.entry(client).or_default();
        change(tally);
        if tally.is_empty() {
            self.by_client.remove(&client);
        }
    }
}

impl Tally {
    fn add(&mut self, id: Id, kind: Kind) {
        match kind {
            Kind::Request => self.requests += 1,
            Kind::EventStream => self.event_streams += 1,
            Kind::Reserved(_) => {
                self.reserved.insert(id);
            }
        }
    }

    fn remove(&mut self, id: Id, kind: Kind) {
        match kind {
            Kind::Request => self.requests -= 1,
            Kind::EventStream => self.event_streams -= 1,
            Kind::Reserved(_) => {
                self.reserved.remove(&id);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.requests == 0 && self.event_streams == 0 && self.reserved.is_empty()
    }

    /// The connection that makes way next.
    fn oldest_idle(&self, now: Instant, grace: Duration) -> Option<Id> {
        let [handshake, waiting, unread, unsent] = self.idle.each_ref().map(BTreeSet::first);
        let slow = [unread, unsent].into_iter().flatten();
        let given_up = slow.filter(|(since, _)| now.saturating_duration_since(*since) >= grace);
        let oldest = [handshake, waiting].into_iter().flatten().min();
        oldest.into_iter().chain(given_up).next().map(|(_, id)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        requests: 6,
        requests_per_client: Some(3),
        reserved: 8,
        event_streams: 3,
        event_streams_per_client: 2,
        handshakes: 4,
        handshakes_per_client: 2,
        grace: Duration::from_secs(1),
    };

    fn client(number: u8) -> Option<ClientGroup> {
        Some(ClientGroup::of([192, 0, 2, number].into()))
    }

    /// Places with `busy` connections of each of these clients.
    fn taken(by: &[(u8, usize)], now: Instant) -> Places {
        let mut places = Places::new(LIMITS);
        for (number, busy) in by {
            for _ in 0..*busy {
                let entered = places.enter(client(*number), Idle::Waiting, now);
                assert_eq!(entered.kind, Kind::Request);
                places.busy(entered.id);
            }
        }
        places
    }

    #[test]
    fn the_oldest_that_waits_makes_way_when_all_places_are_taken() {
        let now = Instant::now();
        let mut places = taken(&[(1, 3)], now);
        let later = |seconds| now + Duration::from_secs(seconds);
        let ids = [9, 5, 7].map(|at| places.enter(client(2), Idle::Waiting, later(at)).id);
        let entered = places.enter(client(3), Idle::Waiting, later(10));
        assert_eq!((entered.kind, entered.ousted), (Kind::Request, Some(ids[1])));
        places.busy(ids[2]);
        assert_eq!(places.enter(client(3), Idle::Waiting, later(11)).ousted, Some(ids[0]));
    }

    #[test]
    fn a_client_with_its_share_loses_connections_of_its_own_and_no_others() {
        let now = Instant::now();
        let mut places = Places::new(LIMITS);
        let other = places.enter(client(1), Idle::Waiting, now).id;
        let first = places.enter(client(2), Idle::Waiting, now).id;
        places.enter(client(2), Idle::Waiting, now);
        places.enter(client(2), Idle::Waiting, now);
        let entered = places.enter(client(2), Idle::Waiting, now);
        assert_eq!((entered.kind, entered.ousted), (Kind::Request, Some(first)));
        assert!(places.entries.contains_key(&other));
    }

    #[test]
    fn a_client_that_does_not_read_or_send_makes_way_after_a_second_and_after_those_that_wait() {
        let now = Instant::now();
        let mut places = taken(&[(1, 3), (2, 3)], now);
        places.idle(4, Idle::Unsent, now);
        places.idle(3, Idle::Unread, now + Duration::from_millis(10));
        let early = places.enter(client(3), Idle::Waiting, now + Duration::from_millis(500));
        assert_eq!((early.kind, early.ousted), (Kind::Reserved(PlacesFull::Relay), None));
        places.idle(5, Idle::Waiting, now + Duration::from_secs(3));
        let after = now + Duration::from_secs(4);
        let ousted: Vec<Option<Id>> =
            (3..7).map(|number| places.enter(client(number), Idle::Waiting, after).ousted).collect();
        assert_eq!(ousted[0], Some(5));
        // The new connections are idle themselves by now.
        assert!(ousted[1..].iter().all(|ousted| ousted.is_some_and(|id| id > 5)));
        let newest = places.next;
        (7..newest).for_each(|id| places.busy(id));
        assert_eq!(
            [8, 9, 10].map(|number| {
                let entered = places.enter(client(number), Idle::Waiting, after);
                places.busy(entered.id);
                entered.ousted
            }),
            [Some(3), Some(4), None]
        );
    }

    #[test]
    fn no_client_takes_all_reserved_places() {
        let now = Instant::now();
        let mut places = taken(&[(1, 3), (2, 3)], now);
        let reserve = |places: &mut Places, number| {
            let entered = places.enter(client(number), Idle::Waiting, now);
            assert!(matches!(entered.kind, Kind::Reserved(_)));
            (entered.id, entered.ousted)
        };
        let (health, _) = reserve(&mut places, 9);
        let (first, _) = reserve(&mut places, 1);
        reserve(&mut places, 1);
        assert_eq!(reserve(&mut places, 1).1, Some(first), "a quarter is for one client");
        for number in 20..25 {
            assert_eq!(reserve(&mut places, number).1, None);
        }
        assert_eq!(reserve(&mut places, 30).1, Some(health), "then the oldest makes way");
    }

    #[test]
    fn a_proxy_has_no_share_and_each_of_its_clients_has_one() {
        let now = Instant::now();
        let mut places = Places::new(LIMITS);
        let ids: Vec<Id> = (0..5).map(|_| places.enter(None, Idle::Waiting, now).id).collect();
        assert!(ids[..3].iter().all(|id| places.ask_for(*id, client(1))));
        assert!(!places.ask_for(ids[3], client(1)), "one client behind it has its share");
        assert!(places.ask_for(ids[3], client(2)), "another does not");
        assert!(
            places.ask_for(ids[0], None) && places.ask_for(ids[4], client(1)),
            "an answered request does not count"
        );
        assert_eq!(
            places.enter(client(1), Idle::Waiting, now).kind,
            Kind::Reserved(PlacesFull::Client),
            "its own connections count in the same share"
        );
    }

    #[test]
    fn the_oldest_handshake_makes_way_when_a_client_or_all_have_as_many_as_they_may() {
        let now = Instant::now();
        let mut places = Places::new(LIMITS);
        let mut begin =
            |number, millis| places.enter(client(number), Idle::Handshake, now + Duration::from_millis(millis));
        let first = [begin(1, 0), begin(1, 1)].map(|entered| entered.id);
        assert_eq!(begin(1, 2).ousted, Some(first[0]), "a client has two");
        let second = [begin(2, 3), begin(2, 4)].map(|entered| entered.ousted);
        assert_eq!(second, [None, None]);
        assert_eq!(begin(3, 5).ousted, Some(first[1]), "all have four, and the oldest of all makes way");
        let complete = places.enter(client(4), Idle::Waiting, now + Duration::from_millis(6));
        assert_eq!(complete.ousted, None, "only handshakes are counted");
        places.idle(complete.id, Idle::Waiting, now + Duration::from_millis(7));
        (0..=complete.id).for_each(|id| places.leave(id));
        assert!(places.entries.is_empty() && places.all.is_empty() && places.by_client.is_empty());
    }

    #[test]
    fn of_handshakes_and_idle_connections_the_oldest_makes_way() {
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        let mut places = taken(&[(1, 2), (2, 2)], now);
        let waiting = places.enter(client(3), Idle::Waiting, at(1)).id;
        let handshake = places.enter(client(4), Idle::Handshake, at(2)).id;
        assert_eq!(places.enter(client(5), Idle::Handshake, at(3)).ousted, Some(waiting));
        assert_eq!(places.enter(client(6), Idle::Waiting, at(4)).ousted, Some(handshake));
    }

    #[test]
    fn an_event_stream_counts_elsewhere() {
        let now = Instant::now();
        let mut places = taken(&[(1, 3)], now);
        assert!(places.hold_open(0) && places.hold_open(1) && places.hold_open(1));
        assert!(!places.hold_open(2), "one client has two");
        assert_eq!(places.all.requests, 1);
        assert_eq!(places.enter(client(1), Idle::Waiting, now).kind, Kind::Request);
        places.leave(0);
        assert!(places.hold_open(2));
    }

    #[test]
    fn closed_connections_leave_nothing_behind() {
        let now = Instant::now();
        let mut places = Places::new(LIMITS);
        for number in 0..200 {
            let entered = places.enter(client(number % 5).filter(|_| number % 7 != 0), Idle::Waiting, now);
            match number % 4 {
                0 => places.busy(entered.id),
                1 => places.idle(entered.id, Idle::Unread, now),
                2 => assert!(places.hold_open(entered.id) || places.all.event_streams > 0),
                _ => assert!(places.ask_for(entered.id, client(200)) || places.by_client.len() > 1),
            }
        }
        (0..200).for_each(|id| places.leave(id));
        assert!(places.entries.is_empty() && places.by_client.is_empty() && places.all.is_empty());
        assert!(places.all.idle.iter().all(BTreeSet::is_empty));
    }
}
