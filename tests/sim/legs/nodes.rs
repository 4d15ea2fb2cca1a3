//! Relays that reach each other over a network with a delay. Each believes that it has the same address; the network
//! shows each to the others under an address of its own, as NATs do.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use sluice::five_tuple::FiveTuple;
use sluice::name::{Role, SessionId};
use sluice::node::{Create, Dial};
use sluice::worker::Config;

use crate::broadcast::{Broadcast, MILLISECOND};
use crate::leg_offer::{dial, offer};
use crate::net::{Net, RELAY};

/// A datagram between two relays: where it came from, where it goes.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// The sender's port.
    pub(crate) source: u16,
    /// The receiver's port.
    target: u16,
    pub(crate) datagram: Vec<u8>,
}

/// What becomes of a datagram between relays.
type Passes = Box<dyn FnMut(&mut Flight, Instant) -> bool>;

/// The relays and what is on its way between them.
pub(crate) struct Nodes {
    pub(crate) nodes: Vec<Net>,
    /// One way.
    pub(crate) delay: Duration,
    pub(crate) passes: Passes,
    /// Changes what a relay has read in an answer.
    pub(crate) misreads: fn(&mut Dial),
    on_the_way: BTreeMap<(Instant, u64), Flight>,
    sent: u64,
    /// Datagrams to addresses at which there is no relay: when, and where.
    pub(crate) lost: Vec<(Instant, SocketAddr)>,
}

/// The media address of a relay as the others see it.
pub(crate) fn address(node: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 9, node as u8, 1)), RELAY.port())
}

impl Nodes {
    pub(crate) fn new(count: usize) -> Self {
        Self::with(count, Config::default())
    }

    pub(crate) fn with(count: usize, config: Config) -> Self {
        let mut nodes: Vec<Net> = (0..count).map(|_| Net::with(1, config.clone())).collect();
        let now = nodes[0].now;
        nodes.iter_mut().for_each(|net| net.now = now);
        Self {
            nodes,
            delay: Duration::from_millis(10),
            passes: Box::new(|_, _| true),
            misreads: |_| {},
            on_the_way: BTreeMap::new(),
            sent: 0,
            lost: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.nodes[0].now
    }

    /// A publisher of `cam` at a relay, which is connected and begins now.
    pub(crate) fn publish(&mut self, node: usize) -> Broadcast {
        let publisher = self.nodes[node].publish("cam");
        while !self.nodes[node].clients[publisher].is_connected() {
            self.step();
        }
        let mut broadcast = Broadcast::new(&self.nodes[node], publisher);
        broadcast.keyframe_responsive = true;
        broadcast
    }

    /// One relay pulls `cam` from another.
    pub(crate) fn pull(&mut self, node: usize, from: usize, setup: &str) -> SessionId {
        self.dial(node, from, Role::Publisher, setup, vec![address(from)]).0
    }

    /// One relay begins a leg to another, at these addresses. Returns its session, and that of the other.
    pub(crate) fn dial(
        &mut self,
        node: usize,
        other: usize,
        role: Role,
        setup: &str,
        candidates: Vec<SocketAddr>,
    ) -> (SessionId, SessionId) {
        let now = self.now();
        let stream = "cam".parse().expect("a name");
        let local = self.nodes[node].handle().call(&stream);
        let request = Create {
            role: if role == Role::Publisher { Role::Viewer } else { Role::Publisher },
            stream,
            offer: offer(&local, role, setup),
            http_local: Some(RELAY.ip()),
            media_by_http: None,
            http_remote: address(node).ip(),
            source: sluice::session::ClientSource::Direct,
            user_agent: None,
            credential: sluice::auth::Credential::ANONYMOUS,
            limits: sluice::auth::Limits::default(),
            standby: false,
            leg: true,
            expected: false,
        };
        let created = self.nodes[other].handle().create_at(request, now).expect("the offer is answered");
        let mut dial = dial(local, role, &created.answer, candidates);
        (self.misreads)(&mut dial);
        (self.nodes[node].handle().dial_at(dial, now).expect("it dials"), created.session)
    }

    /// Lets a publisher of the first relay publish for a while.
    pub(crate) fn run(&mut self, broadcast: &mut Broadcast, how_long: Duration) {
        let until = self.now() + how_long;
        while self.now() < until {
            broadcast.publish(&mut self.nodes[0]);
            self.step();
        }
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, how_long: Duration) {
        let until = self.now() + how_long;
        while self.now() < until {
            self.step();
        }
    }

    /// One millisecond.
    pub(crate) fn step(&mut self) {
        let now = self.now();
        for number in 0..self.nodes.len() {
            self.nodes[number].step(|_, _| true);
            for (path, datagram) in std::mem::take(&mut self.nodes[number].strays) {
                self.send(number, path, datagram, now);
            }
        }
        while let Some(entry) = self.on_the_way.first_entry().filter(|entry| entry.key().0 <= now) {
            let Flight { from, to, source, target, mut datagram } = entry.remove();
            let remote = SocketAddr::new(address(from).ip(), source);
            let local = SocketAddr::new(RELAY.ip(), target);
            self.nodes[to].relay.receive_at(0, (local, remote), &mut datagram, now);
        }
        self.nodes.iter_mut().for_each(|net| net.now += MILLISECOND);
    }

    fn send(&mut self, from: usize, path: FiveTuple, datagram: Vec<u8>, now: Instant) {
        let to = (0..self.nodes.len()).find(|node| address(*node).ip() == path.remote.ip());
        let Some(to) = to else { return self.lost.push((now, path.remote)) };
        let mut flight = Flight { from, to, source: path.local.port(), target: path.remote.port(), datagram };
        if (self.passes)(&mut flight, now) {
            self.on_the_way.insert((now + self.delay, self.sent), flight);
            self.sent += 1;
        }
    }
}
