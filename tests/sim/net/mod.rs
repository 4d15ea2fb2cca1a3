//! A relay and its clients in virtual time: no socket, no thread, no clock but this one. Datagrams are handed over by
//! hand, so that a test decides which are lost.

pub(crate) mod client;
pub(crate) mod lane;
mod wire;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use client::NetClient;
use lane::{Links, Way};
use sluice::auth::Credential;
use sluice::five_tuple::FiveTuple;
use sluice::forward::codec::Codec;
use sluice::metrics::Metrics;
use sluice::name::Role;
use sluice::node::{Create, CreateError, Handle, Offline};
use sluice::peer::Certificate;
use sluice::peer::client::{Client, Config as ClientConfig, EXTENSIONS};
use sluice::reason::EndReason;
use sluice::sdp::Extension;
use sluice::srtp::SrtpProfile;
use sluice::worker::Config;
use wire::Wire;

/// Where the relay believes that it listens.
pub(crate) const RELAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 8081);

/// The relay and its clients.
pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) metrics: Arc<Metrics>,
    /// Whether clients that join from here on offer data channels.
    pub(crate) application: bool,
    /// The header extensions that they offer.
    pub(crate) extensions: Vec<Extension>,
    pub(crate) relay: Offline,
    pub(crate) clients: Vec<NetClient>,
    /// What the relay sends to addresses that no client has.
    pub(crate) strays: Vec<(FiveTuple, Vec<u8>)>,
    pub(crate) wire: Wire,
    /// What stands between clients and the relay.
    pub(crate) links: Links,
    client_by_address: HashMap<SocketAddr, usize>,
    worker_by_client: HashMap<usize, usize>,
    /// Numbers of clients that are gone, to be used again.
    vacant: Vec<usize>,
    next_port: u16,
    workers: usize,
    /// Of the clients that join from here on.
    pub(crate) certificate: Certificate,
}

impl Net {
    pub(crate) fn new(workers: usize) -> Self {
        Self::with(workers, Config::default())
    }

    /// Spreads publishers and the viewers of small streams over the workers too, so that tests need few of them.
    pub(crate) fn with(workers: usize, config: Config) -> Self {
        Self::with_assignment(workers, Config { small_stream: 0, gathered_publishers: 0, ..config })
    }

    /// Assigns sessions to workers as `config` says.
    pub(crate) fn with_assignment(workers: usize, config: Config) -> Self {
        let metrics = Arc::new(Metrics::new());
        let workers = NonZeroUsize::new(workers).expect("a relay has workers");
        let config = Config { media: RELAY, workers, ..config };
        Self {
            now: Instant::now(),
            relay: Offline::new(config, metrics.clone()).expect("a certificate can be made"),
            metrics,
            application: false,
            extensions: EXTENSIONS.to_vec(),
            clients: Vec::new(),
            strays: Vec::new(),
            wire: Wire::default(),
            links: Links::default(),
            client_by_address: HashMap::new(),
            worker_by_client: HashMap::new(),
            vacant: Vec::new(),
            next_port: 5000,
            workers: workers.get(),
            certificate: Certificate::generate().expect("a certificate can be made"),
        }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.relay.handle()
    }

    /// A client offers and gets its answer; nothing has been sent yet.
    pub(crate) fn join(&mut self, role: Role, stream: &str, codecs: &[Codec], profiles: &[SrtpProfile]) -> usize {
        self.try_join(role, stream, codecs, profiles, |_| {}).expect("the offer is answered")
    }

    /// The same, with a request that `change` changes. Clients have addresses of their own.
    pub(crate) fn try_join(
        &mut self,
        role: Role,
        stream: &str,
        codecs: &[Codec],
        profiles: &[SrtpProfile],
        change: impl FnOnce(&mut Create),
    ) -> Result<usize, CreateError> {
        let number = self.vacant.last().copied().unwrap_or(self.clients.len());
        let host = Ipv4Addr::new(10, 1, (number >> 8) as u8, number as u8);
        let address = SocketAddr::new(IpAddr::V4(host), self.next_port);
        let config = ClientConfig {
            role,
            codecs,
            application: self.application,
            extensions: &self.extensions,
            profiles,
            local: address,
            certificate: &self.certificate,
        };
        let mut peer = Client::new(&config, self.now).expect("the client makes an offer");
        let mut request = Create {
            role,
            stream: stream.parse().expect("the test names a valid stream"),
            offer: peer.offer().to_owned(),
            http_local: Some(RELAY.ip()),
            media_by_http: None,
            http_remote: address.ip(),
            source: sluice::session::ClientSource::Direct,
            user_agent: None,
            credential: Credential::ANONYMOUS,
            limits: sluice::auth::Limits::default(),
            standby: false,
            leg: false,
            expected: false,
        };
        change(&mut request);
        let created = self.handle().create_at(request, self.now)?;
        let tracks = peer.accept(&created.answer, self.now).expect("the answer is accepted");
        self.client_by_address.insert(address, number);
        let client = NetClient {
            peer,
            session: created.session,
            address,
            tracks,
            opener: None,
            sealer: None,
            profile: None,
            received: Vec::new(),
            rtcp: Vec::new(),
            channels: Vec::new(),
            messages: Vec::new(),
            closed: false,
            gone: false,
            away: false,
            next_index: HashMap::new(),
            says: Vec::new(),
            csrcs: Vec::new(),
            padding: 0,
            sent: None,
        };
        match self.vacant.pop() {
            Some(place) => self.clients[place] = client,
            None => self.clients.push(client),
        }
        Ok(number)
    }

    /// A client stops without leaving: nothing reaches it, and nothing comes from it. Its number is given to the next
    /// one that joins, under another port.
    pub(crate) fn forget(&mut self, number: usize) {
        self.client_by_address.retain(|_, client| *client != number);
        self.worker_by_client.remove(&number);
        self.clients[number].gone = true;
        self.vacant.push(number);
        self.next_port = self.next_port.checked_add(1).unwrap_or(5000);
    }

    /// Lets time pass: delivers datagrams in both directions and runs timers.
    pub(crate) fn run(&mut self, how_long: Duration) {
        let until = self.now + how_long;
        while self.now < until {
            self.strays.clear();
            self.step(|_, _| true);
            self.now += Duration::from_millis(1);
        }
    }

    /// Runs until all clients that have not left are connected.
    pub(crate) fn connect(&mut self) {
        for _ in 0..3000 {
            self.run(Duration::from_millis(1));
            if self.clients.iter().all(|client| client.is_connected() || client.closed || client.away) {
                return self.run(Duration::from_millis(20));
            }
        }
        panic!("not all clients connect within 3 s");
    }

    /// One millisecond; `passes` decides which of the relay's datagrams arrive.
    pub(crate) fn step(&mut self, mut passes: impl FnMut(usize, &[u8]) -> bool) {
        let now = self.now;
        for number in 0..self.clients.len() {
            if self.clients[number].gone {
                continue;
            }
            let peer = &mut self.clients[number].peer;
            if peer.poll_timeout().is_some_and(|due| due <= now) {
                peer.handle_timeout(now);
            }
            self.pump(number);
        }
        while let Some((number, way, mut datagram)) = self.links.arrived(now) {
            let (worker, client) = (self.worker_of(number), &mut self.clients[number]);
            match way {
                Way::Up => self.relay.receive(worker, client.address, &mut datagram, now),
                Way::Down => client.take(&datagram, now),
            }
            self.pump(number);
        }
        self.relay.turn(&mut self.wire, now);
        while let Some((path, datagram)) = self.wire.sent.pop_front() {
            let Some(number) = self.client_by_address.get(&path.remote).copied() else {
                self.strays.push((path, datagram));
                continue;
            };
            if !self.clients[number].away
                && passes(number, &datagram)
                && let Some(datagram) = self.links.send(number, Way::Down, datagram, now)
            {
                self.clients[number].take(&datagram, now);
                self.pump(number);
            }
            if self.wire.sent.is_empty() {
                self.relay.turn(&mut self.wire, now);
            }
        }
    }

    /// Hands a client's datagrams to the relay, always to the same worker, as SO_REUSEPORT does.
    fn pump(&mut self, number: usize) {
        let worker = self.worker_of(number);
        let client = &mut self.clients[number];
        while let Some((_, datagram)) = client.peer.poll_transmit() {
            if client.away {
                continue;
            }
            if let Some(mut datagram) = self.links.send(number, Way::Up, datagram.to_vec(), self.now) {
                self.relay.receive(worker, client.address, &mut datagram, self.now);
            }
        }
        client.take_events();
    }

    /// A publisher sends one packet.
    pub(crate) fn send(&mut self, number: usize, kind: usize, timestamp: u32, marker: bool, payload: &[u8]) {
        let datagram = self.clients[number].seal(kind, timestamp, marker, payload);
        self.deliver(number, datagram);
    }

    /// A datagram of a client arrives at the relay.
    pub(crate) fn deliver(&mut self, number: usize, datagram: Vec<u8>) {
        if self.clients[number].away {
            return;
        }
        let Some(mut datagram) = self.links.send(number, Way::Up, datagram, self.now) else { return };
        let (worker, address) = (self.worker_of(number), self.clients[number].address);
        self.relay.receive(worker, address, &mut datagram, self.now);
    }

    /// A client sends an RTCP packet.
    pub(crate) fn send_rtcp(&mut self, number: usize, packet: impl rtcp::Packet + 'static) {
        self.clients[number].peer.send_rtcp(vec![Box::new(packet)], self.now);
    }

    /// The session of a client is deleted, as by its DELETE.
    pub(crate) fn delete(&mut self, number: usize) {
        self.handle().end(&self.clients[number].session, EndReason::Deleted).expect("the session lives");
    }

    /// A number on the metrics page, by its name and labels as the page writes them.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.metrics.render();
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {page}")).parse().expect("it counts")
    }

    /// The sum of all numbers on the metrics page whose names and labels begin like this; there is at least one.
    pub(crate) fn metric_sum(&self, prefix: &str) -> u64 {
        let page = self.metrics.render();
        let samples = page.lines().filter(|line| line.starts_with(prefix)).filter_map(|line| line.rsplit_once(' '));
        let sum = samples.map(|(_, value)| value.parse::<u64>().expect("it counts")).reduce(|sum, value| sum + value);
        sum.unwrap_or_else(|| panic!("no {prefix} in {page}"))
    }

    /// How many packets were dropped for this reason.
    pub(crate) fn drops(&self, reason: &str) -> u64 {
        self.metric(&format!("sluice_drops_total{{reason=\"{reason}\"}}"))
    }

    /// Lets time pass in steps of 100 ms, with nothing from any client.
    pub(crate) fn wait(&mut self, how_long: Duration) {
        let until = self.now + how_long;
        while self.now < until {
            self.now += Duration::from_millis(100);
            self.relay.turn(&mut self.wire, self.now);
        }
    }

    /// A client's datagrams come from another address from here on, and reach another worker.
    pub(crate) fn move_client(&mut self, number: usize, address: SocketAddr, worker: usize) {
        self.clients[number].address = address;
        self.client_by_address.insert(address, number);
        self.worker_by_client.insert(number, worker);
    }

    /// The same where nothing reaches the address of before any more, as a NAT does that has forgotten it.
    pub(crate) fn rebind_client(&mut self, number: usize, address: SocketAddr, worker: usize) {
        self.client_by_address.remove(&self.clients[number].address);
        self.move_client(number, address, worker);
    }

    /// The worker whose socket a client's datagrams reach.
    fn worker_of(&self, number: usize) -> usize {
        self.worker_by_client.get(&number).copied().unwrap_or(number % self.workers)
    }
}

/// Where [`vp8`] writes its number.
pub(crate) const NUMBER: usize = 11;

/// A VP8 payload (RFC 7741): a keyframe's first packet or a packet of another frame, distinguished by `number`.
pub(crate) fn vp8(keyframe: bool, number: u32) -> Vec<u8> {
    // Payload descriptor, frame tag, start code and size of 640 x 360 (RFC 6386 9.1).
    let mut payload = vec![0x10, u8::from(!keyframe), 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
    payload.extend(number.to_be_bytes());
    payload.resize(600, number as u8);
    payload
}
