//! The demultiplexer in virtual time: clients with webrtc-rs's own STUN and DTLS, and attackers that forge datagrams.

mod dialling;
mod established;
mod floods;
mod handshakes;
mod hellos;
mod hostile;
mod moves;
mod probes;
mod public_stun;
mod restarts;
mod spoofs;
mod times;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtc::crypto::RTCCryptoProvider;
use rtc::stun::attributes::{ATTR_ICE_CONTROLLED, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc::stun::fingerprint::FINGERPRINT;
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::{
    BINDING_REQUEST, BINDING_SUCCESS, CLASS_REQUEST, Getter, METHOD_BINDING, Message, Setter, TransactionId,
};
use rtc::stun::xoraddr::XorMappedAddress;

use super::demultiplexer::*;
use crate::demux::{Demultiplexed, DemuxEvent, Key, Over};
use crate::dtls::SrtpProfiles;
use crate::five_tuple::FiveTuple;
use crate::five_tuple::Protocol;
use crate::ice::Admission;
use crate::ice::Credentials;
use crate::reason::DropReason;

/// The key of the session that a test is about.
fn own_key() -> Key {
    Key::in_place(7)
}

/// A datagram that is RTP by its clear header.
const RTP: &[u8] = &[0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xde, 0xad];

/// A sender report by its payload type.
const RTCP: &[u8] = &[0x80, 200, 0, 1, 0, 0, 0, 1];

/// A fatal alert in clear.
const ALERT: &[u8] = &[21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];

/// Encrypted data of a connected session.
const DATA: &[u8] = &[23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 3, 1, 2, 3];

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// The path from the `number`th address.
fn path(number: u8) -> FiveTuple {
    FiveTuple {
        protocol: Protocol::Udp,
        local: SocketAddr::from(([198, 51, 100, 1], 8081)),
        remote: SocketAddr::from(([192, 0, 2, number], 5_000)),
    }
}

fn credentials(name: &str) -> Credentials {
    Credentials { ufrag: format!("{name}ufrag"), pwd: format!("{name}passwordof24characters") }
}

fn provider() -> std::sync::Arc<dyn RTCCryptoProvider> {
    rtc::crypto::default_provider().unwrap()
}

/// One side of the credentials, as a client has them.
#[derive(Clone)]
struct Client {
    relay: Credentials,
    own: Credentials,
}

impl Client {
    fn new(name: &str) -> Client {
        Client { relay: credentials(&format!("relay{name}")), own: credentials(&format!("client{name}")) }
    }

    fn admission(&self) -> Admission {
        Admission { local: self.relay.clone(), remote: self.own.clone() }
    }

    /// A connectivity check.
    fn check(&self, use_candidate: bool) -> Vec<u8> {
        self.check_signed(use_candidate, &self.relay.pwd)
    }

    /// A connectivity check under any password.
    fn check_signed(&self, use_candidate: bool, password: &str) -> Vec<u8> {
        let provider = provider();
        let username = format!("{}:{}", self.relay.ufrag, self.own.ufrag);
        let mut setters: Vec<Box<dyn Setter + '_>> = vec![
            Box::new(BINDING_REQUEST),
            Box::new(TransactionId::new()),
            Box::new(Raw(ATTR_USERNAME, username.into_bytes())),
        ];
        if use_candidate {
            setters.push(Box::new(Raw(ATTR_USE_CANDIDATE, Vec::new())));
        }
        let integrity =
            MessageIntegrity::new_short_term_integrity_with_provider(password.to_owned(), provider.crypto());
        setters.push(Box::new(integrity));
        setters.push(Box::new(FINGERPRINT));
        let mut message = Message::new();
        message.build(&setters).unwrap();
        message.raw
    }

    /// The answer of a real client to a check of ours; panics if the check is not one that it would answer.
    fn answer(&self, check: &[u8]) -> Vec<u8> {
        let provider = provider();
        let mut request = Message::new();
        request.unmarshal_binary(check).unwrap();
        assert_eq!((request.typ.method, request.typ.class), (METHOD_BINDING, CLASS_REQUEST));
        let username = format!("{}:{}", self.own.ufrag, self.relay.ufrag);
        assert_eq!(request.get(ATTR_USERNAME).unwrap(), username.as_bytes());
        assert!(request.contains(ATTR_ICE_CONTROLLED) && request.contains(ATTR_PRIORITY));
        MessageIntegrity::check(&mut request, self.own.pwd.as_bytes(), provider.crypto()).unwrap();
        FINGERPRINT.check(&request).unwrap();
        self.answer_signed(&request.transaction_id, &self.own.pwd)
    }

    fn answer_signed(&self, transaction: &TransactionId, password: &str) -> Vec<u8> {
        let provider = provider();
        let mut answer = Message::new();
        let setters: Vec<Box<dyn Setter + '_>> = vec![
            Box::new(BINDING_SUCCESS),
            Box::new(*transaction),
            Box::new(XorMappedAddress { ip: [198, 51, 100, 1].into(), port: 8081 }),
            Box::new(MessageIntegrity::new_short_term_integrity_with_provider(password.to_owned(), provider.crypto())),
            Box::new(FINGERPRINT),
        ];
        answer.build(&setters).unwrap();
        answer.raw
    }
}

/// An attribute by its bytes.
struct Raw(rtc::stun::attributes::AttrType, Vec<u8>);

impl Setter for Raw {
    fn add_to(&self, message: &mut Message) -> rtc::shared::error::Result<()> {
        message.add(self.0, &self.1);
        Ok(())
    }
}

/// A demultiplexer and the time.
struct Bed {
    demux: Demux,
    client: Client,
    now: Instant,
}

impl Bed {
    /// One admitted session.
    fn admitted() -> Bed {
        let mut bed = Bed { demux: Demux::new([1; 32]), client: Client::new(""), now: Instant::now() };
        bed.demux.admit(own_key(), bed.client.admission(), bed.now);
        bed
    }

    /// One session whose client has checked path 1.
    fn opened() -> Bed {
        let mut bed = Bed::admitted();
        assert_eq!(bed.check(1, false), Demultiplexed::Opened(own_key()));
        assert_eq!(bed.sent().len(), 1);
        bed
    }

    /// One session, connected on path 1.
    fn connected() -> Bed {
        let mut bed = Bed::opened();
        bed.complete_on(1);
        assert_eq!(bed.demux.path(own_key()), Some(path(1)));
        bed
    }

    /// A handshake from one address, as far as the demultiplexer can see it.
    fn complete_on(&mut self, from: u8) {
        let Demultiplexed::ClientHello { .. } = self.arrive(from, &hellos::hello(0)) else {
            panic!("not a ClientHello");
        };
        assert_eq!(self.demux.send_dtls(own_key(), &hellos::flight(0), self.now), Some(path(from)));
        let Demultiplexed::Dtls { .. } = self.arrive(from, &hellos::message(16, 1, &[0; 40])) else {
            panic!("not DTLS");
        };
        self.demux.connected(own_key(), self.now);
    }

    fn arrive(&mut self, from: u8, datagram: &[u8]) -> Demultiplexed {
        self.demux.handle_datagram(path(from), datagram, self.now)
    }

    /// A real check of the client.
    fn check(&mut self, from: u8, use_candidate: bool) -> Demultiplexed {
        let check = self.client.check(use_candidate);
        self.arrive(from, &check)
    }

    /// What the demultiplexer sends.
    fn sent(&mut self) -> Vec<(FiveTuple, Vec<u8>)> {
        std::iter::from_fn(|| self.demux.poll_transmit()).collect()
    }

    /// The checks of ours among what the demultiplexer sends.
    fn our_checks(&mut self) -> Vec<(FiveTuple, Vec<u8>)> {
        self.sent().into_iter().filter(|(_, datagram)| datagram.starts_with(&[0, 1])).collect()
    }

    fn events(&mut self) -> Vec<DemuxEvent> {
        std::iter::from_fn(|| self.demux.poll_event()).collect()
    }

    /// Advances the time from timeout to timeout.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.demux.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.demux.handle_timeout(self.now);
        }
        self.now = end;
    }
}

#[test]
fn answers_a_valid_check_with_its_source_address() {
    let mut bed = Bed::admitted();
    assert_eq!(bed.check(9, false), Demultiplexed::Opened(own_key()));
    let sent = bed.sent();
    let [(to, answer)] = sent.as_slice() else {
        panic!("not one answer: {sent:?}");
    };
    assert_eq!(*to, path(9));
    let mut message = Message::new();
    message.unmarshal_binary(answer).unwrap();
    FINGERPRINT.check(&message).unwrap();
    MessageIntegrity::check(&mut message, bed.client.relay.pwd.as_bytes(), provider().crypto()).unwrap();
    let mut address = XorMappedAddress::default();
    address.get_from(&message).unwrap();
    assert_eq!((address.ip, address.port), (path(9).remote.ip(), path(9).remote.port()));
    assert_eq!(bed.check(9, true), Demultiplexed::Answered);
}

#[test]
fn reports_an_unknown_ufrag_and_accepts_the_same_datagram_once_the_session_is_admitted() {
    let mut bed = Bed::admitted();
    let late = Client::new("late");
    let check = late.check(true);
    assert_eq!(bed.arrive(3, &check), Demultiplexed::UnknownUfrag { ufrag: late.relay.ufrag.clone() });
    assert_eq!(bed.sent(), []);
    bed.demux.admit(Key::in_place(8), late.admission(), bed.now);
    assert_eq!(bed.arrive(3, &check), Demultiplexed::Opened(Key::in_place(8)));
}

#[test]
fn a_live_session_passes_rtp_rtcp_and_dtls_by_their_first_bytes() {
    let mut bed = Bed::connected();
    assert_eq!(bed.arrive(1, RTP), Demultiplexed::Rtp(own_key()));
    assert_eq!(bed.arrive(1, RTCP), Demultiplexed::Rtcp(own_key()));
    assert_eq!(bed.arrive(1, DATA), Demultiplexed::Dtls { key: own_key(), datagram: None, clear: false });
    assert_eq!(bed.arrive(2, RTP), Demultiplexed::Foreign);
    for unknown in [&[][..], &[0x80], &[64, 0, 0, 0], &[200; 20]] {
        assert_eq!(bed.arrive(1, unknown), Demultiplexed::Dropped(DropReason::Unrecognised));
    }
}

#[test]
fn a_late_answer_proves_nothing_to_the_next_session_in_the_same_place() {
    let mut bed = Bed::connected();
    bed.sent();
    bed.demux.probe(own_key(), bed.now);
    let (_, probe) = bed.our_checks().remove(0);
    let answer = bed.client.answer(&probe);
    bed.demux.remove(own_key());
    let next = Key::next_in_place(own_key());
    bed.demux.admit(next, bed.client.admission(), bed.now);
    assert_eq!(bed.demux.path(own_key()), None, "the key names no other session");
    assert_eq!(bed.check(1, true), Demultiplexed::Opened(next));
    bed.sent();
    assert_eq!(bed.arrive(1, &answer), Demultiplexed::Foreign);
    assert_eq!(bed.demux.facts(next).unwrap().round_trip, None);
}

#[test]
fn a_removed_session_leaves_nothing_behind() {
    let mut bed = Bed::connected();
    bed.demux.restart(own_key(), Client::new("again").admission());
    bed.check(2, true);
    bed.demux.remove(own_key());
    assert!(bed.demux.sessions.is_empty() && bed.demux.claim_by_path.is_empty());
    assert!(bed.demux.key_by_ufrag.is_empty() && bed.demux.timers.is_empty());
    assert_eq!(bed.arrive(1, RTP), Demultiplexed::Foreign);
    assert_eq!(bed.demux.path(own_key()), None);
}
