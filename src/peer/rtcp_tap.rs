//! The interceptor by which RTCP is sent on a peer connection.
//!
//! Without its own interceptors webrtc-rs writes no RTCP, and received RTCP is opened outside. So this is the only
//! interceptor of every peer: it sends what it is given. The rule: no RTP passes it in either direction. Media is
//! sealed and opened outside, and a packet that is sealed here too would use a nonce twice.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use interceptor::{AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::sansio::Protocol;
use rtc::shared::TransportContext;
use rtc::shared::error::Error;

use crate::rtcp::Compound;

/// Compounds that wait. Only a caller that sends many before it polls reaches this; then the newest is dropped, as in a
/// network with loss.
const QUEUE_LIMIT: usize = 64;

#[derive(Default)]
struct Queues {
    outbound: VecDeque<(Instant, Compound)>,
}

/// The application's end of the tap.
///
/// The owner fills the queue, and the interceptor empties it while the connection is driven, on one thread; the lock is
/// there because interceptors must be `Sync`, and it is never contended.
#[derive(Clone, Default)]
pub(super) struct RtcpTap(Arc<Mutex<Queues>>);

impl RtcpTap {
    /// The interceptor to register.
    pub(super) fn interceptor(&self) -> impl Interceptor + use<> {
        TapInterceptor { tap: self.clone() }
    }

    /// Sends a compound with the connection's next output.
    pub(super) fn send(&self, packets: Compound, now: Instant) {
        let mut queues = self.lock();
        // webrtc-rs reads an empty compound as something else.
        if !packets.is_empty() && queues.outbound.len() < QUEUE_LIMIT {
            queues.outbound.push_back((now, packets));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TapInterceptor {
    tap: RtcpTap,
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for TapInterceptor {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, _packet: TaggedPacket) -> Result<(), Error> {
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        None
    }

    fn handle_write(&mut self, _packet: TaggedPacket) -> Result<(), Error> {
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        let (now, packets) = self.tap.lock().outbound.pop_front()?;
        let message = AttributedPacket::new(Packet::Rtcp(packets));
        Some(TaggedPacket { now, transport: TransportContext::default(), message })
    }
}

impl Interceptor for TapInterceptor {
    fn bind_local_stream(&mut self, _stream: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _stream: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _stream: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _stream: &StreamInfo) {}
}
