//! The event loop of a worker, and the start and stop of all of them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Wake, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use prometheus::Counter;

use super::watchdog::Watchdog;
use crate::advertise::Advertised;
use crate::metrics::Metrics;
use crate::peer::CertificateError;
use crate::reason::EndReason;
use crate::session::assignment::Awake;
use crate::stream::{Inbox, Sender, WorkerId, inbox};
use crate::worker::config::{Config, ConfigError};
use crate::worker::engine::{state::Engine, turn::ServeOutcome};
use crate::worker::message::Message;
use crate::worker::net::ice_tcp::connections::Connections;
use crate::worker::net::kernel_drops::SocketDrops;
use crate::worker::net::media_port::MediaPort;
use crate::worker::net::own_sockets::OwnSockets;
use crate::worker::net::socket::{BindError, Socket};
use crate::worker::net::sockets::Sockets;
use crate::worker::sessions::ended::end_waiting;
use crate::worker::shared::Shared;

/// Datagrams that one turn takes from the socket before viewers are served.
const TURN_DATAGRAMS: usize = 256;

/// How long one turn serves viewers before it looks at socket, inbox and timers again.
const TURN_SERVING: Duration = Duration::from_millis(1);

/// Messages that wait for a worker; beyond that media is dropped and counted, commands are tried again.
pub(crate) const INBOX: usize = 8192;

/// A peer's handshake recurses over fragments, so workers have more stack than a thread gets.
const STACK: usize = 8 * 1024 * 1024;

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);
/// The first token for TCP; those of connections follow it.
const LISTENER: Token = Token(2);

/// The running workers.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    inboxes: Vec<Sender<Message>>,
    threads: Vec<JoinHandle<()>>,
    watchdog: Watchdog,
}

/// Why the workers did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The media address cannot be used.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system refused another thread or poll, because of its limits.
    #[error(
        "cannot start a media thread: {0}: raise the limits of threads and open files (ulimit -a), or start fewer by \
         --workers"
    )]
    Thread(#[from] io::Error),
    /// No certificate could be made.
    #[error("cannot make a DTLS certificate: {0}")]
    Certificate(#[from] CertificateError),
}

impl StartError {
    /// Whether a setting must be corrected; other errors may pass without that.
    pub(crate) fn is_mistake(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Bind(BindError::Forbidden(_)))
    }
}

/// Binds the media port and starts the workers.
///
/// # Errors
/// [`StartError`] with a sentence that says what to do; nothing is left running.
pub(crate) fn start(config: Config, advertised: Arc<Advertised>, metrics: Arc<Metrics>) -> Result<Workers, StartError> {
    config.check()?;
    let MediaPort { mut sockets, listeners } = MediaPort::bind(config.media, config.workers.get(), config.ice_tcp)?;
    let media_port = sockets[0].local().port();
    let mut polls = Vec::new();
    for socket in &mut sockets {
        let poll = Poll::new()?;
        poll.registry().register(socket.source(), SOCKET, Interest::READABLE)?;
        let waker = Waker::from(Arc::new(PollWaker(mio::Waker::new(poll.registry(), WAKER)?)));
        polls.push((poll, inbox(INBOX, waker)));
    }
    let inboxes: Vec<_> = polls.iter().map(|(_, (sender, _))| sender.clone()).collect();
    let mut shared = Shared::new(config, advertised, media_port, metrics, inboxes.clone())?;
    shared.has_ice_tcp = !listeners.is_empty();
    shared.socket_buffer = sockets.iter().map(Socket::buffer).min();
    shared.socket_drops = SocketDrops::of(sockets.iter_mut().map(|socket| &*socket.source()));
    if sockets.len() > 1 {
        // Whether the kernel accepts the program is known before sessions are assigned by it.
        shared.assignment.steering.apply(|clients| sockets[0].steer(clients));
    }
    let shared = Arc::new(shared);
    let watchdog = Watchdog::start(Arc::clone(&shared))?;
    let mut threads = Vec::new();
    let mut listeners = listeners.into_iter();
    for (number, (udp, (poll, (_, inbox)))) in (0..).zip(sockets.into_iter().zip(polls)) {
        let own = OwnSockets::new(poll.registry().try_clone()?);
        let registry = poll.registry().try_clone()?;
        let tcp = Connections::new(registry, listeners.next(), LISTENER, Arc::clone(&shared.metrics))?;
        let sockets = Sockets { udp, tcp, own };
        let engine = Engine::new(WorkerId(number), shared.clone(), Instant::now());
        let busy = shared.metrics.worker_busy(number);
        let turn =
            EventLoop { poll, sockets, waits_for_room: false, inbox, engine, busy, awake: Awake::new(Instant::now()) };
        let thread = std::thread::Builder::new().name(format!("worker-{number}")).stack_size(STACK);
        threads.push(thread.spawn(move || turn.run())?);
    }
    Ok(Workers { shared, inboxes, threads, watchdog })
}

impl Workers {
    /// What the workers share with the node's handle.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Ends every session, closes every peer connection, and waits for the threads.
    pub(crate) fn stop(self) {
        self.shared.draining.store(true, Ordering::Relaxed);
        for waiting in self.shared.pending_sessions.drain() {
            end_waiting(&waiting, EndReason::Shutdown, &self.shared, Instant::now());
        }
        // A worker whose inbox is full may be stuck: the others get the message first.
        let mut unsignalled: Vec<_> = self.inboxes.iter().collect();
        while !unsignalled.is_empty() {
            unsignalled.retain(|sender| sender.push(Message::Stop).is_err());
            std::thread::sleep(Duration::from_millis(1));
        }
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::warn!("a media thread had panicked");
            }
        }
        self.watchdog.stop();
    }
}

struct PollWaker(mio::Waker);

impl Wake for PollWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // It can fail only when the poll is gone, and then no thread sleeps on it.
        let _ = self.0.wake();
    }
}

struct EventLoop {
    poll: Poll,
    sockets: Sockets,
    /// The poll reports when the socket takes datagrams again.
    waits_for_room: bool,
    inbox: Inbox<Message>,
    engine: Engine,
    /// Seconds in which it did not sleep.
    busy: Counter,
    /// The same, for the assignment of sessions.
    awake: Awake,
}

impl EventLoop {
    fn run(mut self) {
        let mut events = Events::with_capacity(16);
        let mut awake = Instant::now();
        let mut readable = true;
        while !self.engine.is_stopped() {
            self.engine.heartbeat.turn();
            // 1. Receive: free the kernel's buffer first, for what it drops is lost. A worker that another one woke
            // finds nothing there.
            let more = readable && self.receive();
            self.receive_tcp();
            self.receive_own();
            // 2. Forward: from publishers to inboxes, from the inbox to viewers, in bounded time.
            let progress = self.engine.work(&mut self.inbox, &mut self.sockets, TURN_SERVING, Instant::now);
            // 3. What only the socket knows.
            let now = Instant::now();
            self.sockets.udp.probe_gso(now);
            let fallbacks = self.sockets.udp.take_gso_fallbacks() + self.sockets.own.look_after_gso(now);
            self.engine.add_socket(fallbacks);
            if self.engine.steers(now) {
                self.engine.shared.assignment.steering.apply(|listed| self.sockets.udp.steer(listed));
            }
            self.look_after_tcp(now);
            // 4. Sleep only when nothing waits. A blocked socket is waited for, not asked again and again; a worker
            // that has just got the message to stop would never be woken.
            let more = more || self.sockets.tcp.is_readable() || self.sockets.own.is_readable();
            let goes_on = more || progress == ServeOutcome::More || self.engine.is_stopped();
            let now = Instant::now();
            let spent = now.saturating_duration_since(awake);
            self.busy.inc_by(spent.as_secs_f64());
            self.awake.add(spent, self.engine.load(), now);
            readable = self.sleep(&mut events, goes_on, progress == ServeOutcome::Blocked);
            awake = Instant::now();
        }
        self.engine.heartbeat.sleep();
    }

    /// Receives at most a turn's datagrams; true when more may wait.
    fn receive(&mut self) -> bool {
        let (udp, engine) = (&mut self.sockets.udp, &mut self.engine);
        let mut count = 0;
        while count < TURN_DATAGRAMS {
            let now = Instant::now();
            match udp.receive(|path, datagram, received| engine.handle_datagram(path, datagram, received, now)) {
                Ok(0) => return false,
                // Asking again would cost a system call for each datagram that comes alone, as feedback does.
                Ok(_) if udp.is_drained() => return false,
                Ok(received) => count += received,
                Err(error) => {
                    // ICMP errors of clients that are gone come back here; nothing is lost by going on.
                    tracing::trace!(%error, "receive");
                    return true;
                }
            }
        }
        true
    }

    /// Receives what waits on the sockets of legs, in bounded time.
    fn receive_own(&mut self) {
        let now = Instant::now();
        self.sockets.own.receive(|path, datagram, received| self.engine.handle_datagram(path, datagram, received, now));
    }

    /// Receives what waits on TCP connections, in bounded time.
    fn receive_tcp(&mut self) {
        let engine = &mut self.engine;
        let shared = Arc::clone(&engine.shared);
        self.sockets.tcp.receive((shared.desk(), Instant::now()), |path, datagram| {
            let now = Instant::now();
            engine.handle_datagram(path, datagram, now, now);
            engine.handed_over_paths.moves_to.take()
        });
    }

    /// Moves TCP connections to the workers of their sessions, serves viewers whose connections have room again, and
    /// closes connections without a session.
    fn look_after_tcp(&mut self, now: Instant) {
        let tcp = &mut self.sockets.tcp;
        for connection in self.engine.handed_over_paths.arrived.drain(..) {
            tcp.insert(connection);
        }
        for (worker, connection) in tcp.take_leaving() {
            self.engine.mailbox.send_command(worker, Message::Connection(connection));
        }
        for path in tcp.take_roomy() {
            self.engine.due_viewers.extend(self.engine.demux.owner(&path));
        }
        tcp.handle_timeout(self.engine.shared.desk(), |path| self.engine.demux.owner(path).is_some(), now);
    }

    /// Waits for something to do. False when the socket has nothing: it had been emptied before, and the poll reports
    /// each datagram since.
    fn sleep(&mut self, events: &mut Events, work_waits: bool, is_blocked: bool) -> bool {
        if work_waits || !self.inbox.prepare_to_sleep() {
            return true;
        }
        if self.waits_for_room != is_blocked {
            match watch(&self.poll, &mut self.sockets.udp, is_blocked) {
                Ok(()) => self.waits_for_room = is_blocked,
                Err(error) => tracing::warn!(%error, "cannot wait for the socket"),
            }
        }
        let due = self.engine.poll_timeout().into_iter().chain(self.sockets.tcp.poll_timeout()).min();
        let timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
        self.engine.heartbeat.sleep();
        let polled = self.poll.poll(events, timeout);
        self.engine.heartbeat.turn();
        self.inbox.woke();
        match polled {
            Ok(()) => {
                let now = Instant::now();
                for event in events.iter().filter(|event| event.token() >= LISTENER) {
                    match OwnSockets::owns(event.token()) {
                        true => self.sockets.own.on_event(event),
                        false => self.sockets.tcp.on_event(event, now),
                    }
                }
                events.iter().any(|event| event.token() == SOCKET)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    tracing::warn!(%error, "poll failed");
                }
                true
            }
        }
    }
}

/// Registers the socket for incoming datagrams, and for room in its send buffer only after a send was refused:
/// otherwise each datagram that leaves the buffer would wake the worker for nothing.
fn watch(poll: &Poll, socket: &mut Socket, room: bool) -> io::Result<()> {
    let interest = if room { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
    poll.registry().reregister(socket.source(), SOCKET, interest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::five_tuple::{FiveTuple, Protocol};
    use crate::worker::net::batch::{Outbox as _, SendOutcome};
    use crate::worker::net::socket::bind;

    #[test]
    fn what_stands_behind_empty_datagrams_is_received_without_another_wake() {
        let mut socket = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
        let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        other.connect(socket.local()).unwrap();
        for _ in 0..100 {
            other.send(b"").unwrap();
        }
        other.send(b"media").unwrap();
        let mut lengths = Vec::new();
        while socket.receive(|_, datagram, _| lengths.push(datagram.len())).unwrap() > 0 {}
        assert_eq!((lengths.len(), lengths.last()), (101, Some(&5)));
    }

    #[test]
    fn a_batch_that_was_not_full_has_left_nothing() {
        let mut socket = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
        let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        other.connect(socket.local()).unwrap();
        let received = |socket: &mut Socket, sent: usize| {
            (0..sent).for_each(|_| assert_eq!(other.send(b"media").unwrap(), 5));
            let (mut received, mut calls) = (0, 0);
            while received < sent {
                received += socket.receive(|_, _, _| {}).unwrap();
                calls += 1;
                assert!(received == sent || !socket.is_drained(), "{received} of {sent}");
            }
            (calls, socket.is_drained())
        };
        assert_eq!(received(&mut socket, 1), (1, cfg!(target_os = "linux")));
        let (calls, _) = received(&mut socket, 100);
        assert!(calls > 1);
    }

    #[test]
    fn a_sent_datagram_wakes_only_workers_that_wait_for_room() {
        let mut socket = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
        let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let path = FiveTuple { protocol: Protocol::Udp, local: socket.local(), remote: other.local_addr().unwrap() };
        let mut poll = Poll::new().unwrap();
        poll.registry().register(socket.source(), SOCKET, Interest::READABLE).unwrap();
        let mut events = Events::with_capacity(4);
        let mut wakes = |poll: &mut Poll, socket: &mut Socket, patience| {
            assert_eq!(socket.send(&path, b"gone", None), SendOutcome::Done);
            other.recv(&mut [0; 8]).unwrap();
            poll.poll(&mut events, Some(patience)).unwrap();
            !events.is_empty()
        };
        assert!(!wakes(&mut poll, &mut socket, Duration::from_millis(50)));
        watch(&poll, &mut socket, true).unwrap();
        assert!(wakes(&mut poll, &mut socket, Duration::from_secs(10)));
        watch(&poll, &mut socket, false).unwrap();
        assert!(!wakes(&mut poll, &mut socket, Duration::from_millis(50)));
    }
}
