//! One allocation: its relayed address, the candidates that its client may reach, and how long (RFC 8656 7 to 12).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::frames::append_channel_data;
use super::message::{self, Refusal};
use super::relayed_ports::RelayedPort;
use crate::name::SessionId;

/// How long an allocation lasts after its last refresh, unless the client wishes another time (RFC 8656 3.2).
const USUAL: Duration = Duration::from_secs(600);

/// The longest time that a client gets (RFC 8656 7.2).
const LONGEST: Duration = Duration::from_secs(3_600);

/// How long a new allocation carries nothing. A browser that gathers candidates for ICE-TCP does so shortly after the
/// relayed ones (Chromium 50 ms), and only until a pair is connected: by then it has both, and prefers ICE-TCP. Checks
/// that are lost meanwhile are sent again.
pub(super) const HOLD: Duration = Duration::from_millis(150);

/// How long an allocation may carry nothing from its client, which checks a path that it uses more often than that. A
/// client that has connected by another path would keep an unused allocation as long as its session.
pub(super) const UNUSED: Duration = Duration::from_secs(60);

/// How long a permission lasts (RFC 8656 9).
const PERMISSION: Duration = Duration::from_secs(300);

/// How long a channel lasts (RFC 8656 12).
const CHANNEL: Duration = Duration::from_secs(600);

/// The numbers of channels (RFC 8656 12).
const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x4fff;

/// Addresses with a permission, and channels: an answer has at most 8 addresses, and an ICE restart may change them.
const MAX_PEERS: usize = 16;

/// An allocation.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) session: SessionId,
    pub(super) username: Vec<u8>,
    pub(super) relayed: SocketAddr,
    expires: Instant,
    /// When it begins to carry datagrams.
    carries_from: Instant,
    /// When the client has last sent a datagram to a candidate, or when there was none.
    used: Instant,
    /// Addresses from which the client gets datagrams, and to which it may send, with the end of the permission.
    permissions: Vec<(IpAddr, Instant)>,
    channels: Vec<Channel>,
    /// The candidates that the client has sent to.
    pub(super) peers: Vec<SocketAddr>,
    _port: RelayedPort,
}

#[derive(Debug)]
struct Channel {
    number: u16,
    peer: SocketAddr,
    expires: Instant,
}

/// How long an allocation lasts whose client asks for this number of seconds.
pub(super) fn lifetime(wished: Option<u32>) -> Duration {
    wished.map_or(USUAL, |seconds| Duration::from_secs(seconds.into()).clamp(USUAL, LONGEST))
}

impl Allocation {
    pub(super) fn new(
        (session, username): (SessionId, &[u8]),
        relayed: IpAddr,
        port: RelayedPort,
        (now, lifetime): (Instant, Duration),
    ) -> Self {
        Self {
            session,
            username: username.to_vec(),
            relayed: SocketAddr::new(relayed, port.port),
            expires: now + lifetime,
            carries_from: now + HOLD,
            used: now,
            permissions: Vec::new(),
            channels: Vec::new(),
            peers: Vec::new(),
            _port: port,
        }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.expires
    }

    /// Whether its client has sent nothing to a candidate for a long time.
    pub(super) fn is_unused(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) >= UNUSED
    }

    pub(super) fn refresh(&mut self, expires: Instant) {
        self.expires = expires;
    }

    /// Installs permissions for these addresses, or none of them.
    pub(super) fn permit(
        &mut self,
        peers: &[SocketAddr],
        candidates: &[SocketAddr],
        now: Instant,
    ) -> Result<(), Refusal> {
        for peer in peers {
            self.check_family(peer)?;
            if !candidates.iter().any(|candidate| candidate.ip() == peer.ip()) {
                return Err(Refusal::Forbidden);
            }
        }
        peers.iter().try_for_each(|peer| self.permit_one(peer.ip(), now))
    }

    /// Binds a channel to a candidate, or binds it again, which prolongs it.
    pub(super) fn bind(
        &mut self,
        number: u16,
        peer: SocketAddr,
        candidates: &[SocketAddr],
        now: Instant,
    ) -> Result<(), Refusal> {
        self.check_family(&peer)?;
        if !CHANNELS.contains(&number) {
            return Err(Refusal::BadRequest);
        }
        if !candidates.contains(&peer) {
            return Err(Refusal::Forbidden);
        }
        self.channels.retain(|channel| channel.expires > now);
        let is_other = |channel: &Channel| (channel.number == number) != (channel.peer == peer);
        if self.channels.iter().any(is_other) {
            return Err(Refusal::BadRequest);
        }
        self.permit_one(peer.ip(), now)?;
        self.channels.retain(|channel| channel.number != number);
        if self.channels.len() >= MAX_PEERS {
            return Err(Refusal::InsufficientCapacity);
        }
        self.channels.push(Channel { number, peer, expires: now + CHANNEL });
        Ok(())
    }

    /// The candidate that a channel is bound to.
    pub(super) fn peer_of(&self, number: u16, now: Instant) -> Option<SocketAddr> {
        let channel = self.channels.iter().find(|channel| channel.number == number)?;
        (channel.expires > now).then_some(channel.peer)
    }

    /// Whether the client has a permission for the address.
    pub(super) fn permits(&self, peer: &SocketAddr, now: Instant) -> bool {
        self.permissions.iter().any(|(ip, expires)| *ip == peer.ip() && *expires > now)
    }

    /// Notes that the client sends to a candidate. False if those are too many, or the allocation carries nothing yet.
    pub(super) fn note_peer(&mut self, peer: SocketAddr, now: Instant) -> bool {
        if now < self.carries_from {
            return false;
        }
        self.used = now;
        if !self.peers.contains(&peer) && self.peers.len() < MAX_PEERS {
            self.peers.push(peer);
        }
        self.peers.contains(&peer)
    }

    /// Appends a datagram from `peer` to what the client is sent. False if it has no permission for the address.
    pub(super) fn wrap(&self, peer: SocketAddr, datagram: &[u8], now: Instant, to: &mut impl Extend<u8>) -> bool {
        if !self.permits(&peer, now) {
            return false;
        }
        match self.channels.iter().find(|channel| channel.peer == peer && channel.expires > now) {
            Some(channel) => append_channel_data(channel.number, datagram, to),
            None => to.extend(message::data_indication(peer, datagram, &rand::random())),
        }
        true
    }

    fn permit_one(&mut self, ip: IpAddr, now: Instant) -> Result<(), Refusal> {
        self.permissions.retain(|(other, expires)| *other != ip && *expires > now);
        if self.permissions.len() >= MAX_PEERS {
            return Err(Refusal::InsufficientCapacity);
        }
        self.permissions.push((ip, now + PERMISSION));
        Ok(())
    }

    fn check_family(&self, peer: &SocketAddr) -> Result<(), Refusal> {
        if peer.is_ipv4() == self.relayed.is_ipv4() { Ok(()) } else { Err(Refusal::PeerAddressFamilyMismatch) }
    }
}
