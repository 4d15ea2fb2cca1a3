//! Hangs the SCTP filter on the ciphers of a peer's DTLS: what they open goes through it before webrtc-rs reads it, and
//! what they seal shows it what webrtc-rs answers.
//!
//! All cryptography of a connection goes through the provider of [`super::keys`], so each AEAD cipher is wrapped here. The
//! rules: only DTLS application data is looked at, known by the content type in the additional data that is authenticated
//! with it; and only AEAD cipher suites are offered ([`super::connection`]), for the others have no such place.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rtc::crypto::{AeadCipher, CryptoError};

use crate::reason::DropReason;
use crate::sctp::{Filter, Filtered, Limits, Reliability, Violation};

/// The length of DTLS's additional data (RFC 6347 4.1.2.1); no SRTP or SRTCP header is as long.
const ADDITIONAL_DATA: usize = 13;

/// Where the content type stands in it, and that of application data.
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
    /// Without limits the connection has no data channels, and no SCTP passes.
    pub(super) fn new(limits: Option<Limits>) -> Self {
        let filter = Filter::new(limits);
        Self(Arc::new(Mutex::new(State { filter, now: None, lost: None, violation: None })))
    }

    /// The same cipher behind the filter.
    pub(super) fn wrap(&self, cipher: Box<dyn AeadCipher>) -> Box<dyn AeadCipher> {
        Box::new(FilteredCipher { cipher, filter: self.clone() })
    }

    /// What the connection is given next arrived at this time.
    pub(super) fn set_now(&self, now: Instant) {
        self.state().now = Some(now);
    }

    /// Why something of the last datagram was lost, if it was.
    pub(super) fn take_loss(&self) -> Option<DropReason> {
        self.state().lost.take()
    }

    /// Why the session must end, once.
    pub(super) fn take_violation(&self) -> Option<Violation> {
        self.state().violation.take()
    }

    /// How reliable the other side made the channel that it opened on this stream.
    pub(super) fn take_reliability(&self, stream: u16) -> Reliability {
        self.state().filter.take_reliability(stream)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle_inbound(&self, packet: &mut [u8]) {
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

struct FilteredCipher {
    cipher: Box<dyn AeadCipher>,
    filter: SctpFilter,
}

fn is_application_data(additional_data: &[u8]) -> bool {
    additional_data.len() == ADDITIONAL_DATA && additional_data[CONTENT_TYPE] == APPLICATION_DATA
}

impl AeadCipher for FilteredCipher {
    fn tag_len(&self) -> usize {
        self.cipher.tag_len()
    }

    fn seal_in_place(
        &mut self,
        nonce: &[u8],
        aad: &[u8],
        plaintext_and_ciphertext: &mut [u8],
        tag_out: &mut [u8],
    ) -> Result<(), CryptoError> {
        if is_application_data(aad) {
            self.filter.state().filter.handle_outbound(plaintext_and_ciphertext);
        }
        self.cipher.seal_in_place(nonce, aad, plaintext_and_ciphertext, tag_out)
    }

    fn open_in_place(
        &mut self,
        nonce: &[u8],
        aad: &[u8],
        ciphertext_and_plaintext: &mut [u8],
        tag: &[u8],
    ) -> Result<(), CryptoError> {
        self.cipher.open_in_place(nonce, aad, ciphertext_and_plaintext, tag)?;
        if is_application_data(aad) {
            self.filter.handle_inbound(ciphertext_and_plaintext);
        }
        Ok(())
    }
}
