//! A [`Peer`] and a [`Client`] that exchange datagrams in virtual time, without sockets.
//!
//! The client does real ICE, which the demultiplexer answers in the relay; here a short function answers its checks.

#[cfg(feature = "measure")]
mod cost;
mod handshake;
mod hostile;
mod sctp;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc::crypto::default_provider;
use rtc::dtls::cipher_suite::CipherSuiteId;
use rtc::srtp::context::Context;
use rtc::srtp::protection_profile::ProtectionProfile;
use rtc::stun::fingerprint::FINGERPRINT;
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::{BINDING_SUCCESS, Message};
use rtc::stun::xoraddr::XorMappedAddress;

use ::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;

use super::client::{Client, Track};
use super::{Certificate, Config, Peer, PeerEvent, client};
use crate::forward::codec::Codec;
use crate::ice::Credentials;
use crate::name::Role;
use crate::reason::DropReason;
use crate::rtcp::Compound;
use crate::srtp::{Keys, MasterKey, SrtpProfile};

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
    profile: SrtpProfile,
    /// What the client supports, in its order.
    supported: &'static [SrtpProfile],
    /// The DTLS cipher suites that it supports.
    suites: &'static [CipherSuiteId],
}

const CASE: Case = Case {
    role: Role::Viewer,
    dtls_client: false,
    application: false,
    profile: SrtpProfile::Aes128Gcm,
    supported: &[SrtpProfile::Aes128CmSha1_80, SrtpProfile::Aes128Gcm],
    suites: &[CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256],
};

fn pli(media_ssrc: u32) -> Compound {
    vec![Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc })]
}

fn pli_of(mut compound: &[u8]) -> Option<u32> {
    let packets = ::rtcp::packet::unmarshal(&mut compound).ok()?;
    Some(packets.first()?.as_any().downcast_ref::<PictureLossIndication>()?.media_ssrc)
}

/// webrtc-rs's own SRTCP context over a master key.
fn context(master: &MasterKey) -> Context {
    let (profile, salt) = match master.profile {
        SrtpProfile::Aes128Gcm => (ProtectionProfile::AeadAes128Gcm, &master.salt[..12]),
        SrtpProfile::Aes128CmSha1_80 => (ProtectionProfile::Aes128CmHmacSha1_80, &master.salt[..]),
    };
    Context::new(&master.key, salt, profile, None, None, default_provider().unwrap().crypto()).unwrap()
}

/// Both ends and the link between them.
struct Session {
    now: Instant,
    peer: Peer,
    client: Client,
    local: Credentials,
    tracks: Vec<Track>,
    peer_events: Vec<PeerEvent>,
    client_events: Vec<PeerEvent>,
    /// The RTCP that arrived: what each PLI is about, and `None` for other packets.
    peer_rtcp: Vec<Option<u32>>,
    client_rtcp: Vec<Option<u32>>,
    /// Every DTLS or SRTCP datagram that crossed the link, and whether the peer sent it.
    seen: Vec<(bool, Vec<u8>)>,
    /// How many datagrams of the peer the link loses at the beginning.
    lose: usize,
    /// True if each DTLS record has its own datagram, and the last of a flight arrives first.
    reorders: bool,
    /// Forged datagrams, which arrive before each of the client's datagrams.
    forged: Vec<Vec<u8>>,
    /// What opening the peer took, and all that it did since.
    #[cfg_attr(not(feature = "measure"), expect(dead_code, reason = "only the measurements read it"))]
    opening: Duration,
    in_peer: Duration,
}

impl Session {
    fn open(case: Case) -> Self {
        let (ours, theirs) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
        Self::open_with_certificates(case, &ours, &theirs, theirs.fingerprint())
    }

    /// `fingerprint` is what the offer says of `theirs`.
    fn open_with_certificates(case: Case, ours: &Certificate, theirs: &Certificate, fingerprint: &str) -> Self {
        let answer = |offer: &str, local: &Credentials, ours: &str| answer(offer, local, ours, case.dtls_client);
        Self::open_with(case, ours, theirs, fingerprint, answer)
    }

    /// `answer` writes the answer from the offer, the relay's credentials and its fingerprint.
    fn open_by(case: Case, answer: impl FnOnce(&str, &Credentials, &str) -> String) -> Self {
        let (ours, theirs) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
        Self::open_with(case, &ours, &theirs, theirs.fingerprint(), answer)
    }

    fn open_with(
        case: Case,
        ours: &Certificate,
        theirs: &Certificate,
        fingerprint: &str,
        answer: impl FnOnce(&str, &Credentials, &str) -> String,
    ) -> Self {
        let now = Instant::now();
        let codecs = match case.role {
            Role::Publisher => vec![Codec::H264, Codec::Opus],
            Role::Viewer => vec![Codec::H264, Codec::Vp8, Codec::Opus],
        };
        let config = client::Config {
            role: case.role,
            codecs: &codecs,
            application: case.application,
            extensions: super::client::EXTENSIONS,
            profiles: case.supported,
            local: CLIENT,
            certificate: theirs,
        };
        let mut client = Client::with_cipher_suites(&config, case.suites.to_vec(), now).unwrap();
        let remote = credentials(client.offer());
        let local = Credentials { ufrag: "relay".to_owned(), pwd: "0123456789abcdefghijklmn".to_owned() };
        let config = Config {
            local: &local,
            remote: &remote,
            remote_fingerprint: fingerprint,
            dtls_client: case.dtls_client,
            application: case.application,
            role: case.role,
            certificate: ours,
        };
        let start = Instant::now();
        let peer = Peer::open(&config, case.profile, now).unwrap();
        let opening = start.elapsed();
        let answer = answer(client.offer(), &local, ours.fingerprint());
        let tracks = client.accept(&answer, now).unwrap();
        Self {
            now,
            peer,
            client,
            local,
            tracks,
            peer_events: Vec::new(),
            client_events: Vec::new(),
            peer_rtcp: Vec::new(),
            client_rtcp: Vec::new(),
            seen: Vec::new(),
            lose: 0,
            reorders: false,
            forged: Vec::new(),
            opening,
            in_peer: Duration::ZERO,
        }
    }

    /// Passes datagrams until neither side has any left.
    fn exchange(&mut self) {
        loop {
            let mut sent: Vec<_> = std::iter::from_fn(|| self.client.poll_transmit().map(to_relay)).collect();
            let mut answered: Vec<_> = std::iter::from_fn(|| self.peer.poll_transmit()).collect();
            let idle = sent.is_empty() && answered.is_empty();
            if self.reorders {
                sent = sent.into_iter().flat_map(records).rev().collect();
                answered = answered.into_iter().flat_map(records).rev().collect();
            }
            for datagram in sent {
                self.deliver_to_peer(&datagram);
            }
            for datagram in answered {
                self.deliver_to_client(&datagram);
            }
            // The client's data channel opens some time after the handshake; tests/sim/channels.rs looks at that.
            let opened = |event: &PeerEvent| matches!(event, PeerEvent::ChannelOpened(_));
            self.peer_events.extend(std::iter::from_fn(|| self.peer.poll_event()).filter(|event| !opened(event)));
            self.client_events.extend(std::iter::from_fn(|| self.client.poll_event()).filter(|event| !opened(event)));
            if idle {
                return;
            }
        }
    }

    fn deliver_to_peer(&mut self, datagram: &[u8]) {
        if datagram[0] < 4 {
            return self.answer_check(datagram);
        }
        self.seen.push((false, datagram.to_vec()));
        for forged in &self.forged {
            let _ = self.peer.handle_datagram(forged, self.now);
        }
        let start = Instant::now();
        let taken = match datagram {
            [128..=191, ..] => self.open_rtcp(datagram).map(|()| None),
            _ => self.peer.handle_datagram(datagram, self.now),
        };
        self.in_peer += start.elapsed();
        // A client repeats its last flight, in clear, after the peer has all of it.
        assert!(matches!(taken, Ok(None) | Err(DropReason::UnknownPath | DropReason::ClearDtls)), "{taken:?}");
    }

    /// Gives RTCP to the peer.
    fn open_rtcp(&mut self, datagram: &[u8]) -> Result<(), DropReason> {
        let mut datagram = datagram.to_vec();
        let compound = self.peer.open_rtcp(&mut datagram, self.now)?;
        self.peer_rtcp.push(pli_of(compound));
        Ok(())
    }

    fn deliver_to_client(&mut self, datagram: &[u8]) {
        self.seen.push((true, datagram.to_vec()));
        if self.lose > 0 {
            self.lose -= 1;
            return;
        }
        // The client may have ended before the last datagrams of the peer.
        let _ = self.client.handle_datagram(datagram, RELAY, self.now);
        self.client_rtcp.extend(std::iter::from_fn(|| self.client.poll_rtcp()).map(|compound| pli_of(&compound)));
    }

    /// Advances virtual time from timeout to timeout.
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
        let keys = |events: &mut Vec<PeerEvent>| match events.remove(0) {
            PeerEvent::Connected(keys) => keys,
            other => panic!("not connected but {other:?}"),
        };
        (keys(&mut self.peer_events), keys(&mut self.client_events))
    }

    /// What the demultiplexer does with a Binding request.
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

fn to_relay((to, datagram): (SocketAddr, BytesMut)) -> BytesMut {
    assert_eq!(to, RELAY);
    datagram
}

/// The records of a DTLS datagram; another datagram whole.
fn records(mut datagram: BytesMut) -> Vec<BytesMut> {
    let mut records = Vec::new();
    while let [20..=63, _, _, _, _, _, _, _, _, _, _, high, low, ..] = datagram[..] {
        records.push(datagram.split_to(13 + usize::from(u16::from_be_bytes([high, low]))));
    }
    if !datagram.is_empty() {
        records.push(datagram);
    }
    records
}

fn attribute<'a>(sdp: &'a str, name: &str) -> &'a str {
    sdp.lines().find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':')).unwrap().trim_end()
}

fn credentials(sdp: &str) -> Credentials {
    Credentials { ufrag: attribute(sdp, "ice-ufrag").to_owned(), pwd: attribute(sdp, "ice-pwd").to_owned() }
}

/// A minimal answer: every section accepted with its first payload type.
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
