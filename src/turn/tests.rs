//! The server in virtual time, with clients that keep to the RFC and with those that do not.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::allocation::{HOLD, UNUSED};
use super::credentials::{Credentials, REALM, key};
use super::relayed_ports::MAX_ALLOCATIONS;
use super::server::{Effect, Server};
use super::service::{Desk, Service, Sessions};
use crate::ice::stun::{self, StunMessage};
use crate::name::SessionId;

const ALLOCATE: u16 = 0x0003;
const REFRESH: u16 = 0x0004;
const CREATE_PERMISSION: u16 = 0x0008;
const CHANNEL_BIND: u16 = 0x0009;
const SEND: u16 = 0x0016;
const DATA: u16 = 0x0017;
const TRANSACTION: [u8; 12] = [7; 12];
const CLIENT: &str = "198.51.100.1:40000";
const CANDIDATE: &str = "203.0.113.7:8081";
/// The address of a candidate with a port that is none.
const OTHER_PORT: &str = "203.0.113.7:22";
/// An address that is no candidate.
const FOREIGN: &str = "203.0.113.8:8081";
const SECOND: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Live(HashMap<SessionId, Vec<SocketAddr>>);

impl Sessions for Live {
    fn candidates(&self, session: &SessionId) -> Option<Vec<SocketAddr>> {
        self.0.get(session).cloned()
    }
}

/// A server with one session, and connections of its client.
struct Bed {
    service: Service,
    live: Live,
    session: SessionId,
    credentials: Credentials,
    now: Instant,
}

/// A connection, and the nonce that its client uses.
struct Connection {
    server: Server,
    nonce: Vec<u8>,
}

type Attribute = (u16, Vec<u8>);

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn peer(text: &str) -> Attribute {
    let mut message = stun::begin(SEND, &TRANSACTION);
    stun::write_xor_address(&mut message, 0x0012, at(text));
    (0x0012, message[24..].to_vec())
}

fn lifetime(seconds: u32) -> Attribute {
    (0x000d, seconds.to_be_bytes().to_vec())
}

fn channel(number: u16) -> Attribute {
    (0x000c, [&number.to_be_bytes()[..], &[0, 0]].concat())
}

fn udp() -> Attribute {
    (0x0019, vec![17, 0, 0, 0])
}

fn message(kind: u16, attributes: &[Attribute]) -> Vec<u8> {
    let mut message = stun::begin(kind, &TRANSACTION);
    for (kind, value) in attributes {
        stun::write_attribute(&mut message, *kind, value);
    }
    message
}

/// The code of an error answer; 0 of a success answer.
fn code(effect: &Effect) -> u16 {
    let Effect::Answer(answer) = effect else { panic!("no answer: {effect:?}") };
    let message = StunMessage::parse(answer).unwrap();
    assert_eq!(message.transaction, TRANSACTION);
    let error = message.attributes().find(|attribute| attribute.kind == 0x0009);
    assert_eq!(error.is_some(), message.kind & 0x0110 == 0x0110, "an error has a code");
    error.map_or(0, |error| u16::from(error.value[2]) * 100 + u16::from(error.value[3]))
}

fn value(effect: &Effect, kind: u16) -> Vec<u8> {
    let Effect::Answer(answer) = effect else { panic!("no answer: {effect:?}") };
    let message = StunMessage::parse(answer).unwrap();
    message.attributes().find(|attribute| attribute.kind == kind).unwrap().value.to_vec()
}

impl Bed {
    fn new() -> Self {
        let (now, session) = (Instant::now(), SessionId::random());
        let service = Service::new(&[3; 32], now);
        let credentials = service.credentials(&session, now);
        let live = Live(HashMap::from([(session, vec![at(CANDIDATE), at("[2001:db8::7]:8081")])]));
        Self { service, live, session, credentials, now }
    }

    fn connect(&self) -> Connection {
        let mut connection = Connection { server: Server::new(self.now), nonce: Vec::new() };
        let challenge = self.send(&mut connection, &stun::finish_unsigned(message(ALLOCATE, &[udp()])));
        assert_eq!(code(&challenge), 401);
        connection.nonce = value(&challenge, 0x0015);
        connection
    }

    fn send(&self, connection: &mut Connection, message: &[u8]) -> Effect {
        self.send_at(self.now, connection, message)
    }

    fn send_at(&self, now: Instant, connection: &mut Connection, message: &[u8]) -> Effect {
        let desk = Desk { service: &self.service, sessions: &self.live };
        connection.server.handle(message, at(CLIENT), desk, now)
    }

    /// Sends a request with these credentials.
    fn request_as(
        &self,
        connection: &mut Connection,
        credentials: &Credentials,
        kind: u16,
        attributes: &[Attribute],
    ) -> Effect {
        let request = Self::signed(connection, credentials, kind, attributes);
        self.send(connection, &request)
    }

    fn signed(
        connection: &Connection,
        Credentials { username, password }: &Credentials,
        kind: u16,
        attributes: &[Attribute],
    ) -> Vec<u8> {
        let mut message = message(kind, attributes);
        stun::write_attribute(&mut message, 0x0006, username.as_bytes());
        stun::write_attribute(&mut message, 0x0014, REALM.as_bytes());
        stun::write_attribute(&mut message, 0x0015, &connection.nonce);
        stun::finish(message, &key(username, password))
    }

    fn request(&self, connection: &mut Connection, kind: u16, attributes: &[Attribute]) -> Effect {
        self.request_as(connection, &self.credentials, kind, attributes)
    }

    /// A connection with an allocation that carries datagrams.
    fn allocated(&self) -> Connection {
        let mut connection = self.connect();
        let request = Self::signed(&connection, &self.credentials, ALLOCATE, &[udp()]);
        assert_eq!(code(&self.send_at(self.now - HOLD, &mut connection, &request)), 0);
        connection
    }

    fn send_indication(&self, connection: &mut Connection, to: &str) -> Effect {
        self.send(connection, &stun::finish_unsigned(message(SEND, &[peer(to), (0x0013, b"check".to_vec())])))
    }

    fn is_in_use(&self, connection: &Connection) -> bool {
        let desk = Desk { service: &self.service, sessions: &self.live };
        connection.server.is_in_use(desk, self.now)
    }

    /// What the client is sent of a datagram from there.
    fn wrap(&self, connection: &Connection, from: &str) -> Option<Vec<u8>> {
        let mut octets = Vec::new();
        connection.server.wrap(at(from), b"answer", self.now, &mut octets).then_some(octets)
    }
}

#[test]
fn an_allocation_has_an_advertised_address_and_carries_datagrams_both_ways() {
    let mut bed = Bed::new();
    let mut connection = bed.connect();
    let allocated = bed.request(&mut connection, ALLOCATE, &[udp()]);
    let relayed = stun::read_xor_address(&value(&allocated, 0x0016), &TRANSACTION).unwrap();
    assert_eq!((relayed.ip(), Some(relayed)), (at(CANDIDATE).ip(), connection.server.relayed()));
    assert_eq!(stun::read_xor_address(&value(&allocated, 0x0020), &TRANSACTION), Some(at(CLIENT)));
    assert_eq!(value(&allocated, 0x000d), 600_u32.to_be_bytes());
    let Effect::Answer(octets) = &allocated else { unreachable!() };
    let signed_with = key(&bed.credentials.username, &bed.credentials.password);
    assert!(StunMessage::parse(octets).unwrap().is_authentic(&signed_with));
    assert_eq!(code(&bed.request(&mut connection, CREATE_PERMISSION, &[peer(CANDIDATE)])), 0);
    bed.now += HOLD;
    let Effect::Datagram { from, to, contents } = bed.send_indication(&mut connection, CANDIDATE) else {
        panic!("it is lost")
    };
    assert_eq!((from, to, contents.len()), (relayed, at(CANDIDATE), 5));
    let octets = bed.wrap(&connection, CANDIDATE).unwrap();
    let indication = StunMessage::parse(&octets).unwrap();
    let attributes: Vec<_> = indication.attributes().map(|attribute| (attribute.kind, attribute.value)).collect();
    assert_eq!((indication.kind, attributes[1]), (DATA, (0x0013, &b"answer"[..])));
    assert_eq!(stun::read_xor_address(attributes[0].1, &indication.transaction), Some(at(CANDIDATE)));
    // A channel has less overhead.
    assert_eq!(code(&bed.request(&mut connection, CHANNEL_BIND, &[channel(0x4001), peer(CANDIDATE)])), 0);
    assert_eq!(bed.wrap(&connection, CANDIDATE).unwrap(), b"\x40\x01\0\x06answer\0\0");
    let carried = bed.send(&mut connection, b"\x40\x01\0\x05check");
    assert_eq!(carried, Effect::Datagram { from: relayed, to: at(CANDIDATE), contents: 4..9 });
    assert_eq!(connection.server.peers(), [at(CANDIDATE)]);
}

#[test]
fn an_allocation_by_ipv6_has_an_address_of_ipv6_and_reaches_no_other() {
    let bed = Bed::new();
    let mut connection = bed.connect();
    let family = |family: u8| (0x0017, vec![family, 0, 0, 0]);
    assert_eq!(code(&bed.request(&mut connection, ALLOCATE, &[udp(), family(3)])), 440);
    assert_eq!(code(&bed.request(&mut connection, ALLOCATE, &[udp(), family(2)])), 0);
    assert_eq!(connection.server.relayed().unwrap().ip(), at("[2001:db8::7]:1").ip());
    assert_eq!(code(&bed.request(&mut connection, CREATE_PERMISSION, &[peer(CANDIDATE)])), 443);
    assert_eq!(code(&bed.request(&mut connection, REFRESH, &[family(1)])), 443);
}

#[test]
fn it_is_no_open_relay_addresses_that_are_no_candidates_are_forbidden() {
    let bed = Bed::new();
    let mut connection = bed.allocated();
    for peers in [&[FOREIGN][..], &[CANDIDATE, FOREIGN], &["127.0.0.1:8081"], &["198.51.100.1:1"]] {
        let peers: Vec<Attribute> = peers.iter().map(|text| peer(text)).collect();
        assert_eq!(code(&bed.request(&mut connection, CREATE_PERMISSION, &peers)), 403);
    }
    for text in [FOREIGN, OTHER_PORT] {
        assert_eq!(code(&bed.request(&mut connection, CHANNEL_BIND, &[channel(0x4000), peer(text)])), 403, "{text}");
        assert_eq!(bed.send_indication(&mut connection, text), Effect::Nothing);
    }
    assert!(bed.wrap(&connection, CANDIDATE).is_none(), "a refused request installs no permission");
    assert_eq!(code(&bed.request(&mut connection, CREATE_PERMISSION, &[peer(CANDIDATE)])), 0);
    assert_eq!(bed.send_indication(&mut connection, OTHER_PORT), Effect::Nothing, "another port of a candidate");
    assert_eq!(bed.send_indication(&mut connection, FOREIGN), Effect::Nothing);
}

#[test]
fn data_before_a_permission_is_lost_and_so_is_data_on_an_unbound_channel() {
    let bed = Bed::new();
    let mut connection = bed.connect();
    assert_eq!(bed.send_indication(&mut connection, CANDIDATE), Effect::Nothing, "before the allocation");
    assert_eq!(bed.send(&mut connection, b"\x40\x01\0\x05check"), Effect::Nothing);
    assert_eq!(code(&bed.request(&mut connection, CREATE_PERMISSION, &[peer(CANDIDATE)])), 437);
    assert_eq!(code(&bed.request(&mut connection, ALLOCATE, &[udp()])), 0);
    assert_eq!(bed.send_indication(&mut connection, CANDIDATE), Effect::Nothing, "before the permission");
    assert_eq!(bed.send(&mut connection, b"\x40\x01\0\x05check"), Effect::Nothing);
    assert!(bed.wrap(&connection, CANDIDATE).is_none() && connection.server.peers().is_empty());
}

#[test]
fn a_session_has_two_allocations_at_a_time_however_many_connections_ask() {
    let bed = Bed::new();
    let mut held: Vec<Connection> = (0..MAX_ALLOCATIONS).map(|_| bed.allocated()).collect();
    assert_eq!(code(&bed.request(&mut held[0], ALLOCATE, &[udp()])), 437, "one on each connection");
    for _ in 0..100 {
        let mut further = bed.connect();
        assert_eq!(code(&bed.request(&mut further, ALLOCATE, &[udp()])), 486);
    }
    assert_eq!(bed.service.allocations(), MAX_ALLOCATIONS);
    assert_ne!(held[0].server.relayed(), held[1].server.relayed());
    assert_eq!(value(&bed.request(&mut held[0], REFRESH, &[lifetime(0)]), 0x000d), [0; 4]);
    bed.allocated();
    drop(held);
    assert_eq!(bed.service.allocations(), 0, "a closed connection leaves none");
}

#[test]
fn a_channel_is_bound_to_one_candidate_and_a_candidate_to_one_channel() {
    let mut bed = Bed::new();
    bed.live.0.insert(bed.session, vec![at(CANDIDATE), at("203.0.113.9:8081")]);
    let mut connection = bed.allocated();
    let mut bind = |number, to| code(&bed.request(&mut connection, CHANNEL_BIND, &[channel(number), peer(to)]));
    assert_eq!(bind(0x4000, CANDIDATE), 0);
    assert_eq!(bind(0x4000, CANDIDATE), 0, "which prolongs it");
    assert_eq!(bind(0x4000, "203.0.113.9:8081"), 400);
    assert_eq!(bind(0x4001, CANDIDATE), 400);
    assert_eq!((bind(0x3fff, CANDIDATE), bind(0x5000, CANDIDATE)), (400, 400));
    assert_eq!(bind(0x4fff, "203.0.113.9:8081"), 0);
    let later = Bed { now: bed.now + 600 * SECOND, ..bed };
    assert_eq!(code(&later.request(&mut connection, REFRESH, &[])), 437, "the allocation is over before");
}

#[test]
fn permissions_channels_and_allocations_end_unless_they_are_refreshed() {
    let mut bed = Bed::new();
    let mut connection = bed.allocated();
    assert_eq!(value(&bed.request(&mut connection, REFRESH, &[lifetime(86_400)]), 0x000d), 3_600_u32.to_be_bytes());
    assert_eq!(code(&bed.request(&mut connection, CHANNEL_BIND, &[channel(0x4000), peer(CANDIDATE)])), 0);
    bed.now += 299 * SECOND;
    assert!(bed.wrap(&connection, CANDIDATE).is_some());
    bed.now += SECOND;
    assert!(bed.wrap(&connection, CANDIDATE).is_none(), "the permission");
    assert_ne!(bed.send(&mut connection, b"\x40\x00\0\x05check"), Effect::Nothing);
    bed.now += 300 * SECOND;
    assert_eq!(bed.send(&mut connection, b"\x40\x00\0\x05check"), Effect::Nothing, "the channel");
    assert_eq!(code(&bed.request(&mut connection, CHANNEL_BIND, &[channel(0x4000), peer(CANDIDATE)])), 0);
    bed.now += 2_999 * SECOND;
    assert_eq!(code(&bed.request(&mut connection, CREATE_PERMISSION, &[peer(CANDIDATE)])), 0);
    assert_ne!(bed.send_indication(&mut connection, CANDIDATE), Effect::Nothing);
    assert!(bed.is_in_use(&connection));
    bed.now += SECOND;
    assert!(!bed.is_in_use(&connection), "the allocation");
    assert_eq!(bed.send(&mut connection, b"\x40\x00\0\x05check"), Effect::Nothing);
    assert_eq!((connection.server.relayed(), bed.service.allocations()), (None, 0));
}

#[test]
fn a_new_allocation_carries_nothing_before_a_client_has_gathered_candidates_for_ice_tcp() {
    let mut bed = Bed::new();
    let mut connection = bed.connect();
    assert_eq!(code(&bed.request(&mut connection, ALLOCATE, &[udp()])), 0);
    assert_eq!(code(&bed.request(&mut connection, CHANNEL_BIND, &[channel(0x4000), peer(CANDIDATE)])), 0);
    bed.now += HOLD - Duration::from_millis(1);
    assert_eq!(bed.send_indication(&mut connection, CANDIDATE), Effect::Nothing);
    assert_eq!(bed.send(&mut connection, b"\x40\x00\0\x05check"), Effect::Nothing);
    bed.now += Duration::from_millis(1);
    assert_ne!(bed.send_indication(&mut connection, CANDIDATE), Effect::Nothing);
    assert_ne!(bed.send(&mut connection, b"\x40\x00\0\x05check"), Effect::Nothing);
}

#[test]
fn an_allocation_that_its_client_does_not_use_ends_although_it_is_refreshed() {
    let mut bed = Bed::new();
    let mut connection = bed.allocated();
    assert_eq!(code(&bed.request(&mut connection, CREATE_PERMISSION, &[peer(CANDIDATE)])), 0);
    bed.now += UNUSED - SECOND;
    assert!(bed.is_in_use(&connection));
    assert_ne!(bed.send_indication(&mut connection, CANDIDATE), Effect::Nothing);
    bed.now += UNUSED - SECOND;
    assert_eq!(code(&bed.request(&mut connection, REFRESH, &[])), 0);
    assert!(bed.is_in_use(&connection));
    bed.now += SECOND;
    assert!(!bed.is_in_use(&connection));
}

#[test]
fn a_wrong_nonce_and_a_stale_one_are_refused_with_the_one_to_use() {
    let mut bed = Bed::new();
    let mut connection = bed.connect();
    let good = std::mem::replace(&mut connection.nonce, b"0123".to_vec());
    let refused = bed.request(&mut connection, ALLOCATE, &[udp()]);
    assert_eq!((code(&refused), value(&refused, 0x0015)), (438, good.clone()));
    connection.nonce = bed.connect().nonce;
    assert_eq!(code(&bed.request(&mut connection, ALLOCATE, &[udp()])), 438, "the nonce of another connection");
    connection.nonce = good.clone();
    assert_eq!(code(&bed.request(&mut connection, ALLOCATE, &[udp(), lifetime(3_600)])), 0);
    bed.now += 3_600 * SECOND - Duration::from_millis(1);
    assert_eq!(code(&bed.request(&mut connection, REFRESH, &[])), 0);
    bed.now += Duration::from_millis(1);
    let refused = bed.request(&mut connection, REFRESH, &[]);
    assert_eq!(code(&refused), 438);
    connection.nonce = value(&refused, 0x0015);
    assert_ne!(connection.nonce, good);
    assert_eq!(code(&bed.request(&mut connection, REFRESH, &[])), 0);
}

#[test]
fn credentials_that_were_not_issued_or_whose_session_has_ended_are_refused() {
    let mut bed = Bed::new();
    let mut connection = bed.allocated();
    let stranger = Service::new(&[4; 32], bed.now).credentials(&bed.session, bed.now);
    let nobody = Credentials { username: "user".to_owned(), password: "password".to_owned() };
    for wrong in [&stranger, &nobody] {
        assert_eq!(code(&bed.request_as(&mut bed.connect(), wrong, ALLOCATE, &[udp()])), 401);
    }
    let other = SessionId::random();
    bed.live.0.insert(other, vec![at(CANDIDATE)]);
    let others = bed.service.credentials(&other, bed.now);
    assert_eq!(code(&bed.request_as(&mut connection, &others, REFRESH, &[])), 441, "another session's");
    assert!(bed.is_in_use(&connection));
    bed.live.0.remove(&bed.session);
    assert!(!bed.is_in_use(&connection));
    assert_eq!(code(&bed.request(&mut connection, REFRESH, &[])), 401);
    assert_eq!(code(&bed.request(&mut bed.connect(), ALLOCATE, &[udp()])), 401);
}

#[test]
fn credentials_allow_new_allocations_for_a_day_and_an_allocation_lasts_as_long_as_its_session() {
    let mut bed = Bed::new();
    let mut connection = bed.allocated();
    for _ in 0..49 {
        assert_eq!(code(&bed.request(&mut connection, REFRESH, &[lifetime(3_600)])), 0);
        bed.now += 1_800 * SECOND;
        let refused = bed.request(&mut connection, REFRESH, &[lifetime(3_600)]);
        if code(&refused) == 438 {
            connection.nonce = value(&refused, 0x0015);
        }
    }
    assert_eq!(code(&bed.request(&mut connection, REFRESH, &[])), 0, "after 24.5 h");
    assert_eq!(code(&bed.request(&mut bed.connect(), ALLOCATE, &[udp()])), 401);
}

#[test]
fn a_client_that_guesses_credentials_is_closed_after_eight_requests() {
    let bed = Bed::new();
    let mut connection = bed.connect();
    let wrong = Credentials { password: "guess".to_owned(), ..bed.credentials.clone() };
    for _ in 0..7 {
        assert_eq!(code(&bed.request_as(&mut connection, &wrong, ALLOCATE, &[udp()])), 401);
    }
    assert_eq!(bed.request_as(&mut connection, &wrong, ALLOCATE, &[udp()]), Effect::Close);
}

#[test]
fn requests_that_are_wrong_or_need_what_is_not_there_are_refused() {
    let bed = Bed::new();
    let mut connection = bed.connect();
    assert_eq!(code(&bed.request(&mut connection, ALLOCATE, &[])), 400, "no transport");
    assert_eq!(code(&bed.request(&mut connection, ALLOCATE, &[(0x0019, vec![6, 0, 0, 0])])), 442, "TCP");
    let reserved = bed.request(&mut connection, ALLOCATE, &[udp(), (0x0018, vec![0x80, 0, 0, 0])]);
    assert_eq!((code(&reserved), value(&reserved, 0x000a)), (420, vec![0, 0x18]), "EVEN-PORT");
    assert_eq!(code(&bed.request(&mut connection, ALLOCATE, &[udp(), (0x000d, vec![0; 3])])), 400, "its length");
    assert_eq!(code(&bed.request(&mut connection, 0x000a, &[])), 400, "a method of other RFCs");
    assert_eq!(bed.send(&mut connection, b"\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), Effect::Close, "no cookie");
    let binding = bed.send(&mut connection, &stun::finish_unsigned(message(0x0001, &[])));
    assert_eq!(stun::read_xor_address(&value(&binding, 0x0020), &TRANSACTION), Some(at(CLIENT)));
}
