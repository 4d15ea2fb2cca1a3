//! TURN on a TCP connection: where messages end does not depend on how they arrive, and whatever a client with
//! credentials sends, it reaches the candidates of its session alone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use md5::{Digest as _, Md5};
use proptest::prelude::*;
use ring::hmac;
use sluice::ice::stun::StunMessage;
use sluice::name::SessionId;
use sluice::turn::frames::{Next, NotTurn, next};
use sluice::turn::server::{Effect, Server};
use sluice::turn::service::{Desk, Service, Sessions};

use crate::cases;
use crate::change::changed;
use crate::turn_message::{TRANSACTION, attribute, found, message, peer, read, whole};

const ALLOCATE: u16 = 0x0003;
const REFRESH: u16 = 0x0004;
const SEND: u16 = 0x0016;
const CHANNEL_BIND: u16 = 0x0009;
const CREATE_PERMISSION: u16 = 0x0008;
const CLIENT: &str = "198.51.100.1:40000";
const UDP: (u16, &[u8]) = (0x0019, &[17, 0, 0, 0]);
/// Longer than a new allocation loses datagrams.
const PAUSE: Duration = Duration::from_millis(200);

/// The one session.
struct Live(SessionId);

fn candidates() -> [SocketAddr; 2] {
    ["203.0.113.7:8081", "203.0.113.9:8081"].map(|text| text.parse().expect("an address"))
}

impl Sessions for Live {
    fn candidates(&self, session: &SessionId) -> Option<Vec<SocketAddr>> {
        (*session == self.0).then(|| candidates().to_vec())
    }
}

/// What a client sends: ChannelData, or the type and the attributes of a message, to which credentials are added.
#[derive(Clone, Debug)]
enum Sent {
    ChannelData(Vec<u8>),
    Message { kind: u16, body: Vec<u8>, is_signed: bool },
}

/// Attributes of valid messages.
fn bodies() -> Vec<Vec<u8>> {
    let candidate = attribute(0x0012, &peer([203, 0, 113, 7].into(), 8081));
    let other_port = attribute(0x0012, &peer([203, 0, 113, 7].into(), 22));
    let foreign = attribute(0x0012, &peer([192, 0, 2, 1].into(), 8081));
    let channel = attribute(0x000c, &[0x40, 0, 0, 0]);
    let data = attribute(0x0013, b"a check");
    vec![
        attribute(UDP.0, UDP.1),
        [attribute(UDP.0, UDP.1), attribute(0x0017, &[2, 0, 0, 0])].concat(),
        attribute(0x000d, &600_u32.to_be_bytes()),
        candidate.clone(),
        [candidate.clone(), foreign.clone()].concat(),
        [channel.clone(), candidate.clone()].concat(),
        [channel, other_port.clone()].concat(),
        [candidate, data.clone()].concat(),
        [other_port, data.clone()].concat(),
        [foreign, data].concat(),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let kinds = vec![ALLOCATE, REFRESH, SEND, CREATE_PERMISSION, CHANNEL_BIND, 0x0001];
    let body = prop_oneof![prop::sample::select(bodies()), changed(bodies())];
    let sent = (prop::sample::select(kinds), body, prop::bool::weighted(0.9));
    prop_oneof![
        1 => changed(vec![b"\x40\0\0\x07a check\0".to_vec()]).prop_map(Sent::ChannelData),
        4 => sent.prop_map(|(kind, body, is_signed)| Sent::Message { kind, body, is_signed }),
    ]
}

/// A connection of the session's client, with its credentials.
struct Connection<'a> {
    server: Server,
    desk: Desk<'a>,
    /// USERNAME, REALM and NONCE.
    credentials: Vec<u8>,
    key: hmac::Key,
    now: Instant,
}

impl<'a> Connection<'a> {
    /// A connection with an allocation, a permission and a channel.
    fn allocated(desk: Desk<'a>, session: &SessionId, now: Instant) -> Self {
        let known = desk.service.credentials(session, now);
        let key = Md5::digest(format!("{}:sluice:{}", known.username, known.password));
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
        let mut connection = Self { server: Server::new(now), desk, credentials: Vec::new(), key, now };
        let Effect::Answer(challenge) = connection.handle(&message(ALLOCATE, &[UDP], None)) else {
            panic!("no challenge")
        };
        let nonce = found(&read(&mut &challenge[..]).1, 0x0015);
        let credentials = [(0x0006, known.username.as_bytes()), (0x0014, b"sluice"), (0x0015, &nonce)];
        connection.credentials = credentials.map(|(kind, value)| attribute(kind, value)).concat();
        for (kind, place) in [(ALLOCATE, 0), (CHANNEL_BIND, 5)] {
            let request = connection.message(kind, bodies().swap_remove(place), true);
            let Effect::Answer(answer) = connection.handle(&request) else { panic!("no answer") };
            assert_eq!(answer[0], 1, "a success answer");
        }
        connection
    }

    fn message(&self, kind: u16, body: Vec<u8>, is_signed: bool) -> Vec<u8> {
        whole(kind, &[body, self.credentials.clone()].concat(), is_signed.then_some(&self.key))
    }

    fn handle(&mut self, octets: &[u8]) -> Effect {
        self.now += PAUSE;
        self.server.handle(octets, CLIENT.parse().expect("an address"), self.desk, self.now)
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_client_with_credentials_reaches_candidates_alone_whatever_it_sends(sent in prop::collection::vec(sent(), 1..12)) {
        let now = Instant::now();
        let (service, live) = (Service::new(&[3; 32], now), Live(SessionId::random()));
        let mut connection = Connection::allocated(Desk { service: &service, sessions: &live }, &live.0, now);
        for sent in sent {
            let octets = match sent {
                Sent::ChannelData(octets) => octets,
                Sent::Message { kind, body, is_signed } => connection.message(kind, body, is_signed),
            };
            let Ok(Next::Whole { length, .. }) = next(&octets) else { continue };
            let relayed = connection.server.relayed();
            match connection.handle(&octets[..length]) {
                Effect::Nothing => {}
                Effect::Close => break,
                Effect::Answer(answer) => {
                    prop_assert!(answer.len() <= 1_500);
                    prop_assert_eq!(StunMessage::parse(&answer).expect("it is ours").transaction, TRANSACTION);
                }
                Effect::Datagram { from, to, contents } => {
                    prop_assert!(candidates().contains(&to), "it reaches {to}");
                    prop_assert!(contents.start <= contents.end && contents.end <= length);
                    prop_assert_eq!(Some(from), relayed);
                }
            }
            prop_assert!(service.allocations() <= 1);
            prop_assert!(connection.server.relayed().is_none_or(|relayed| candidates().iter().any(|own| own.ip() == relayed.ip())));
        }
        drop(connection);
        prop_assert_eq!(service.allocations(), 0);
    }

    #[test]
    fn where_a_message_ends_does_not_depend_on_how_its_octets_arrive(
        octets in changed(bodies().into_iter().map(|body| whole(SEND, &body, None)).chain([b"\x40\0\0\x07a check\0".to_vec()]).collect()),
    ) {
        let all = next(&octets);
        for end in 0..octets.len() {
            match next(&octets[..end]) {
                Ok(Next::Part) => {}
                Err(NotTurn) => prop_assert_eq!(all, Err(NotTurn)),
                whole => prop_assert_eq!(whole, all),
            }
        }
        if let Ok(Next::Whole { length, padded }) = all {
            prop_assert!(length > 0 && length <= padded && padded <= octets.len().min(1_500));
        }
    }
}
