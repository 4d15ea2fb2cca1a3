//! A [`Peer`] and a [`Client`] that hand each other bytes in virtual time: no socket, no clock that runs.
//!
//! The client does real ICE, which the door answers in the relay; here its checks are answered by a few lines.

mod handshake;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtc::crypto::default_provider;
use rtc::stun::fingerprint::FINGERPRINT;
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::{BINDING_SUCCESS, Message};
use rtc::stun::xoraddr::XorMappedAddress;

use super::client::{self, Client};
use super::{Certificate, Config, Credentials, Event, Peer, Refused};
use crate::forward::codec::Codec;
use crate::name::Role;
use crate::srtp::{Keys, Profile};

const RELAY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 8081);
const CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), 5000);

/// What a test varies.
#[derive(Clone, Copy, Debug)]
struct Case {
    role: Role,
    /// True if the relay is the DTLS client.
    dtls_client: bool,
    application: bool,
    /// What the relay is opened with.
    profile: Profile,
    /// What the client supports, in its order.
    supported: &'static [Profile],
}

const CASE: Case = Case {
    role: Role::Viewer,
    dtls_client: false,
    application: false,
    profile: Profile::Aes128Gcm,
    supported: &[Profile::Aes128CmSha1_80, Profile::Aes128Gcm],
};

/// Both ends and the link between them.
struct Session {
    now: Instant,
    peer: Peer,
    client: Client,
    local: Credentials,
    peer_events: Vec<Event>,
    client_events: Vec<Event>,
    /// Every DTLS or SRTCP datagram that crossed the link, and whether the peer sent it.
    seen: Vec<(bool, Vec<u8>)>,
    /// Datagrams of the peer that the link loses before it lets any through.
    lose: usize,
}

impl Session {
    fn open(case: Case) -> Self {
        Self::open_with_fingerprint(case, None)
    }

    /// With another fingerprint in the offer than the client's own, if one is given.
    fn open_with_fingerprint(case: Case, fingerprint: Option<&str>) -> Self {
        let now = Instant::now();
        let (ours, theirs) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
        let codecs = match case.role {
            Role::Publisher => vec![Codec::H264, Codec::Opus],
            Role::Viewer => vec![Codec::H264, Codec::Vp8, Codec::Opus],
        };
        let config = client::Config {
            role: case.role,
            codecs: &codecs,
            application: case.application,
            profiles: case.supported,
            local: CLIENT,
            certificate: &theirs,
        };
        let mut client = Client::new(&config, now).unwrap();
        let remote = credentials(client.offer());
        let local = Credentials { ufrag: "relay".to_owned(), pwd: "0123456789abcdefghijklmn".to_owned() };
        let config = Config {
            local: &local,
            remote: &remote,
            remote_fingerprint: fingerprint.unwrap_or(theirs.fingerprint()),
            dtls_client: case.dtls_client,
            application: case.application,
            certificate: &ours,
        };
        let peer = Peer::open(&config, case.profile, now).unwrap();
        let answer = answer(client.offer(), &local, ours.fingerprint(), case.dtls_client);
        client.accept(&answer, now).unwrap();
        let (peer_events, client_events, seen) = (Vec::new(), Vec::new(), Vec::new());
        Self { now, peer, client, local, peer_events, client_events, seen, lose: 0 }
    }

    /// Carries datagrams until neither side has any left.
    fn exchange(&mut self) {
        loop {
            let mut idle = true;
            while let Some((to, datagram)) = self.client.poll_transmit() {
                idle = false;
                assert_eq!(to, RELAY);
                if datagram[0] < 4 {
                    self.answer_check(&datagram);
                    continue;
                }
                self.seen.push((false, datagram.to_vec()));
                let taken = self.peer.handle_datagram(&datagram, self.now);
                assert!(matches!(taken, Ok(()) | Err(Refused::Ended)), "{taken:?}");
            }
            while let Some(datagram) = self.peer.poll_transmit() {
                idle = false;
                self.seen.push((true, datagram.to_vec()));
                if self.lose > 0 {
                    self.lose -= 1;
                    continue;
                }
                // The client may have ended before what the peer says last.
                let _ = self.client.handle_datagram(&datagram, RELAY, self.now);
            }
            while let Some(event) = self.peer.poll_event() {
                self.peer_events.push(event);
            }
            while let Some(event) = self.client.poll_event() {
                self.client_events.push(event);
            }
            if idle {
                return;
            }
        }
    }

    /// Lets virtual time pass, timer by timer.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.exchange();
            let due = [self.peer.poll_timeout(), self.client.poll_timeout()].into_iter().flatten().min();
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.now = self.now.max(due);
            if self.peer.poll_timeout().is_some_and(|due| due <= self.now) {
                self.peer.handle_timeout(self.now);
            }
            if self.client.poll_timeout().is_some_and(|due| due <= self.now) {
                self.client.handle_timeout(self.now);
            }
        }
        self.now = end;
    }

    /// Until both are connected; their keys, the peer's first.
    fn connect(&mut self) -> (Keys, Keys) {
        self.run(Duration::from_secs(2));
        let keys = |events: &mut Vec<Event>| match events.remove(0) {
            Event::Connected(keys) => keys,
            other => panic!("not connected but {other:?}"),
        };
        (keys(&mut self.peer_events), keys(&mut self.client_events))
    }

    /// What the door does with a Binding request.
    fn answer_check(&mut self, request: &[u8]) {
        let mut check = Message { raw: request.to_vec(), ..Message::default() };
        check.decode().unwrap();
        let provider = default_provider().unwrap();
        let pwd = self.local.pwd.clone();
        MessageIntegrity::check(&mut check, pwd.as_bytes(), provider.crypto()).unwrap();
        let mut answer = Message::new();
        answer
            .build(&[
                Box::new(BINDING_SUCCESS),
                Box::new(check.transaction_id),
                Box::new(XorMappedAddress { ip: CLIENT.ip(), port: CLIENT.port() }),
                Box::new(MessageIntegrity::new_short_term_integrity_with_provider(pwd, provider.crypto())),
                Box::new(FINGERPRINT),
            ])
            .unwrap();
        self.client.handle_datagram(&answer.raw, RELAY, self.now).unwrap();
    }
}

fn attribute<'a>(sdp: &'a str, name: &str) -> &'a str {
    sdp.lines().find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':')).unwrap().trim_end()
}

fn credentials(sdp: &str) -> Credentials {
    Credentials { ufrag: attribute(sdp, "ice-ufrag").to_owned(), pwd: attribute(sdp, "ice-pwd").to_owned() }
}

/// The least that answers an offer: every section accepted with its first payload type.
fn answer(offer: &str, local: &Credentials, fingerprint: &str, active: bool) -> String {
    let setup = if active { "active" } else { "passive" };
    let Credentials { ufrag, pwd } = local;
    let session = format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=group:{}\r\n",
        attribute(offer, "group")
    );
    let sections = offer.split("m=").skip(1).map(|section| {
        let words: Vec<&str> = section.lines().next().unwrap().split(' ').collect();
        let (media, protocol, format) = (words[0], words[2], words[3]);
        let mut text = format!(
            "m={media} 9 {protocol} {format}\r\nc=IN IP4 0.0.0.0\r\na=mid:{}\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n\
             a=fingerprint:sha-256 {fingerprint}\r\na=setup:{setup}\r\n\
             a=candidate:1 1 udp 2130706431 {} {} typ host\r\na=end-of-candidates\r\n",
            attribute(section, "mid"),
            RELAY.ip(),
            RELAY.port(),
        );
        if media == "application" {
            text.push_str("a=sctp-port:5000\r\n");
        } else {
            let direction = if section.contains("a=recvonly") { "sendonly" } else { "recvonly" };
            let map = section.lines().find(|line| line.starts_with(&format!("a=rtpmap:{format} "))).unwrap();
            text.push_str(&format!("a=rtcp-mux\r\na={direction}\r\n{map}\r\n"));
            if direction == "sendonly" {
                text.push_str("a=ssrc-group:FID 1234 5678\r\na=ssrc:1234 cname:x\r\na=ssrc:5678 cname:x\r\n");
            }
        }
        text
    });
    sections.fold(session, |text, section| text + &section)
}
