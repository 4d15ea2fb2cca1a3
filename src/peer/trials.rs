//! Which encrypted records of a datagram were authentic, observed where webrtc-rs decrypts them: webrtc-rs drops the
//! others without reporting it, so forgeries could not be counted elsewhere.
//!
//! The rule: after the handshake, no record behind the first that is not authentic is tried. A client with the keys
//! sends no such datagram, and a datagram full of forged records costs no more than one forged record. There is no
//! other limit, because forgeries could use up any limit and starve the client's own records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What became of the records of one datagram. Written by the ciphers of one connection, read by its `Association`, on
/// one thread; atomic because providers must be `Sync`.
#[derive(Clone, Debug, Default)]
pub(super) struct Trials(Arc<Outcome>);

#[derive(Debug, Default)]
struct Outcome {
    opened: AtomicU32,
    /// True if no more records of this datagram are tried after one has failed. During a handshake all are tried,
    /// because webrtc-rs opens records of earlier datagrams that it has kept.
    is_limited: AtomicBool,
    has_failed: AtomicBool,
}

impl Trials {
    /// Begins a datagram. `is_limited`: the handshake is done.
    pub(super) fn begin(&self, is_limited: bool) {
        self.0.opened.store(0, Ordering::Relaxed);
        self.0.is_limited.store(is_limited, Ordering::Relaxed);
        self.0.has_failed.store(false, Ordering::Relaxed);
    }

    /// How many records of the datagram were authentic.
    pub(super) fn opened(&self) -> u32 {
        self.0.opened.load(Ordering::Relaxed)
    }

    /// Whether another record is to be tried.
    pub(super) fn admits(&self) -> bool {
        !(self.0.is_limited.load(Ordering::Relaxed) && self.0.has_failed.load(Ordering::Relaxed))
    }

    /// A record was tried.
    pub(super) fn tried(&self, is_authentic: bool) {
        match is_authentic {
            true => _ = self.0.opened.fetch_add(1, Ordering::Relaxed),
            false => self.0.has_failed.store(true, Ordering::Relaxed),
        }
    }
}
