//! A crypto provider that hands every call to another one and shows an observer the ciphers and HMACs of a connection.
//!
//! `RTCPeerConnection` does all its cryptography through the provider that the application supplies, and that is the
//! only place where its keys and its decrypted records can be seen. This file is the only one that repeats the methods
//! of webrtc-rs's traits; what is observed is decided by an [`Observer`].

use std::sync::Arc;

use rtc::crypto::{
    ActiveKeyExchange, AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CbcAlgorithm, CbcCipher, CryptoAlgorithm,
    CryptoError, HashAlgorithm, HmacAlgorithm, KeyExchangeAlgorithm, Mac, PublicKey, RTCCrypto, RTCCryptoProvider,
    RTCRandom, SignatureScheme, SigningKey, StreamCipher, StreamCipherAlgorithm,
};

/// What observes the cryptography of one connection.
pub trait Observer: Send + Sync {
    /// What observes one AEAD cipher.
    type Aead: AeadObserver + 'static;

    /// The connection makes an AEAD cipher with this key.
    fn aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Self::Aead;

    /// The connection makes an HMAC with this key: returns the one to use.
    fn hmac(&self, _algorithm: HmacAlgorithm, _key: &[u8], mac: Box<dyn Mac>) -> Box<dyn Mac> {
        mac
    }
}

/// What observes one AEAD cipher of a connection.
pub trait AeadObserver: Send {
    /// This plaintext is about to be sealed.
    fn before_seal(&mut self, nonce: &[u8], additional_data: &[u8], plaintext: &[u8]);

    /// Whether the next ciphertext is to be opened; if not, it counts as not authentic.
    fn admits(&mut self) -> bool {
        true
    }

    /// A ciphertext was authentic: its plaintext, which may be changed, or it was not: `None`.
    fn after_open(&mut self, additional_data: &[u8], plaintext: Option<&mut [u8]>);
}

/// The provider of one connection, with its observer.
pub struct ObservedCrypto<O> {
    provider: Arc<dyn RTCCryptoProvider>,
    observer: O,
}

impl<O: Observer> ObservedCrypto<O> {
    /// A provider that works like `provider`.
    pub fn new(provider: Arc<dyn RTCCryptoProvider>, observer: O) -> Self {
        Self { provider, observer }
    }

    /// What observes the connection.
    pub(crate) fn observer(&self) -> &O {
        &self.observer
    }
}

impl<O: Observer> RTCCryptoProvider for ObservedCrypto<O> {
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

impl<O: Observer> RTCCrypto for ObservedCrypto<O> {
    fn new_aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadCipher>, CryptoError> {
        let cipher = self.provider.crypto().new_aead(algorithm, key)?;
        Ok(Box::new(ObservedCipher { cipher, observer: self.observer.aead(algorithm, key) }))
    }

    fn new_hmac(&self, algorithm: HmacAlgorithm, key: &[u8]) -> Result<Box<dyn Mac>, CryptoError> {
        Ok(self.observer.hmac(algorithm, key, self.provider.crypto().new_hmac(algorithm, key)?))
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

struct ObservedCipher<O> {
    cipher: Box<dyn AeadCipher>,
    observer: O,
}

impl<O: AeadObserver> AeadCipher for ObservedCipher<O> {
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
        self.observer.before_seal(nonce, aad, plaintext_and_ciphertext);
        self.cipher.seal_in_place(nonce, aad, plaintext_and_ciphertext, tag_out)
    }

    fn open_in_place(
        &mut self,
        nonce: &[u8],
        aad: &[u8],
        ciphertext_and_plaintext: &mut [u8],
        tag: &[u8],
    ) -> Result<(), CryptoError> {
        if !self.observer.admits() {
            return Err(CryptoError::AuthenticationFailed);
        }
        let result = self.cipher.open_in_place(nonce, aad, ciphertext_and_plaintext, tag);
        self.observer.after_open(aad, result.is_ok().then_some(ciphertext_and_plaintext));
        result
    }
}
