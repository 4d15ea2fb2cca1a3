//! One client and its socket.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use mio::net::UdpSocket;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};

use super::payload::wall_clock;
use crate::peer::Event;
use crate::peer::client::Client;
use crate::rtcp::Compound;

/// Bytes that wait in a viewer's socket while the load is busy with others.
const BUFFER: usize = 1024 * 1024;

/// The largest aggregate that the kernel hands over.
const RECEIVE: usize = 64 * 1024;

/// A client behind a socket of its own.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) socket: UdpSocket,
    state: UdpSocketState,
    /// Where DTLS goes, and with it media.
    relay: Option<SocketAddr>,
    is_connected: bool,
}

/// The buffers that all links receive into, one after the other.
pub(super) struct Buffers {
    buffers: Vec<Vec<u8>>,
    metas: [RecvMeta; BATCH_SIZE],
}

impl Default for Buffers {
    fn default() -> Self {
        Self { buffers: (0..BATCH_SIZE).map(|_| vec![0; RECEIVE]).collect(), metas: [RecvMeta::default(); BATCH_SIZE] }
    }
}

/// A socket on a free port of this address.
pub(super) fn open(address: IpAddr) -> Result<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind((address, 0))
        .context("no socket for another client: raise the limit of open files with ulimit -n")?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Link {
    pub(super) fn new(client: Client, socket: std::net::UdpSocket) -> Result<Self> {
        let socket = UdpSocket::from_std(socket);
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // As much as the kernel grants: what is lost for want of it is counted.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), BUFFER);
        Ok(Self { client, socket, state, relay: None, is_connected: false })
    }

    /// Receives all that waits. Media goes to `take` with the time since the Unix epoch at which the kernel got it,
    /// everything else to the client; true if there was something else.
    pub(super) fn receive(
        &mut self,
        buffers: &mut Buffers,
        now: Instant,
        mut take: impl FnMut(&mut [u8], Duration),
    ) -> bool {
        let mut other = false;
        loop {
            let received = match self.receive_batch(buffers) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Nothing there; or the relay is gone, which other signs tell better.
                Err(_) => return other,
            };
            for (meta, buffer) in buffers.metas[..received].iter().zip(&mut buffers.buffers) {
                let at = meta.timestamp.unwrap_or_else(wall_clock);
                for datagram in buffer[..meta.len].chunks_mut(meta.stride.max(1)) {
                    if is_media(datagram) {
                        take(datagram, at);
                    } else {
                        other = true;
                        // Errors are for a counter; what matters shows in the events.
                        let _ = self.client.handle_datagram(datagram, meta.addr, now);
                        if !self.is_connected {
                            // webrtc-rs begins DTLS at a timeout, which would come some 200 ms after the check.
                            self.client.handle_timeout(now);
                        }
                    }
                }
            }
            // Fewer than a batch: the kernel had no more.
            if received < BATCH_SIZE {
                return other;
            }
        }
    }

    /// Sends what the client has to say.
    pub(super) fn transmit(&mut self) {
        while let Some((to, datagram)) = self.client.poll_transmit() {
            // Connectivity checks go everywhere, DTLS only where one was answered (RFC 7983 7).
            if matches!(datagram.first(), Some(20..=63)) {
                self.relay = Some(to);
            }
            // What a full buffer loses is lost as on the network.
            let _ = self.socket.send_to(&datagram, to);
        }
    }

    /// Sends a packet of media; nothing before DTLS knows where to.
    pub(super) fn send_media(&self, packet: &[u8]) {
        if let Some(relay) = self.relay {
            let _ = self.socket.send_to(packet, relay);
        }
    }

    /// The next thing that happened to the client.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        let event = self.client.poll_event();
        self.is_connected |= matches!(event, Some(Event::Connected(_)));
        event
    }

    /// Sends RTCP.
    pub(super) fn send_rtcp(&mut self, packets: Compound, now: Instant) {
        self.client.send_rtcp(packets, now);
        self.transmit();
    }

    /// The port that it sends from.
    pub(super) fn port(&self) -> Option<u16> {
        self.socket.local_addr().ok().map(|local| local.port())
    }

    fn receive_batch(&self, buffers: &mut Buffers) -> io::Result<usize> {
        let mut slices = buffers.buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer));
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| slices.next().expect("there are BATCH_SIZE buffers"));
        self.state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut buffers.metas)
    }
}

/// RTP, as against RTCP, DTLS and STUN (RFC 7983 7, RFC 5761 4).
fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, second, ..] if !matches!(second, 192..=223))
}
