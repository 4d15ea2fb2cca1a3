//! The keys of a peer's SRTP, overheard where webrtc-rs derives them.
//!
//! RTP passes the peer connection by in both directions, so the relay needs the keying material that DTLS exports
//! (RFC 5764 4.2), and `RTCPeerConnection` has no handle to it. But it does all its cryptography through a provider
//! that the application supplies, so each peer gets a provider of its own that hands every call on to webrtc-rs's and
//! remembers the blocks of the one PRF run that is the exporter's. The rule: only that run is remembered, and it is
//! handed out once. `tests/handshake.rs` beside this file opens what webrtc-rs seals with the keys, and so fails when a
//! new webrtc-rs derives them in another way.

use std::sync::{Arc, Mutex, PoisonError};

use rtc::crypto::{
    ActiveKeyExchange, AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CbcAlgorithm, CbcCipher, CryptoAlgorithm,
    CryptoError, HashAlgorithm, HmacAlgorithm, KeyExchangeAlgorithm, Mac, PublicKey, RTCCrypto, RTCCryptoProvider,
    RTCRandom, SignatureScheme, SigningKey, StreamCipher, StreamCipherAlgorithm,
};

use super::sctp_filter::SctpFilter;
use super::trials::Trials;
use crate::sctp::Limits;
use crate::srtp::{Keys, SrtpProfile};

/// The label of the exporter whose output keys SRTP (RFC 5764 4.2).
const EXPORTER_LABEL: &[u8] = b"EXTRACTOR-dtls_srtp";

/// The length of every TLS 1.2 master secret (RFC 5246 8.1), and so of the exporter's HMAC key.
const MASTER_SECRET_LENGTH: usize = 48;

/// More exporter output than any profile needs; beyond it nothing is remembered.
const MATERIAL_LIMIT: usize = 128;

/// A crypto provider for exactly one peer connection, which keeps what its DTLS-SRTP exporter yields, and lets what it
/// decrypts through the [`SctpFilter`].
pub(super) struct KeySpy {
    provider: Arc<dyn RTCCryptoProvider>,
    /// The connection writes it while it handles a datagram, its `Association` takes it right after, on one thread;
    /// the lock is there because providers must be `Sync`, and it is never contended.
    material: Arc<Mutex<Vec<u8>>>,
    sctp: SctpFilter,
    trials: Trials,
}

impl KeySpy {
    /// A provider that works like `provider`, for a connection with these data channels, or with none.
    pub(super) fn new(provider: Arc<dyn RTCCryptoProvider>, channels: Option<Limits>) -> Arc<Self> {
        let (sctp, trials) = (SctpFilter::new(channels), Trials::default());
        Arc::new(Self { provider, material: Arc::default(), sctp, trials })
    }

    /// What decrypted SCTP goes through.
    pub(super) fn sctp(&self) -> &SctpFilter {
        &self.sctp
    }

    /// Which records of the datagram at hand were authentic.
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

impl RTCCryptoProvider for KeySpy {
    fn name(&self) -> &'static str {
        self.provider.name()
    }

    fn crypto(&self) -> &dyn RTCCrypto {
        self
    }

    fn random(&self) -> &dyn RTCRandom {
        self.provider.random()
    }
}

impl RTCCrypto for KeySpy {
    fn new_hmac(&self, algorithm: HmacAlgorithm, key: &[u8]) -> Result<Box<dyn Mac>, CryptoError> {
        let mac = self.provider.crypto().new_hmac(algorithm, key)?;
        if algorithm == HmacAlgorithm::Sha256 && key.len() == MASTER_SECRET_LENGTH {
            return Ok(Box::new(ListeningMac { mac, material: Arc::clone(&self.material) }));
        }
        Ok(mac)
    }

    fn supports(&self, algorithm: CryptoAlgorithm) -> bool {
        self.provider.crypto().supports(algorithm)
    }

    fn hash(&self, algorithm: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.provider.crypto().hash(algorithm, data)
    }

    fn block_encrypt(&self, algorithm: BlockCipherAlgorithm, key: &[u8], block: &mut [u8]) -> Result<(), CryptoError> {
        self.provider.crypto().block_encrypt(algorithm, key, block)
    }

    fn new_stream_cipher(
        &self,
        algorithm: StreamCipherAlgorithm,
        key: &[u8],
    ) -> Result<Box<dyn StreamCipher>, CryptoError> {
        self.provider.crypto().new_stream_cipher(algorithm, key)
    }

    fn new_aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadCipher>, CryptoError> {
        Ok(self.sctp.wrap(self.trials.watch(self.provider.crypto().new_aead(algorithm, key)?)))
    }

    fn new_cbc(&self, algorithm: CbcAlgorithm, key: &[u8]) -> Result<Box<dyn CbcCipher>, CryptoError> {
        self.provider.crypto().new_cbc(algorithm, key)
    }

    fn start_key_exchange(&self, algorithm: KeyExchangeAlgorithm) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        self.provider.crypto().start_key_exchange(algorithm)
    }

    fn generate_signing_key(&self, scheme: SignatureScheme) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.provider.crypto().generate_signing_key(scheme)
    }

    fn import_signing_key(
        &self,
        scheme: SignatureScheme,
        pkcs8_der: &[u8],
    ) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.provider.crypto().import_signing_key(scheme, pkcs8_der)
    }

    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        public_key: PublicKey<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.provider.crypto().verify_signature(scheme, public_key, message, signature)
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
