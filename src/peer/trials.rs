//! Which of the encrypted records of a datagram were authentic, seen where webrtc-rs decrypts them: it drops what is not
//! without a word, so nobody else could count forgeries or tell them from what the client sent.
//!
//! The rule: once a handshake is done, no record of a datagram is tried behind the first that does not open. Nobody who
//! has the keys writes such a datagram, and one full of forged records costs no more than one forged record. There is no
//! other limit, because any that could be used up would let forgeries starve the client's own records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What became of the records of one datagram. Written by the ciphers of one connection, read by its `Association`, on
/// one thread; atomic because providers must be `Sync`.
#[derive(Clone, Debug, Default)]
pub(super) struct Trials(Arc<Outcome>);

#[derive(Debug, Default)]
struct Outcome {
    opened: AtomicU32,
    /// Nothing more of this datagram is tried once a record has failed. During a handshake all is tried: webrtc-rs
    /// opens with one datagram what it has kept of others.
    is_limited: AtomicBool,
    has_failed: AtomicBool,
}

impl Trials {
    /// Forgets the datagram before. `is_limited` once the handshake is done.
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
