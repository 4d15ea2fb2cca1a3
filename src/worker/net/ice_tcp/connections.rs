//! The TCP connections of one worker: accepted, read, moved to other workers, and closed.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};

use super::carriage::{Carriage, Ended};
use super::connection::{Connection, Reading};
use crate::five_tuple::{FiveTuple, Protocol};
use crate::metrics::{IceTcpClosing, Metrics};
use crate::session::ClientGroup;
use crate::stream::WorkerId;
use crate::turn::service::Desk;
use crate::worker::net::batch::SendOutcome;

/// How long a connection may have no path that a session has proven: a session has 10 s for its handshake.
const PATIENCE: Duration = Duration::from_secs(12);

/// Maximum connections without a proven path on one worker. One more closes the oldest.
const MAX_UNPROVEN: usize = 256;

/// The same for one client address (one /64 network with IPv6). One more closes the oldest of them that has sent no whole
/// frame, and is closed itself if each has sent one: clients behind one NAT share an address, and a client of ICE sends a
/// frame at once.
const MAX_UNPROVEN_OF_CLIENT: usize = 32;

/// Maximum connections that are accepted in a turn; further ones wait for the next turn.
const ACCEPTS: usize = 64;

/// The pause after a failed accept, most likely for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often connections are checked.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum reads of one connection in a turn.
const READS: usize = 4;

/// Maximum octets of one read.
const READ: usize = 64 * 1024;

/// The connections of one worker.
#[derive(Debug)]
pub(crate) struct Connections {
    registry: Registry,
    listener: Option<TcpListener>,
    listener_token: Token,
    connection_by_path: HashMap<FiveTuple, Connection, foldhash::fast::RandomState>,
    path_by_token: HashMap<Token, FiveTuple, foldhash::fast::RandomState>,
    /// Connections with an allocation, by relayed address.
    path_by_relayed: HashMap<SocketAddr, FiveTuple, foldhash::fast::RandomState>,
    /// When connections without a proven path were accepted, oldest first. An entry may be out of date: the path is
    /// proven or closed by now.
    unproven: VecDeque<(Instant, FiveTuple)>,
    /// Connections that may have something to read.
    readable: VecDeque<FiveTuple>,
    /// Connections that have room again.
    roomy: Vec<FiveTuple>,
    /// Connections that move to other workers.
    leaving: Vec<(WorkerId, Box<Connection>)>,
    last_token: usize,
    accepts_again: Option<Instant>,
    next_sweep: Instant,
    scratch: Vec<u8>,
    metrics: Arc<Metrics>,
}

impl Connections {
    /// No connections yet. Tokens of the poll from `listener_token` on are for them.
    ///
    /// # Errors
    /// Those of the poll.
    pub(crate) fn new(
        registry: Registry,
        listener: Option<TcpListener>,
        listener_token: Token,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let mut connections = Self {
            registry,
            listener,
            listener_token,
            connection_by_path: HashMap::default(),
            path_by_token: HashMap::default(),
            path_by_relayed: HashMap::default(),
            unproven: VecDeque::new(),
            readable: VecDeque::new(),
            roomy: Vec::new(),
            leaving: Vec::new(),
            last_token: listener_token.0,
            accepts_again: None,
            next_sweep: Instant::now(),
            scratch: Vec::new(),
            metrics,
        };
        if let Some(listener) = &mut connections.listener {
            connections.registry.register(listener, listener_token, Interest::READABLE)?;
        }
        Ok(connections)
    }

    /// Takes an event of the poll.
    pub(crate) fn on_event(&mut self, event: &Event, now: Instant) {
        if event.token() == self.listener_token {
            return self.accept(now);
        }
        let Some(path) = self.path_by_token.get(&event.token()).copied() else { return };
        if event.is_writable()
            && let Some(connection) = self.connection_by_path.get_mut(&path)
            && !connection.has_room()
        {
            connection.flush();
            if connection.has_room() {
                self.roomy.extend(connection.carriage.paths(&path));
            }
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.mark_readable(path);
        }
    }

    /// True if [`Self::receive`] has something to do.
    pub(crate) fn is_readable(&self) -> bool {
        !self.readable.is_empty()
    }

    /// Reads what waits, in bounded time, and hands each datagram to `take`. If its session is another worker's, `take`
    /// returns that worker, and the connection moves there.
    pub(crate) fn receive(
        &mut self,
        (desk, now): (Option<Desk<'_>>, Instant),
        mut take: impl FnMut(FiveTuple, &mut [u8]) -> Option<WorkerId>,
    ) {
        for _ in 0..self.readable.len() {
            let Some(path) = self.readable.pop_front() else { break };
            self.scratch.resize(READ, 0);
            for read in 1..=READS {
                let Some(connection) = self.connection_by_path.get_mut(&path) else { break };
                connection.is_listed = false;
                let reading = connection.read(&mut self.scratch, (desk, now), &mut take);
                self.note_relayed(&path);
                match reading {
                    Ok(Reading::Empty) => break,
                    Ok(Reading::More) if read == READS => self.mark_readable(path),
                    Ok(Reading::More) => {}
                    Ok(Reading::Moves(worker)) => {
                        let moved = self.remove(&path).map(|connection| (worker, Box::new(connection)));
                        self.leaving.extend(moved);
                        break;
                    }
                    Err(ended) => {
                        self.close(&path, ended.into());
                        break;
                    }
                }
            }
        }
    }

    /// Takes a connection that was just accepted, or one from another worker with what that worker has read.
    pub(crate) fn insert(&mut self, mut connection: Connection) {
        let path = connection.path;
        // A proxy may name the same client twice.
        let is_taken = self.connection_by_path.contains_key(&path);
        if is_taken || (!connection.is_placed && !self.has_place(&path)) {
            self.metrics.ice_tcp_closed[IceTcpClosing::Full].inc();
            return;
        }
        connection.is_placed = true;
        let token = Token(self.last_token + 1);
        self.last_token = token.0;
        if let Err(error) = connection.register(&self.registry, token) {
            tracing::debug!(%error, remote = %path.remote, "cannot watch a TCP connection");
            return;
        }
        self.unproven.push_back((connection.accepted, path));
        self.path_by_token.insert(token, path);
        self.connection_by_path.insert(path, connection);
        self.note_relayed(&path);
        self.metrics.ice_tcp_connections.inc();
        self.mark_readable(path);
    }

    /// Takes the connections that move to other workers.
    pub(crate) fn take_leaving(&mut self) -> Vec<(WorkerId, Box<Connection>)> {
        std::mem::take(&mut self.leaving)
    }

    /// Takes the paths that have room again since the last call.
    pub(crate) fn take_roomy(&mut self) -> Vec<FiveTuple> {
        std::mem::take(&mut self.roomy)
    }

    /// False while something waits for the kernel on this path.
    pub(crate) fn has_room(&self, path: &FiveTuple) -> bool {
        let connection = self.carrier(path).and_then(|path| self.connection_by_path.get(path));
        connection.is_none_or(Connection::has_room)
    }

    /// Sends datagrams that are `segment` octets long, or one. What has no room, or no connection, is lost as on the
    /// network; it never blocks.
    pub(crate) fn send(&mut self, path: &FiveTuple, contents: &[u8], segment: Option<usize>) -> SendOutcome {
        let carrier = self.carrier(path).copied();
        match carrier.and_then(|carrier| self.connection_by_path.get_mut(&carrier)) {
            Some(connection) => connection.send(path.local, contents, segment, Instant::now()),
            None => SendOutcome::Failed,
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.accepts_again.into_iter().chain((self.len() > 0).then_some(self.next_sweep)).min()
    }

    /// Accepts again after a pause, and closes connections whose session has ended and those whose path was not proven
    /// in time. `is_proven` tells whether a session has proven a path, the desk whether a session has an allocation.
    pub(crate) fn handle_timeout(
        &mut self,
        desk: Option<Desk<'_>>,
        is_proven: impl Fn(&FiveTuple) -> bool,
        now: Instant,
    ) {
        if self.accepts_again.take_if(|again| *again <= now).is_some() {
            self.accept(now);
        }
        if self.len() > 0 && self.next_sweep <= now {
            self.next_sweep = now + SWEEP_INTERVAL;
            self.sweep(desk, is_proven, now);
        }
    }

    fn sweep(&mut self, desk: Option<Desk<'_>>, is_proven: impl Fn(&FiveTuple) -> bool, now: Instant) {
        let mut closed = Vec::new();
        for (path, connection) in &mut self.connection_by_path {
            let is_used = match &connection.carriage {
                Carriage::Turn(server) => desk.is_some_and(|desk| server.is_in_use(desk, now)),
                Carriage::Unknown | Carriage::Frames => is_proven(path),
            };
            let was_proven = std::mem::replace(&mut connection.is_proven, is_used);
            let is_late = now.saturating_duration_since(connection.accepted) >= PATIENCE;
            match (was_proven, connection.is_proven) {
                (_, true) => {}
                (true, false) => closed.push((*path, IceTcpClosing::Ended)),
                (false, false) if is_late => closed.push((*path, IceTcpClosing::Unproven)),
                (false, false) => {}
            }
        }
        closed.into_iter().for_each(|(path, why)| self.close(&path, why));
        self.forget_proven();
    }

    /// Removes entries that are out of date.
    fn forget_proven(&mut self) {
        let connections = &self.connection_by_path;
        self.unproven.retain(|(accepted, path)| {
            connections.get(path).is_some_and(|connection| connection.accepted == *accepted && !connection.is_proven)
        });
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.connection_by_path.len()
    }

    fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPTS {
            let Some(listener) = &self.listener else { return };
            let (stream, remote) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_of_one_client(&error) => continue,
                Err(error) => {
                    tracing::debug!(%error, "cannot accept TCP connections for media");
                    self.accepts_again = Some(now + ACCEPT_PAUSE);
                    return;
                }
            };
            let connection =
                stream.local_addr().and_then(|local| Connection::new((stream, None), (local, remote), now));
            if let Ok(connection) = connection {
                self.insert(connection);
            }
        }
        // The poll reports the listener again only for a new connection.
        self.accepts_again = Some(now);
    }

    /// Whether there is room for one more connection; closes an older one without a proof if that makes room.
    fn has_place(&mut self, path: &FiveTuple) -> bool {
        self.forget_proven();
        let client = ClientGroup::of(path.remote.ip());
        let of_client = |(_, path): &&(Instant, FiveTuple)| ClientGroup::of(path.remote.ip()) == client;
        if self.unproven.iter().filter(of_client).count() >= MAX_UNPROVEN_OF_CLIENT {
            let has_no_frame =
                |path: &FiveTuple| self.connection_by_path.get(path).is_some_and(|known| !known.has_frame);
            let mut own = self.unproven.iter().filter(of_client).map(|(_, path)| *path);
            let Some(idle) = own.find(has_no_frame) else { return false };
            self.close(&idle, IceTcpClosing::Full);
            return true;
        }
        if self.unproven.len() >= MAX_UNPROVEN
            && let Some((_, oldest)) = self.unproven.pop_front()
        {
            self.close(&oldest, IceTcpClosing::Full);
        }
        true
    }

    fn mark_readable(&mut self, path: FiveTuple) {
        if let Some(connection) = self.connection_by_path.get_mut(&path)
            && !std::mem::replace(&mut connection.is_listed, true)
        {
            self.readable.push_back(path);
        }
    }

    fn close(&mut self, path: &FiveTuple, why: IceTcpClosing) {
        if let Some(_connection) = self.remove(path) {
            // Counted before the client sees it.
            self.metrics.ice_tcp_closed[why].inc();
            tracing::debug!(remote = %path.remote, reason = crate::label::Label::as_str(why), "TCP connection closed");
        }
    }

    /// The path of the connection that carries datagrams of a path.
    fn carrier<'a>(&'a self, path: &'a FiveTuple) -> Option<&'a FiveTuple> {
        match path.protocol {
            Protocol::Turn => self.path_by_relayed.get(&path.remote),
            Protocol::Udp | Protocol::Tcp => Some(path),
        }
    }

    /// Lets a connection be found by its relayed address, since it has got an allocation, or no longer.
    fn note_relayed(&mut self, path: &FiveTuple) {
        let Some(connection) = self.connection_by_path.get_mut(path) else { return };
        let relayed = connection.carriage.relayed();
        let former = std::mem::replace(&mut connection.relayed, relayed);
        if former == relayed {
            return;
        }
        connection.is_proven |= relayed.is_some();
        if let Some(former) = former {
            self.path_by_relayed.remove(&former);
        }
        if let Some(relayed) = relayed {
            self.path_by_relayed.insert(relayed, *path);
        }
    }

    fn remove(&mut self, path: &FiveTuple) -> Option<Connection> {
        let mut connection = self.connection_by_path.remove(path)?;
        if let Some(relayed) = connection.relayed.take() {
            self.path_by_relayed.remove(&relayed);
        }
        connection.deregister(&self.registry);
        self.path_by_token.remove(&connection.token);
        self.metrics.ice_tcp_connections.dec();
        Some(connection)
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.metrics.ice_tcp_connections.sub(i64::try_from(self.len()).unwrap_or(0));
    }
}

impl From<Ended> for IceTcpClosing {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Closed => Self::Client,
            Ended::Malformed => Self::Malformed,
        }
    }
}

/// Whether an error of `accept` is about one connection, and others can be accepted.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpStream};

    use mio::{Events, Poll};

    use super::super::listener::listen;
    use super::*;
    use crate::label::Label as _;

    const LISTENER: Token = Token(2);

    /// How long a test waits for the kernel.
    const WAIT: Duration = Duration::from_secs(10);

    struct Bed {
        poll: Poll,
        connections: Connections,
        address: SocketAddr,
        now: Instant,
        /// What arrived, and from where.
        datagrams: Vec<(FiveTuple, Vec<u8>)>,
        /// The worker that has all sessions.
        home: Option<WorkerId>,
    }

    impl Bed {
        fn new() -> Self {
            let poll = Poll::new().unwrap();
            let listener = listen("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
            let address = listener.local_addr().unwrap();
            let registry = poll.registry().try_clone().unwrap();
            let connections = Connections::new(registry, Some(listener), LISTENER, Arc::default()).unwrap();
            Self { poll, connections, address, now: Instant::now(), datagrams: Vec::new(), home: None }
        }

        fn connect(&mut self) -> TcpStream {
            let stream = TcpStream::connect(self.address).unwrap();
            stream.set_read_timeout(Some(WAIT)).unwrap();
            stream
        }

        /// Handles events until the condition holds.
        fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
            let began = Instant::now();
            while !holds(self) {
                assert!(began.elapsed() < WAIT, "not within {WAIT:?}: {what}");
                self.turn(Duration::from_millis(50));
            }
        }

        /// Handles the events that come within this time.
        fn turn(&mut self, timeout: Duration) {
            let mut events = Events::with_capacity(64);
            self.poll.poll(&mut events, Some(timeout)).unwrap();
            events.iter().for_each(|event| self.connections.on_event(event, self.now));
            if self.connections.accepts_again.is_some() {
                self.connections.handle_timeout(None, |_| false, self.now);
            }
            let (datagrams, home) = (&mut self.datagrams, self.home);
            self.connections.receive((None, self.now), |path, datagram| {
                if home.is_none() {
                    datagrams.push((path, datagram.to_vec()));
                }
                home
            });
        }

        fn closed(&self, why: IceTcpClosing) -> u64 {
            self.connections.metrics.ice_tcp_closed[why].get()
        }
    }

    fn is_closed(mut client: TcpStream) -> bool {
        matches!(client.read(&mut [0; 1]), Ok(0) | Err(_))
    }

    #[test]
    fn datagrams_arrive_however_the_octets_are_cut_and_leave_as_frames() {
        let mut bed = Bed::new();
        let mut client = bed.connect();
        for octets in [&b"\0\x03ab"[..], b"c\0", b"\0\0\x01", b"d\0\x01e"] {
            client.write_all(octets).unwrap();
            client.flush().unwrap();
        }
        bed.until("three datagrams", |bed| bed.datagrams.len() == 3);
        let contents: Vec<_> = bed.datagrams.iter().map(|(_, datagram)| datagram.as_slice()).collect();
        assert_eq!(contents, [&b"abc"[..], b"d", b"e"]);
        let path = bed.datagrams[0].0;
        assert_eq!((path.local, path.remote), (bed.address, client.local_addr().unwrap()));
        assert_eq!(bed.connections.send(&path, b"12345", Some(2)), SendOutcome::Done);
        let mut sent = [0; 11];
        client.read_exact(&mut sent).unwrap();
        assert_eq!(&sent, b"\0\x0212\0\x0234\0\x015");
    }

    #[test]
    fn a_client_that_reads_nothing_takes_bounded_memory_and_there_is_room_once_it_reads() {
        let mut bed = Bed::new();
        let mut client = bed.connect();
        client.write_all(b"\0\x06abcdef").unwrap();
        bed.until("a datagram", |bed| !bed.datagrams.is_empty());
        let path = bed.datagrams[0].0;
        let mut taken = 0;
        while bed.connections.send(&path, &[7; 1_000], None) == SendOutcome::Done {
            taken += 1_002;
            assert!(taken < 16 << 20, "the kernel and the relay take octets without a bound");
        }
        assert!(!bed.connections.has_room(&path));
        let (mut read, mut buffer) = (0, [0; 65_536]);
        while read < taken {
            read += client.read(&mut buffer).unwrap();
            bed.turn(Duration::ZERO);
        }
        bed.until("nothing waits", |bed| bed.connections.has_room(&path));
        assert_eq!(bed.connections.take_roomy(), [path]);
    }

    #[test]
    fn what_is_not_in_frames_ends_the_connection_at_once() {
        let mut bed = Bed::new();
        let mut client = bed.connect();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        bed.until("it is closed", |bed| bed.closed(IceTcpClosing::Malformed) == 1);
        assert!(is_closed(client) && bed.connections.len() == 0 && bed.datagrams.is_empty());
    }

    #[test]
    fn a_connection_without_a_proven_path_is_closed_in_time_and_one_with_a_path_when_its_session_ends() {
        let mut bed = Bed::new();
        let (silent, mut used) = (bed.connect(), bed.connect());
        used.write_all(b"\0\x06abcdef").unwrap();
        bed.until("both are accepted", |bed| bed.connections.len() == 2 && !bed.datagrams.is_empty());
        let path = bed.datagrams[0].0;
        let start = bed.now;
        bed.connections.handle_timeout(None, |other| *other == path, start + PATIENCE / 2);
        assert_eq!(bed.connections.len(), 2);
        bed.connections.handle_timeout(None, |other| *other == path, start + PATIENCE);
        assert_eq!((bed.connections.len(), bed.closed(IceTcpClosing::Unproven)), (1, 1));
        assert!(is_closed(silent));
        bed.connections.handle_timeout(None, |_| false, start + PATIENCE * 2);
        assert_eq!((bed.connections.len(), bed.closed(IceTcpClosing::Ended)), (0, 1));
        assert!(is_closed(used));
    }

    #[test]
    fn one_client_holds_few_connections_without_a_proven_path_and_as_many_with_one_as_it_likes() {
        let mut bed = Bed::new();
        let first: Vec<_> = (0..MAX_UNPROVEN_OF_CLIENT).map(|_| bed.connect()).collect();
        for mut client in &first {
            client.write_all(b"\0\x06abcdef").unwrap();
        }
        bed.until("all have sent a frame", |bed| bed.datagrams.len() == first.len());
        let further = bed.connect();
        bed.until("one more is closed", |bed| bed.closed(IceTcpClosing::Full) == 1);
        assert!(is_closed(further));
        bed.connections.handle_timeout(None, |_| true, bed.now + SWEEP_INTERVAL);
        let _further = bed.connect();
        bed.until("there is room", |bed| bed.connections.len() == first.len() + 1);
    }

    #[test]
    fn half_frames_of_one_address_close_each_other_and_no_client_behind_the_same_nat_that_sends_frames() {
        let mut bed = Bed::new();
        let mut used = bed.connect();
        used.write_all(b"\0\x06abcdef").unwrap();
        bed.until("a datagram", |bed| bed.datagrams.len() == 1);
        let halves: Vec<_> = (0..MAX_UNPROVEN_OF_CLIENT * 3).map(|_| bed.connect()).collect();
        for mut half in &halves {
            // The relay may have closed it.
            let _ = half.write_all(b"\0\x09a");
        }
        let closed = halves.len() + 1 - MAX_UNPROVEN_OF_CLIENT;
        bed.until("the oldest are closed", |bed| bed.closed(IceTcpClosing::Full) == closed as u64);
        let mut late = bed.connect();
        late.write_all(b"\0\x06abcdef").unwrap();
        used.write_all(b"\0\x01c").unwrap();
        bed.until("both are heard", |bed| bed.datagrams.len() == 3);
    }

    #[test]
    fn more_connections_than_one_turn_accepts_are_accepted_in_the_next_without_an_event() {
        let mut bed = Bed::new();
        let waiting: Vec<_> = (0..ACCEPTS + 3).map(|_| bed.connect()).collect();
        let accepted = |bed: &Bed| bed.connections.last_token - LISTENER.0;
        bed.connections.accept(bed.now);
        assert_eq!(accepted(&bed), ACCEPTS);
        assert!(bed.connections.poll_timeout() <= Some(bed.now), "at once");
        bed.connections.handle_timeout(None, |_| false, bed.now);
        assert_eq!(accepted(&bed), waiting.len());
    }

    #[test]
    fn a_connection_that_moves_to_a_worker_with_one_of_the_same_path_is_closed() {
        let (mut bed, mut other) = (Bed::new(), Bed::new());
        bed.home = Some(WorkerId(1));
        let mut client = bed.connect();
        client.write_all(b"\0\x06abcdef").unwrap();
        bed.until("it leaves", |bed| !bed.connections.leaving.is_empty());
        let (_, mut moved) = bed.connections.take_leaving().remove(0);
        let mut first = other.connect();
        first.write_all(b"\0\x06abcdef").unwrap();
        other.until("a datagram", |other| other.datagrams.len() == 1);
        moved.path = other.datagrams[0].0;
        other.connections.insert(*moved);
        assert_eq!((other.connections.len(), other.closed(IceTcpClosing::Full)), (1, 1));
        assert!(is_closed(client));
        first.write_all(b"\0\x01c").unwrap();
        other.until("the first is still heard", |other| other.datagrams.len() == 2);
    }

    #[test]
    fn a_client_that_leaves_is_forgotten() {
        let mut bed = Bed::new();
        let client = bed.connect();
        bed.until("it is accepted", |bed| bed.connections.len() == 1);
        client.shutdown(Shutdown::Both).unwrap();
        bed.until("it is closed", |bed| bed.closed(IceTcpClosing::Client) == 1);
        assert_eq!((bed.connections.len(), bed.connections.metrics.ice_tcp_connections.get()), (0, 0));
        assert!(bed.connections.path_by_token.is_empty() && IceTcpClosing::ALL.len() == 5);
    }

    #[test]
    fn a_connection_moves_to_another_worker_with_everything_that_has_arrived() {
        let (mut bed, mut other) = (Bed::new(), Bed::new());
        bed.home = Some(WorkerId(1));
        let mut client = bed.connect();
        client.write_all(b"\0\x01a\0\x02bc\0").unwrap();
        bed.until("it leaves", |bed| !bed.connections.leaving.is_empty());
        let (worker, connection) = bed.connections.take_leaving().remove(0);
        assert_eq!((worker, bed.connections.len()), (WorkerId(1), 0));
        other.connections.insert(*connection);
        client.write_all(b"\x01d").unwrap();
        other.until("three datagrams", |other| other.datagrams.len() == 3);
        let contents: Vec<_> = other.datagrams.iter().map(|(_, datagram)| datagram.as_slice()).collect();
        assert_eq!(contents, [&b"a"[..], b"bc", b"d"]);
    }
}
