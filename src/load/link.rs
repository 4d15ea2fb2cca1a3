//! One client and its socket.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use mio::net::UdpSocket;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};

use super::payload::wall_clock;
use crate::peer::PeerEvent;
use crate::peer::client::Client;
use crate::rtcp::Compound;

/// Receive buffer of a viewer's socket, which fills while the thread serves other clients.
const BUFFER: usize = 1024 * 1024;

/// The largest aggregate that the kernel hands over.
const RECEIVE: usize = 64 * 1024;

/// A client and its socket.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) socket: UdpSocket,
    state: UdpSocketState,
    /// The address for DTLS, and so for media.
    relay: Option<SocketAddr>,
    is_connected: bool,
}

/// Receive buffers that all links share, one after the other.
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
        // As large as the kernel grants: what is lost for lack of space is counted.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), BUFFER);
        Ok(Self { client, socket, state, relay: None, is_connected: false })
    }

    /// Receives all packets that wait. Media is passed to `take` with the kernel's receive time since the Unix epoch,
    /// everything else to the client. True if there was anything but media.
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
                // No packet is ready; or the relay is gone, which other signs show better.
                Err(_) => return other,
            };
            for (meta, buffer) in buffers.metas[..received].iter().zip(&mut buffers.buffers) {
                let at = meta.timestamp.unwrap_or_else(wall_clock);
                for datagram in buffer[..meta.len].chunks_mut(meta.stride.max(1)) {
                    if is_media(datagram) {
                        take(datagram, at);
                    } else {
                        other = true;
                        // The client's errors are ignored; relevant ones become events.
                        let _ = self.client.handle_datagram(datagram, meta.addr, now);
                        if !self.is_connected {
                            // webrtc-rs begins DTLS at a timeout, which would come some 200 ms after the check.
                            self.client.handle_timeout(now);
                        }
                    }
                }
            }
            // Less than a full batch: the kernel has no more.
            if received < BATCH_SIZE {
                return other;
            }
        }
    }

    /// Sends what the client has queued.
    pub(super) fn transmit(&mut self) {
        while let Some((to, datagram)) = self.client.poll_transmit() {
            // Connectivity checks go to every address, DTLS only to one that answered a check (RFC 7983 7).
            if matches!(datagram.first(), Some(20..=63)) {
                self.relay = Some(to);
            }
            // A packet that does not fit into the send buffer is lost as on the network.
            let _ = self.socket.send_to(&datagram, to);
        }
    }

    /// Sends a media packet; does nothing before the address for DTLS is known.
    pub(super) fn send_media(&self, packet: &[u8]) {
        if let Some(relay) = self.relay {
            let _ = self.socket.send_to(packet, relay);
        }
    }

    /// The client's next event.
    pub(super) fn poll_event(&mut self) -> Option<PeerEvent> {
        let event = self.client.poll_event();
        self.is_connected |= matches!(event, Some(PeerEvent::Connected(_)));
        event
    }

    /// The relay's next RTCP.
    pub(super) fn poll_rtcp(&mut self) -> Option<BytesMut> {
        self.client.poll_rtcp()
    }

    /// Sends RTCP.
    pub(super) fn send_rtcp(&mut self, packets: Compound, now: Instant) {
        self.client.send_rtcp(packets, now);
        self.transmit();
    }

    /// The local port.
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

/// True for RTP, false for RTCP, DTLS and STUN (RFC 7983 7, RFC 5761 4).
fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, second, ..] if !matches!(second, 192..=223))
}
