//! Which of the encrypted records of a datagram were authentic, seen where webrtc-rs decrypts them: it drops what is not
//! without a word, so nobody else could count forgeries or tell them from what the client sent.
//!
//! The rule: once a handshake is done, no record of a datagram is tried behind the first that does not open. Nobody who
//! has the keys writes such a datagram, and one full of forged records costs no more than one forged record. There is no
//! other limit, because any that could be used up would let forgeries starve the client's own records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rtc::crypto::{AeadCipher, CryptoError};

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
    /// The same cipher, watched.
    pub(super) fn watch(&self, cipher: Box<dyn AeadCipher>) -> Box<dyn AeadCipher> {
        Box::new(WatchedCipher { cipher, trials: self.clone() })
    }

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
}

struct WatchedCipher {
    cipher: Box<dyn AeadCipher>,
    trials: Trials,
}

impl AeadCipher for WatchedCipher {
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
        self.cipher.seal_in_place(nonce, aad, plaintext_and_ciphertext, tag_out)
    }

    fn open_in_place(
        &mut self,
        nonce: &[u8],
        aad: &[u8],
        ciphertext_and_plaintext: &mut [u8],
        tag: &[u8],
    ) -> Result<(), CryptoError> {
        let Outcome { opened, is_limited, has_failed } = &*self.trials.0;
        if is_limited.load(Ordering::Relaxed) && has_failed.load(Ordering::Relaxed) {
            return Err(CryptoError::AuthenticationFailed);
        }
        let result = self.cipher.open_in_place(nonce, aad, ciphertext_and_plaintext, tag);
        match result {
            Ok(()) => _ = opened.fetch_add(1, Ordering::Relaxed),
            Err(_) => has_failed.store(true, Ordering::Relaxed),
        }
        result
    }
}
