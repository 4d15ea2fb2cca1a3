//! The media socket of one worker: receive batches with GRO, send runs with GSO.
//!
//! All workers bind one address with SO_REUSEPORT; the kernel keeps a 4-tuple on one of them, by a hash of both
//! addresses or by a program (see `session::steering`). Addresses inside the relay are always plain: an IPv4 peer of a
//! dual-stack socket is an IPv4 address.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::net::UdpSocket;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Socket as RawSocket, Type};

use super::batch::{Outbox, SendOutcome};
#[cfg(target_os = "linux")]
use super::reuseport_bpf::{self, Secret};
use crate::five_tuple::{FiveTuple, Protocol, plain};
use crate::stream::WorkerId;

/// The buffer size requested from the kernel for each direction, in bytes: two thirds of a second at 100 Mbit/s.
pub(crate) const BUFFER: usize = 8 * 1024 * 1024;
/// Sockets that share a port by SO_REUSEPORT each get their share of the clients. Elsewhere (macOS, Windows) one of
/// them gets everything, or there is no such option.
pub(crate) const SPREADS: bool = cfg!(any(target_os = "linux", target_os = "android"));
/// One receive buffer holds the largest GRO aggregate.
const RECEIVE: usize = 64 * 1024;
/// How long GSO stays off after an error that it may have caused.
const PROBE_GSO_AFTER: Duration = Duration::from_secs(30);

/// One worker's socket.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    /// The smaller of the kernel's buffers for the two directions, in octets.
    buffer: usize,
    buffers: Vec<Vec<u8>>,
    /// The last batch was not full: nothing waited behind it.
    is_drained: bool,
    gso_off_since: Option<Instant>,
    gso_fallbacks: u64,
}

/// Why the media address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program uses the port.
    #[error("media port {0} is in use: stop the other program or choose another with --media ADDR:PORT")]
    InUse(SocketAddr),
    /// Ports below 1024 need a permission.
    #[error(
        "cannot bind media address {0}: permission denied; choose a port above 1023 with --media ADDR:PORT, or grant \
         CAP_NET_BIND_SERVICE (AmbientCapabilities= in the systemd unit)"
    )]
    Forbidden(SocketAddr),
    /// The TCP port with the number of the media port cannot be used.
    #[error(
        "cannot accept media by TCP on {0} ({1}): choose another port with --media ADDR:PORT, or turn TCP off with \
         --ice-tcp=false"
    )]
    Tcp(SocketAddr, io::Error),
    /// The address is not one of this machine's.
    #[error("cannot use media address {0} ({1}): choose one of this machine's with --media ADDR:PORT")]
    Unusable(SocketAddr, io::Error),
}

/// Binds one socket a worker to `address`; port 0 chooses a free port, the same for all.
///
/// # Errors
/// [`BindError`] with a sentence that says what to do.
pub(crate) fn bind(address: SocketAddr, workers: usize) -> Result<Vec<Socket>, BindError> {
    let error = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse(address),
        io::ErrorKind::PermissionDenied => BindError::Forbidden(address),
        _ => BindError::Unusable(address, error),
    };
    let opened = open_each(address, workers, |address, share| open(address, Type::DGRAM, share)).map_err(error)?;
    opened.into_iter().map(|raw| Socket::new(raw).map_err(error)).collect()
}

/// Opens a socket for each worker. `open` gets the address, and whether others may share its port; port 0 takes a free
/// one, the same for all.
///
/// # Errors
/// Those of `open`.
pub(super) fn open_each(
    address: SocketAddr,
    workers: usize,
    open: impl Fn(SocketAddr, bool) -> io::Result<RawSocket>,
) -> io::Result<Vec<RawSocket>> {
    // SO_REUSEPORT would join a port that another relay has, so the port is first taken without it.
    let first = open(address, false)?;
    if workers == 1 {
        return Ok(vec![first]);
    }
    let address = first.local_addr().ok().and_then(|bound| bound.as_socket()).unwrap_or(address);
    drop(first);
    (0..workers).map(|_| open(address, true)).collect()
}

/// Opens a non-blocking socket and binds it to `address`. With `share`, others may bind the port too (SO_REUSEPORT).
///
/// # Errors
/// Those of the system.
pub(crate) fn open(address: SocketAddr, kind: Type, share: bool) -> io::Result<RawSocket> {
    let socket = RawSocket::new(Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        // [::] means every address, including IPv4, whatever the system's default is.
        socket.set_only_v6(false)?;
    }
    #[cfg(unix)]
    {
        // A TCP port can be bound again at once after a restart. On Windows the option would share it instead.
        socket.set_reuse_address(kind == Type::STREAM)?;
        socket.set_reuse_port(share)?;
    }
    #[cfg(not(unix))]
    let _ = share;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// What one batch is received into.
pub(super) fn receive_buffers() -> Vec<Vec<u8>> {
    (0..BATCH_SIZE).map(|_| vec![0; RECEIVE]).collect()
}

impl Socket {
    pub(super) fn new(raw: RawSocket) -> io::Result<Self> {
        let state = UdpSocketState::new(UdpSockRef::from(&raw))?;
        let (receive, send) = ask_for_buffers(&state, &raw);
        let socket = UdpSocket::from_std(raw.into());
        let local = socket.local_addr()?;
        let buffers = receive_buffers();
        let buffer = receive.min(send);
        Ok(Self { socket, state, local, buffer, buffers, is_drained: false, gso_off_since: None, gso_fallbacks: 0 })
    }

    /// The same, which receives into the buffers of others: see [`Self::lend`].
    pub(super) fn without_buffers(raw: RawSocket) -> io::Result<Self> {
        let mut socket = Self::new(raw)?;
        socket.buffers = Vec::new();
        Ok(socket)
    }

    /// Exchanges its buffers for these.
    pub(super) fn lend(&mut self, buffers: &mut Vec<Vec<u8>>) {
        std::mem::swap(&mut self.buffers, buffers);
    }

    /// The bound address.
    pub(crate) fn local(&self) -> SocketAddr {
        plain(self.local)
    }

    /// The smaller of the kernel's buffers for the two directions, in octets.
    pub(crate) fn buffer(&self) -> usize {
        self.buffer
    }

    /// What a poll registers.
    pub(crate) fn source(&mut self) -> &mut UdpSocket {
        &mut self.socket
    }

    /// Receives one batch and hands each datagram over with its path and the time the kernel got it. Returns the
    /// number of datagrams; 0 when none waits.
    ///
    /// # Errors
    /// Errors of the socket other than "would block".
    pub(crate) fn receive(&mut self, mut take: impl FnMut(FiveTuple, &mut [u8], Instant)) -> io::Result<usize> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let received = {
            let mut slices = self.buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer));
            let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
                std::array::from_fn(|_| slices.next().expect("there are BATCH_SIZE buffers"));
            let receive = || self.state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut metas);
            // Through mio, which on Windows reports the next datagram only if it saw that none was left.
            match self.socket.try_io(receive) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) => return Err(error),
            }
        };
        self.is_drained = received < BATCH_SIZE;
        let clock = Clock::read();
        let mut count = 0;
        for (meta, buffer) in metas[..received].iter().zip(&mut self.buffers) {
            let at = clock.instant(meta.timestamp);
            let path = path_of(self.local, meta);
            if meta.len == 0 {
                // It counts like any other, or a batch of empty ones would look like an empty socket.
                take(path, &mut [], at);
                count += 1;
            }
            for datagram in buffer[..meta.len].chunks_mut(meta.stride.max(1)) {
                take(path, datagram, at);
                count += 1;
            }
        }
        Ok(count)
    }

    /// True if the last call of [`Self::receive`] has taken all that waited, so that the poll reports the next datagram.
    /// On Windows it does so only after a call that found nothing.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_drained && cfg!(target_os = "linux")
    }

    /// Times that GSO was turned off after an error, since the last call.
    pub(crate) fn take_gso_fallbacks(&mut self) -> u64 {
        std::mem::take(&mut self.gso_fallbacks)
    }

    /// Turns GSO on again some time after an error has turned it off.
    pub(crate) fn probe_gso(&mut self, now: Instant) {
        let due = self.gso_off_since.is_some_and(|since| now.saturating_duration_since(since) >= PROBE_GSO_AFTER);
        if !due {
            return;
        }
        self.gso_off_since = None;
        if let Ok(state) = UdpSocketState::new(UdpSockRef::from(&self.socket)) {
            self.state = state;
        }
    }

    /// Attaches a program by which the kernel delivers the datagrams of each of these clients to the socket of its
    /// worker.
    ///
    /// # Errors
    /// The kernel's; "out of memory" if it has room for fewer clients only.
    #[cfg(target_os = "linux")]
    pub(crate) fn steer(&self, clients: impl Iterator<Item = (SocketAddr, WorkerId)>) -> io::Result<()> {
        reuseport_bpf::attach(&self.socket, Secret::random(), clients)
    }

    /// Only Linux takes a program for that.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn steer(&self, _clients: impl Iterator<Item = (SocketAddr, WorkerId)>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The form of an address that this socket's family takes.
    fn outward(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) if self.local.is_ipv6() => IpAddr::V6(v4.to_ipv6_mapped()),
            other => other,
        }
    }
}

impl Outbox for Socket {
    fn send(&mut self, path: &FiveTuple, contents: &[u8], segment: Option<usize>) -> SendOutcome {
        let source = path.local.ip();
        let known = source != IpAddr::V6(Ipv6Addr::UNSPECIFIED) && !source.is_unspecified();
        let transmit = Transmit {
            destination: SocketAddr::new(self.outward(path.remote.ip()), path.remote.port()),
            ecn: None,
            contents,
            segment_size: segment,
            src_ip: known.then(|| self.outward(source)),
        };
        let error = match self.socket.try_io(|| self.state.try_send(UdpSockRef::from(&self.socket), &transmit)) {
            Ok(()) => return SendOutcome::Done,
            Err(error) => error,
        };
        if error.kind() == io::ErrorKind::WouldBlock {
            return SendOutcome::Blocked;
        }
        if let Some(segment) = segment {
            // An error of a run may be GSO's fault: the packets go out one by one.
            self.gso_fallbacks += 1;
            self.gso_off_since.get_or_insert_with(Instant::now);
            let mut worst = SendOutcome::Done;
            for packet in contents.chunks(segment) {
                match self.send(path, packet, None) {
                    SendOutcome::Done => {}
                    failed => worst = failed,
                }
            }
            // A run cannot be taken back in half: what the kernel refused is lost like a packet on the network.
            return if worst == SendOutcome::Blocked { SendOutcome::Failed } else { worst };
        }
        if quinn_udp::is_msg_size_err(&error) { SendOutcome::TooLong } else { SendOutcome::Failed }
    }

    fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }
}

/// The path that a datagram to the socket bound to `local` came by.
fn path_of(local: SocketAddr, meta: &RecvMeta) -> FiveTuple {
    let address = meta.dst_ip.unwrap_or(local.ip()).to_canonical();
    FiveTuple { protocol: Protocol::Udp, local: SocketAddr::new(address, local.port()), remote: plain(meta.addr) }
}

/// Requests a large buffer, halving the size until the kernel accepts it, and returns the size that it granted.
fn ask_for_buffers(state: &UdpSocketState, raw: &RawSocket) -> (usize, usize) {
    let reference = || UdpSockRef::from(raw);
    // The kernel caps the size without an error, so the granted size is read below.
    let _ = state.set_recv_buffer_size(reference(), BUFFER);
    let _ = state.set_send_buffer_size(reference(), BUFFER);
    (state.recv_buffer_size(reference()).unwrap_or(0), state.send_buffer_size(reference()).unwrap_or(0))
}

/// One reading of both clocks, to place the kernel's wall-clock time stamps on the monotonic line.
struct Clock {
    instant: Instant,
    since_epoch: Duration,
}

impl Clock {
    fn read() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), since_epoch }
    }

    /// A step of the wall clock must not make a packet old: what looks older than a second counts as new.
    fn instant(&self, timestamp: Option<Duration>) -> Instant {
        let age = timestamp.and_then(|timestamp| self.since_epoch.checked_sub(timestamp)).unwrap_or_default();
        if age > Duration::from_secs(1) { self.instant } else { self.instant.checked_sub(age).unwrap_or(self.instant) }
    }
}
