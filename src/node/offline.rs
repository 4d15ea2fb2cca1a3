//! A node without threads, sockets and clock: tests and benches drive its workers in virtual time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::handle::Handle;
use crate::advertise::Advertised;
use crate::five_tuple::{FiveTuple, Protocol};
use crate::metrics::Metrics;
use crate::peer::CertificateError;
use crate::stream::{Inbox, WorkerId, inbox};
use crate::worker::engine::{state::Engine, turn::ServeOutcome};
use crate::worker::event_loop::turn::INBOX;
use crate::worker::message::Message;
use crate::worker::shared::Shared;
use crate::worker::{Config, Outbox};

/// The port from which the first leg is dialled; the next one takes the next.
const FIRST_PORT: u16 = 20_000;

/// The workers of one node, to be driven by hand.
pub struct Offline {
    handle: Handle,
    local: SocketAddr,
    /// The protocol by which clients' datagrams arrive. Connections by TCP do not move between workers here.
    pub protocol: Protocol,
    pub(crate) workers: Vec<(Engine, Inbox<Message>)>,
}

impl Offline {
    /// The workers that `config` asks for. They take its media address for the one that datagrams arrive on.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn new(config: Config, metrics: Arc<Metrics>) -> Result<Self, CertificateError> {
        let local = config.media;
        let queues: Vec<_> = (0..config.workers.get()).map(|_| inbox(INBOX, Waker::noop().clone())).collect();
        let senders = queues.iter().map(|(sender, _)| sender.clone()).collect();
        let advertised = Advertised::new(config.advertise.clone(), Vec::new(), local.ip());
        let mut shared = Shared::new(config, Arc::new(advertised), local.port(), metrics, senders)?;
        shared.virtual_ports = Some(AtomicU16::new(FIRST_PORT));
        let shared = Arc::new(shared);
        let worker = |(number, (_, inbox))| (Engine::new(WorkerId(number), shared.clone(), Instant::now()), inbox);
        let workers = (0..).zip(queues).map(worker).collect();
        Ok(Self { handle: Handle::new(shared), local, protocol: Protocol::Udp, workers })
    }

    /// What HTTP would hold.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// A datagram arrives at one worker's socket.
    pub fn receive(&mut self, worker: usize, remote: SocketAddr, datagram: &mut [u8], now: Instant) {
        self.receive_at(worker, (self.local, remote), datagram, now);
    }

    /// The same, for a socket with another address than that of the media port: of a leg that was dialled.
    pub fn receive_at(
        &mut self,
        worker: usize,
        (local, remote): (SocketAddr, SocketAddr),
        datagram: &mut [u8],
        now: Instant,
    ) {
        let path = FiveTuple { protocol: self.protocol, local, remote };
        self.workers[worker].0.handle_datagram(path, datagram, now, now);
    }

    /// Turns of every worker, until no message waits; true if no worker's socket refused anything.
    pub fn turn(&mut self, outbox: &mut impl Outbox, now: Instant) -> bool {
        let mut blocked = false;
        loop {
            let mut waits = false;
            for (engine, inbox) in &mut self.workers {
                let progress = engine.work(inbox, outbox, Duration::MAX / 4, || now);
                blocked |= progress == ServeOutcome::Blocked;
            }
            for (_, inbox) in &self.workers {
                waits |= !inbox.is_empty();
            }
            if !waits {
                return !blocked;
            }
        }
    }

    /// How much the node keeps of sessions and streams, by name: all of it is 0 once every session has ended, the
    /// messages about that are handled, and 30 s have passed.
    pub fn counts(&self) -> Vec<(String, usize)> {
        let shared = self.handle.counts().into_iter().map(|(name, count)| (name.to_owned(), count));
        let of_worker = |(number, (engine, inbox)): (usize, &(Engine, Inbox<Message>))| {
            let counts = engine.counts().into_iter().chain([("inbox", inbox.len())]);
            counts.map(move |(name, count)| (format!("worker {number}: {name}"), count)).collect::<Vec<_>>()
        };
        shared.chain(self.workers.iter().enumerate().flat_map(of_worker)).collect()
    }

    /// When some worker has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.workers.iter().filter_map(|(engine, _)| engine.poll_timeout()).min()
    }
}
