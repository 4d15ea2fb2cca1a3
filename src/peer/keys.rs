//! The keys of a peer's SRTP, observed where webrtc-rs derives them.
//!
//! RTP does not go through the peer connection, so the relay needs the keying material that DTLS exports (RFC 5764
//! 4.2), and `RTCPeerConnection` does not give it. So each peer has a crypto provider of its own with an observer that
//! keeps the blocks of the one PRF run that is the exporter's. The rule: only that run is kept, and it is returned
//! once. `tests/handshake.rs` beside this file opens what webrtc-rs seals with the keys, and fails when a new webrtc-rs
//! derives them in another way.

use std::sync::{Arc, Mutex, PoisonError};

use rtc::crypto::{AeadAlgorithm, CryptoError, HmacAlgorithm, Mac, RTCCryptoProvider};

use super::observed_crypto::{AeadObserver, ObservedCrypto, Observer};
use super::sctp_filter::SctpFilter;
use super::trials::Trials;
use crate::sctp::ChannelLimits;
use crate::srtp::{Keys, SrtpProfile};

/// The label of the exporter whose output keys SRTP (RFC 5764 4.2).
const EXPORTER_LABEL: &[u8] = b"EXTRACTOR-dtls_srtp";

/// The length of every TLS 1.2 master secret (RFC 5246 8.1), and so of the exporter's HMAC key.
const MASTER_SECRET_LENGTH: usize = 48;

/// More exporter output than any profile needs, in octets; nothing beyond it is kept.
const MATERIAL_LIMIT: usize = 128;

/// The crypto provider of exactly one peer connection.
pub(super) type SpiedCrypto = ObservedCrypto<KeySpy>;

/// Observes exactly one peer connection: keeps what its DTLS-SRTP exporter yields, and passes what it decrypts through
/// the [`SctpFilter`].
pub(super) struct KeySpy {
    /// The connection writes it while it handles a datagram, its `Association` takes it right after, on one thread;
    /// the lock is there because providers must be `Sync`, and it is never contended.
    material: Arc<Mutex<Vec<u8>>>,
    sctp: SctpFilter,
    trials: Trials,
}

impl KeySpy {
    /// A provider that works like `provider`, for a connection with these data channels, or with none.
    pub(super) fn new(provider: Arc<dyn RTCCryptoProvider>, channels: Option<ChannelLimits>) -> Arc<SpiedCrypto> {
        let (sctp, trials) = (SctpFilter::new(channels), Trials::default());
        Arc::new(ObservedCrypto::new(provider, Self { material: Arc::default(), sctp, trials }))
    }

    /// The filter of decrypted SCTP.
    pub(super) fn sctp(&self) -> &SctpFilter {
        &self.sctp
    }

    /// Which records of the current datagram were authentic.
    pub(super) fn trials(&self) -> &Trials {
        &self.trials
    }

    /// The keys of the finished handshake, once; `None` if the exporter has not run in the way this file knows.
    pub(super) fn take(&self, profile: SrtpProfile, is_dtls_client: bool) -> Option<Keys> {
        let material = std::mem::take(&mut *self.material.lock().unwrap_or_else(PoisonError::into_inner));
        let wanted = profile.keying_material_len();
        // P_hash yields whole 32-byte blocks, of which the exporter cuts off the last.
        if material.len() != wanted.next_multiple_of(32) {
            return None;
        }
        Keys::from_keying_material(profile, &material[..wanted], is_dtls_client).ok()
    }
}

impl Observer for KeySpy {
    type Aead = RecordObserver;

    fn aead(&self, _algorithm: AeadAlgorithm, _key: &[u8]) -> RecordObserver {
        RecordObserver { trials: self.trials.clone(), sctp: self.sctp.clone() }
    }

    fn hmac(&self, algorithm: HmacAlgorithm, key: &[u8], mac: Box<dyn Mac>) -> Box<dyn Mac> {
        if algorithm == HmacAlgorithm::Sha256 && key.len() == MASTER_SECRET_LENGTH {
            return Box::new(ListeningMac { mac, material: Arc::clone(&self.material) });
        }
        mac
    }
}

/// Observes the records of one DTLS cipher: which are authentic, and what SCTP they hold.
pub(super) struct RecordObserver {
    trials: Trials,
    sctp: SctpFilter,
}

impl AeadObserver for RecordObserver {
    fn before_seal(&mut self, _nonce: &[u8], additional_data: &[u8], plaintext: &[u8]) {
        self.sctp.handle_outbound(additional_data, plaintext);
    }

    fn admits(&mut self) -> bool {
        self.trials.admits()
    }

    fn after_open(&mut self, additional_data: &[u8], plaintext: Option<&mut [u8]>) {
        self.trials.tried(plaintext.is_some());
        if let Some(plaintext) = plaintext {
            self.sctp.handle_inbound(additional_data, plaintext);
        }
    }
}

/// An HMAC under a master secret. P_hash (RFC 5246 5) calls it in turn over `A(i)` alone and over `A(i)` and the
/// seed; the latter are the output blocks, and the exporter's seed begins with its label.
struct ListeningMac {
    mac: Box<dyn Mac>,
    material: Arc<Mutex<Vec<u8>>>,
}

impl Mac for ListeningMac {
    fn output_len(&self) -> usize {
        self.mac.output_len()
    }

    fn sign(&mut self, input: &[&[u8]], output: &mut [u8]) -> Result<(), CryptoError> {
        self.mac.sign(input, output)?;
        if let [_, seed] = input
            && seed.starts_with(EXPORTER_LABEL)
        {
            let mut material = self.material.lock().unwrap_or_else(PoisonError::into_inner);
            if material.len() < MATERIAL_LIMIT {
                material.extend_from_slice(output);
            }
        }
        Ok(())
    }

    fn verify(&mut self, input: &[&[u8]], expected: &[u8]) -> Result<(), CryptoError> {
        self.mac.verify(input, expected)
    }
}
