//! The server's side of one TCP connection: it authenticates the client's requests and keeps its allocation, one at
//! most (RFC 8656 3.2: an allocation belongs to the 5-tuple of its connection).

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::allocation::{Allocation, lifetime};
use super::credentials::{REALM, User};
use super::frames::CHANNEL_HEADER;
use super::message::{
    ALLOCATE, Answer, Attributes, BINDING, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, Refusal, SEND, UDP, is_request,
};
use super::relayed_ports::NoPort;
use super::service::Desk;
use crate::ice::stun::StunMessage;

/// How long a nonce is valid (RFC 8656 5: at least an hour).
const NONCE: Duration = Duration::from_secs(3_600);

/// Requests without valid credentials in a row, after which the connection is closed. A client has one, and one more
/// for each nonce.
const MAX_UNAUTHENTICATED: u32 = 8;

/// The address families of REQUESTED-ADDRESS-FAMILY.
const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// The state of one connection.
#[derive(Debug)]
pub struct Server {
    nonce: String,
    nonce_until: Instant,
    unauthenticated: u32,
    allocation: Option<Allocation>,
}

/// What a message of the client results in.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// These octets go to the client.
    Answer(Vec<u8>),
    /// A datagram for a candidate.
    Datagram {
        /// The relayed address.
        from: SocketAddr,
        /// The candidate.
        to: SocketAddr,
        /// Where the datagram is in the message.
        contents: Range<usize>,
    },
    /// The connection is to be closed: the client does not speak TURN, or has no credentials.
    Close,
}

impl Server {
    /// A connection that begins.
    pub fn new(now: Instant) -> Self {
        Self { nonce: nonce(), nonce_until: now + NONCE, unauthenticated: 0, allocation: None }
    }

    /// Takes a whole message, as [`super::frames::next`] finds it, from the client with this address.
    pub fn handle(&mut self, message: &[u8], client: SocketAddr, desk: Desk<'_>, now: Instant) -> Effect {
        self.allocation.take_if(|allocation| allocation.is_over(now));
        match message {
            [0x40..=0x4f, ..] => self.handle_channel_data(message, now),
            _ => match StunMessage::parse(message) {
                Some(message) if is_request(message.kind) => self.handle_request(&message, client, desk, now),
                Some(message) if message.kind == SEND => self.handle_send(&message, desk, now),
                // Other indications, and answers to nothing.
                Some(_) => Effect::Nothing,
                None => Effect::Close,
            },
        }
    }

    /// Appends a datagram of the relay's for the client, which comes from the candidate `peer`. False if the client has
    /// no permission for that: the datagram is lost.
    pub(crate) fn wrap(&self, peer: SocketAddr, datagram: &[u8], now: Instant, to: &mut impl Extend<u8>) -> bool {
        let allocation = self.allocation.as_ref().filter(|allocation| !allocation.is_over(now));
        allocation.is_some_and(|allocation| allocation.wrap(peer, datagram, now, to))
    }

    /// The relayed address of the allocation, if there is one.
    pub fn relayed(&self) -> Option<SocketAddr> {
        self.allocation.as_ref().map(|allocation| allocation.relayed)
    }

    /// The candidates that the client has sent to.
    pub(crate) fn peers(&self) -> &[SocketAddr] {
        self.allocation.as_ref().map_or(&[], |allocation| &allocation.peers)
    }

    /// Whether there is an allocation that its client uses, and its session is alive.
    pub(crate) fn is_in_use(&self, desk: Desk<'_>, now: Instant) -> bool {
        let is_used = |allocation: &&Allocation| !allocation.is_over(now) && !allocation.is_unused(now);
        let allocation = self.allocation.as_ref().filter(is_used);
        allocation.is_some_and(|allocation| desk.sessions.candidates(&allocation.session).is_some())
    }

    fn handle_channel_data(&mut self, message: &[u8], now: Instant) -> Effect {
        let Some(allocation) = &mut self.allocation else { return Effect::Nothing };
        let Some(number) = message.first_chunk().copied().map(u16::from_be_bytes) else { return Effect::Nothing };
        match allocation.peer_of(number, now) {
            Some(to) if allocation.note_peer(to, now) => {
                Effect::Datagram { from: allocation.relayed, to, contents: CHANNEL_HEADER..message.len() }
            }
            _ => Effect::Nothing,
        }
    }

    /// A datagram without a channel (RFC 8656 11.2). It is lost unless the client has a permission, and goes to one of
    /// the session's candidates.
    fn handle_send(&mut self, message: &StunMessage<'_>, desk: Desk<'_>, now: Instant) -> Effect {
        let Some(allocation) = &mut self.allocation else { return Effect::Nothing };
        let Attributes { peers, data: Some(contents), unknown, is_malformed: false, .. } = Attributes::read(message)
        else {
            return Effect::Nothing;
        };
        let ([to], []) = (&peers[..], &unknown[..]) else { return Effect::Nothing };
        let is_known = allocation.peers.contains(to)
            || desk.sessions.candidates(&allocation.session).is_some_and(|candidates| candidates.contains(to));
        if is_known && allocation.permits(to, now) && allocation.note_peer(*to, now) {
            Effect::Datagram { from: allocation.relayed, to: *to, contents }
        } else {
            Effect::Nothing
        }
    }

    fn handle_request(
        &mut self,
        request: &StunMessage<'_>,
        client: SocketAddr,
        desk: Desk<'_>,
        now: Instant,
    ) -> Effect {
        if request.kind == BINDING {
            return Effect::Answer(Answer::success(request).mapped(client).unsigned());
        }
        let attributes = Attributes::read(request);
        let (user, candidates) = match self.authenticate(request, &attributes, desk, now) {
            Ok(known) => known,
            Err(refusal) => return self.challenge(request, refusal, now),
        };
        self.unauthenticated = 0;
        if !attributes.unknown.is_empty() {
            let answer = Answer::refusal(request, Refusal::UnknownAttribute).unknown(&attributes.unknown);
            return Effect::Answer(answer.signed(&user.key));
        }
        let username = request.username.unwrap_or_default();
        let done = match request.kind {
            _ if attributes.is_malformed => Err(Refusal::BadRequest),
            ALLOCATE => self.allocate(&user, username, &attributes, &candidates, desk, now),
            REFRESH => self.refresh(&attributes, now),
            CREATE_PERMISSION => self.permit(&attributes, &candidates, now),
            CHANNEL_BIND => self.bind(&attributes, &candidates, now),
            _ => Err(Refusal::BadRequest),
        };
        let answer = match done {
            Ok(Done::Allocated { relayed, seconds }) => {
                Answer::success(request).relayed(relayed).lifetime(seconds).mapped(client)
            }
            Ok(Done::Refreshed { seconds }) => Answer::success(request).lifetime(seconds),
            Ok(Done::Permitted) => Answer::success(request),
            Err(refusal) => Answer::refusal(request, refusal),
        };
        Effect::Answer(answer.signed(&user.key))
    }

    /// The user of a request, and the candidates of its session (RFC 8489 9.2.4).
    fn authenticate(
        &self,
        request: &StunMessage<'_>,
        attributes: &Attributes<'_>,
        desk: Desk<'_>,
        now: Instant,
    ) -> Result<(User, Vec<SocketAddr>), Refusal> {
        if !request.is_signed() {
            return Err(Refusal::Unauthenticated);
        }
        let (Some(username), Some(realm), Some(nonce)) = (request.username, attributes.realm, attributes.nonce) else {
            return Err(Refusal::BadRequest);
        };
        if nonce != self.nonce.as_bytes() || now >= self.nonce_until {
            return Err(Refusal::StaleNonce);
        }
        let user = desk
            .service
            .secret
            .user(username, now)
            .filter(|user| realm == REALM.as_bytes() && request.is_authentic(&user.key));
        let user = user.ok_or(Refusal::Unauthenticated)?;
        let candidates = desk.sessions.candidates(&user.session).ok_or(Refusal::Unauthenticated)?;
        match &self.allocation {
            Some(allocation) if allocation.username != username => Err(Refusal::WrongCredentials),
            None if request.kind == ALLOCATE && !user.is_current => Err(Refusal::Unauthenticated),
            _ => Ok((user, candidates)),
        }
    }

    /// Refuses a request whose client is not known; with a nonce that is valid.
    fn challenge(&mut self, request: &StunMessage<'_>, refusal: Refusal, now: Instant) -> Effect {
        self.unauthenticated += 1;
        if self.unauthenticated > MAX_UNAUTHENTICATED {
            return Effect::Close;
        }
        if now >= self.nonce_until {
            (self.nonce, self.nonce_until) = (nonce(), now + NONCE);
        }
        Effect::Answer(Answer::refusal(request, refusal).challenge(REALM, &self.nonce).unsigned())
    }

    fn allocate(
        &mut self,
        user: &User,
        username: &[u8],
        attributes: &Attributes<'_>,
        candidates: &[SocketAddr],
        desk: Desk<'_>,
        now: Instant,
    ) -> Result<Done, Refusal> {
        if self.allocation.is_some() {
            return Err(Refusal::AllocationMismatch);
        }
        match attributes.transport {
            None => return Err(Refusal::BadRequest),
            Some(UDP) => {}
            Some(_) => return Err(Refusal::UnsupportedTransport),
        }
        let wants_ipv4 = match attributes.family {
            None | Some(IPV4) => true,
            Some(IPV6) => false,
            Some(_) => return Err(Refusal::AddressFamilyNotSupported),
        };
        let relayed = candidates.iter().find(|candidate| candidate.is_ipv4() == wants_ipv4);
        let relayed = relayed.ok_or(Refusal::AddressFamilyNotSupported)?.ip();
        let port = desk.service.ports.take(user.session).map_err(|no_port| match no_port {
            NoPort::Session => Refusal::AllocationQuotaReached,
            NoPort::Relay => Refusal::InsufficientCapacity,
        })?;
        let lifetime = lifetime(attributes.lifetime);
        let allocation = Allocation::new((user.session, username), relayed, port, (now, lifetime));
        let relayed = self.allocation.insert(allocation).relayed;
        Ok(Done::Allocated { relayed, seconds: lifetime.as_secs() as u32 })
    }

    fn refresh(&mut self, attributes: &Attributes<'_>, now: Instant) -> Result<Done, Refusal> {
        let allocation = self.allocation.as_mut().ok_or(Refusal::AllocationMismatch)?;
        let family = if allocation.relayed.is_ipv4() { IPV4 } else { IPV6 };
        if attributes.family.is_some_and(|wanted| wanted != family) {
            return Err(Refusal::PeerAddressFamilyMismatch);
        }
        if attributes.lifetime == Some(0) {
            self.allocation = None;
            return Ok(Done::Refreshed { seconds: 0 });
        }
        let lifetime = lifetime(attributes.lifetime);
        allocation.refresh(now + lifetime);
        Ok(Done::Refreshed { seconds: lifetime.as_secs() as u32 })
    }

    fn permit(
        &mut self,
        attributes: &Attributes<'_>,
        candidates: &[SocketAddr],
        now: Instant,
    ) -> Result<Done, Refusal> {
        let allocation = self.allocation.as_mut().ok_or(Refusal::AllocationMismatch)?;
        if attributes.peers.is_empty() {
            return Err(Refusal::BadRequest);
        }
        allocation.permit(&attributes.peers, candidates, now).map(|()| Done::Permitted)
    }

    fn bind(&mut self, attributes: &Attributes<'_>, candidates: &[SocketAddr], now: Instant) -> Result<Done, Refusal> {
        let allocation = self.allocation.as_mut().ok_or(Refusal::AllocationMismatch)?;
        let (Some(number), [peer]) = (attributes.channel, &attributes.peers[..]) else {
            return Err(Refusal::BadRequest);
        };
        allocation.bind(number, *peer, candidates, now).map(|()| Done::Permitted)
    }
}

/// What a request has done.
enum Done {
    Allocated { relayed: SocketAddr, seconds: u32 },
    Refreshed { seconds: u32 },
    Permitted,
}

/// A nonce that nobody can guess. It is valid on its connection alone.
fn nonce() -> String {
    format!("{:032x}", rand::random::<u128>())
}
