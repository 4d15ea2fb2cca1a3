//! A client with keys behind a socket of its own: it joins like an ordinary one, then sends anything.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use rtcp::raw_packet::RawPacket;
use sluice::client::{Created, HttpClient};
use sluice::forward::codec::Codec;
use sluice::name::Role;
use sluice::peer::client::{Client, Config, EXTENSIONS, Track};
use sluice::peer::{Certificate, PeerEvent};
use sluice::srtp::{Sealer, SrtpProfile};

use crate::hostile::Rtp;
use crate::sctp::Tap;
use crate::sctp_packet::{DATA, INIT, chunks, packet};

/// Attackers have an address of their own, so that limits for each address are theirs.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

/// How long a client tries to connect.
const CONNECTING: Duration = Duration::from_secs(5);
/// Webrtc-rs sends the SCTP handshake a moment after the DTLS one.
const ASSOCIATING: Duration = Duration::from_millis(300);

/// A connected client.
pub(crate) struct Session {
    pub(crate) socket: UdpSocket,
    /// Where the relay receives media.
    pub(crate) media: SocketAddr,
    pub(crate) tracks: Vec<Track>,
    /// A STUN check as this client sent it, and the last datagram of RTCP.
    pub(crate) check: Vec<u8>,
    pub(crate) rtcp: Vec<u8>,
    client: Client,
    sealer: Sealer,
    indices: HashMap<u32, u64>,
    tap: Tap,
    created: Created,
    http: HttpClient,
    pub(crate) ended: bool,
    /// The verification tag of the relay's SCTP, and the next TSN.
    pub(crate) tag: u32,
    pub(crate) tsn: u32,
}

impl Session {
    /// Joins with these codecs and a data channel, and connects.
    pub(crate) fn join(relay: SocketAddr, role: Role, stream: &str, codecs: &[Codec]) -> Result<Self> {
        let http = HttpClient::new(None, None);
        let socket = UdpSocket::bind((ADDRESS, 0)).context("no socket")?;
        socket.set_nonblocking(true)?;
        let tap = Tap::default();
        let certificate = Certificate::generate_with(tap.provider())?;
        let config = Config {
            role,
            codecs,
            extensions: EXTENSIONS,
            application: true,
            profiles: &[SrtpProfile::Aes128Gcm],
            local: socket.local_addr()?,
            certificate: &certificate,
        };
        let mut client = Client::new(&config, Instant::now())?;
        let endpoint = if role == Role::Publisher { "whip" } else { "whep" };
        let created = http.post(&format!("http://{relay}/{endpoint}/{stream}"), client.offer())?;
        let tracks = client.accept(&created.answer, Instant::now())?;
        let mut joining = Joining { client, socket, check: Vec::new(), rtcp: Vec::new(), media: None, sealer: None };
        joining.connect()?;
        let Joining { client, socket, check, rtcp, media, sealer } = joining;
        let (media, sealer) = (media.context("nothing was sent")?, sealer.context("it is not connected")?);
        let (tag, tsn) = association(&tap);
        let indices = HashMap::new();
        Ok(Self {
            socket,
            media,
            tracks,
            check,
            rtcp,
            client,
            sealer,
            indices,
            tap,
            created,
            http,
            ended: false,
            tag,
            tsn,
        })
    }

    /// Sends a datagram as it is.
    pub(crate) fn send(&self, datagram: &[u8]) {
        // Loss in a full buffer does not matter.
        let _ = self.socket.send_to(datagram, self.media);
    }

    /// Seals and sends chunks of SCTP.
    pub(crate) fn send_sctp(&self, chunks: &[Vec<u8>]) {
        self.send(&self.tap.seal(&packet(self.tag, chunks)));
    }

    /// The next index of a source.
    pub(crate) fn next_index(&mut self, ssrc: u32) -> u64 {
        let index = self.indices.entry(ssrc).or_insert(1_000);
        *index += 1;
        *index
    }

    /// Seals and sends an RTP packet.
    pub(crate) fn send_rtp(&mut self, packet: Rtp, index: u64) -> Vec<u8> {
        let Rtp { mut bytes, header } = packet;
        let length = bytes.len();
        bytes.resize(length + 32, 0);
        if let Ok(sealed) = self.sealer.seal(&mut bytes, header, length, index) {
            bytes.truncate(sealed);
            self.send(&bytes);
        }
        bytes
    }

    /// Seals and sends a compound of RTCP.
    pub(crate) fn send_rtcp(&mut self, compound: Vec<u8>) {
        self.client.send_rtcp(vec![Box::new(RawPacket(Bytes::from(compound)))], Instant::now());
        while let Some((to, datagram)) = self.client.poll_transmit() {
            let _ = self.socket.send_to(&datagram, to);
            if datagram[0] >= 128 {
                self.rtcp = datagram.to_vec();
            }
        }
    }

    /// Passes received datagrams to its own client, and notices the session's end.
    pub(crate) fn listen(&mut self) {
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            if !matches!(buffer[0], 128..=191) {
                let _ = self.client.handle_datagram(&buffer[..length], from, Instant::now());
            }
        }
        while let Some(event) = self.client.poll_event() {
            self.ended |= matches!(
                event,
                PeerEvent::Closed | PeerEvent::Unanswered | PeerEvent::Failed(_) | PeerEvent::Misused(_)
            );
        }
    }

    /// Ends it by HTTP.
    pub(crate) fn leave(&self) {
        // The relay may have ended it.
        let _ = self.http.delete(&self.created);
    }
}

/// A client that connects.
struct Joining {
    client: Client,
    socket: UdpSocket,
    check: Vec<u8>,
    rtcp: Vec<u8>,
    media: Option<SocketAddr>,
    sealer: Option<Sealer>,
}

impl Joining {
    fn connect(&mut self) -> Result<()> {
        let deadline = Instant::now() + CONNECTING;
        let mut until = deadline;
        while Instant::now() < until {
            self.turn()?;
            if self.sealer.is_some() && until == deadline {
                until = Instant::now() + ASSOCIATING;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        ensure!(self.sealer.is_some(), "it does not connect within {CONNECTING:?}");
        Ok(())
    }

    fn turn(&mut self) -> Result<()> {
        let now = Instant::now();
        if self.client.poll_timeout().is_some_and(|due| due <= now) {
            self.client.handle_timeout(now);
        }
        while let Some((to, datagram)) = self.client.poll_transmit() {
            self.media = Some(to);
            match datagram[0] {
                0..4 => self.check = datagram.to_vec(),
                128.. => self.rtcp = datagram.to_vec(),
                _ => {}
            }
            let _ = self.socket.send_to(&datagram, to);
        }
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            let _ = self.client.handle_datagram(&buffer[..length], from, now);
        }
        while let Some(event) = self.client.poll_event() {
            match event {
                PeerEvent::Connected(keys) => self.sealer = Some(Sealer::new(&keys.local)),
                PeerEvent::Unanswered => bail!("the relay does not complete DTLS"),
                PeerEvent::Failed(reason) => bail!("it does not connect: {reason}"),
                PeerEvent::Closed => bail!("the relay ended it"),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The state of the association that the client's own webrtc-rs has set up: the relay's tag, and the next TSN.
fn association(tap: &Tap) -> (u32, u32) {
    let word = |bytes: &[u8], at: usize| bytes[at..at + 4].try_into().map_or(0, u32::from_be_bytes);
    let sent = tap.sent();
    let tag = sent.last().map_or(0, |last| word(last, 4));
    let mut tsns = sent.iter().flat_map(|packet| chunks(packet)).filter_map(|(kind, value)| match kind {
        DATA => Some(word(&value, 0).wrapping_add(1)),
        INIT => Some(word(&value, 12)),
        _ => None,
    });
    (tag, tsns.next_back().unwrap_or(0))
}
