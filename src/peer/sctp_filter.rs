//! The SCTP filter at the ciphers of a peer's DTLS: what they open is filtered before webrtc-rs reads it, and what they
//! seal shows the filter what webrtc-rs sends.
//!
//! The observer of [`super::keys`] calls it for each AEAD cipher. The rules: only DTLS application data is filtered,
//! which is known by the content type in the additional data that is authenticated with it; and only AEAD cipher suites
//! are offered ([`super::connection`]), because others have no additional data.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::reason::DropReason;
use crate::sctp::{ChannelLimits, Filter, Filtered, Reliability, Violation};

/// The length of DTLS's additional data (RFC 6347 4.1.2.1); no SRTP or SRTCP header is as long.
const ADDITIONAL_DATA: usize = 13;

/// The place of the content type in it, and the content type of application data.
const CONTENT_TYPE: usize = 8;
const APPLICATION_DATA: u8 = 23;

/// The filter of one connection.
///
/// The connection's ciphers write while it handles a datagram, its `Association` reads right after, on one thread; the
/// lock is there because providers must be `Sync`, and it is never contended.
#[derive(Clone, Debug)]
pub(super) struct SctpFilter(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    filter: Filter,
    now: Option<Instant>,
    lost: Option<DropReason>,
    violation: Option<Violation>,
}

impl SctpFilter {
    /// A filter with these limits; without limits the connection has no data channels, and no SCTP passes.
    pub(super) fn new(limits: Option<ChannelLimits>) -> Self {
        let filter = Filter::new(limits);
        Self(Arc::new(Mutex::new(State { filter, now: None, lost: None, violation: None })))
    }

    /// Sets the time at which the next datagram arrived.
    pub(super) fn set_now(&self, now: Instant) {
        self.state().now = Some(now);
    }

    /// Why a part of the last datagram was dropped, if one was.
    pub(super) fn take_loss(&self) -> Option<DropReason> {
        self.state().lost.take()
    }

    /// Why the session must end, once.
    pub(super) fn take_violation(&self) -> Option<Violation> {
        self.state().violation.take()
    }

    /// The reliability that the other side gave to the channel that it opened on this stream.
    pub(super) fn take_reliability(&self, stream: u16) -> Reliability {
        self.state().filter.take_reliability(stream)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the filter what the connection is about to seal.
    pub(super) fn handle_outbound(&self, additional_data: &[u8], plaintext: &[u8]) {
        if is_application_data(additional_data) {
            self.state().filter.handle_outbound(plaintext);
        }
    }

    /// Filters what a cipher has opened, in place.
    pub(super) fn handle_inbound(&self, additional_data: &[u8], packet: &mut [u8]) {
        if !is_application_data(additional_data) {
            return;
        }
        let state = &mut *self.state();
        let Some(now) = state.now else { return packet.fill(0) };
        let verdict = state.filter.handle_inbound(packet, now);
        let (Filtered::Pass(lost) | Filtered::Drop(lost)) = verdict else {
            if let Filtered::End(violation) = verdict {
                state.violation = Some(violation);
            }
            return packet.fill(0);
        };
        state.lost = state.lost.or(lost);
        if let Filtered::Drop(_) = verdict {
            // A packet of zeros has no valid checksum. An error instead would look like a record that is not authentic.
            packet.fill(0);
        }
    }
}

fn is_application_data(additional_data: &[u8]) -> bool {
    additional_data.len() == ADDITIONAL_DATA && additional_data[CONTENT_TYPE] == APPLICATION_DATA
}
