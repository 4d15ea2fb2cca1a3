//! A client whose DTLS keys the test has, so that it sends any SCTP inside its DTLS in place of webrtc-rs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rtc::crypto::{
    ActiveKeyExchange, AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CbcAlgorithm, CbcCipher, CryptoAlgorithm,
    CryptoError, HashAlgorithm, HmacAlgorithm, KeyExchangeAlgorithm, Mac, PublicKey, RTCCrypto, RTCCryptoProvider,
    RTCRandom, SignatureScheme, SigningKey, StreamCipher, StreamCipherAlgorithm, default_provider,
};

const APPLICATION_DATA: u8 = 23;
const TAG: usize = 16;

/// Packets that are kept for the test.
const KEPT: usize = 64;

/// The DTLS keys of one client, and the SCTP packets that crossed it.
#[derive(Clone, Default)]
pub(crate) struct Tap(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    /// Seals as the client does, once it has sealed something.
    sealer: Option<Sealer>,
    sent: Vec<Vec<u8>>,
    received: Vec<Vec<u8>>,
}

struct Sealer {
    algorithm: AeadAlgorithm,
    key: Vec<u8>,
    salt: [u8; 4],
    /// The last record of the client.
    sequence: u64,
}

impl Tap {
    /// To make the certificate of one client with.
    pub(crate) fn provider(&self) -> Arc<dyn RTCCryptoProvider> {
        Arc::new(Tapped { provider: default_provider().expect("this build has cryptography"), tap: self.clone() })
    }

    /// SCTP packets that the client has sent.
    pub(crate) fn sent(&self) -> Vec<Vec<u8>> {
        self.heard().sent.clone()
    }

    /// SCTP packets that the client has received since the last call.
    pub(crate) fn take_received(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.heard().received)
    }

    /// A DTLS record with this application data, authentic and the next in turn.
    pub(crate) fn seal(&self, plaintext: &[u8]) -> Vec<u8> {
        let mut heard = self.heard();
        let sealer = heard.sealer.as_mut().expect("the client is connected");
        sealer.sequence += 1;
        let mut sequence = sealer.sequence.to_be_bytes();
        sequence[..2].copy_from_slice(&[0, 1]);
        let mut additional = sequence.to_vec();
        additional.extend([APPLICATION_DATA, 0xfe, 0xfd]);
        additional.extend((plaintext.len() as u16).to_be_bytes());
        let explicit = (u64::MAX - sealer.sequence).to_be_bytes();
        let nonce = [&sealer.salt[..], &explicit].concat();
        let mut sealed = plaintext.to_vec();
        let mut tag = [0; TAG];
        let provider = default_provider().expect("this build has cryptography");
        let mut cipher = provider.crypto().new_aead(sealer.algorithm, &sealer.key).expect("the key fits");
        cipher.seal_in_place(&nonce, &additional, &mut sealed, &mut tag).expect("it can be sealed");
        let length = (explicit.len() + sealed.len() + TAG) as u16;
        let header = [&[APPLICATION_DATA, 0xfe, 0xfd][..], &sequence, &length.to_be_bytes()].concat();
        [&header[..], &explicit, &sealed, &tag].concat()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Tapped {
    provider: Arc<dyn RTCCryptoProvider>,
    tap: Tap,
}

impl RTCCryptoProvider for Tapped {
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

impl RTCCrypto for Tapped {
    fn new_aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadCipher>, CryptoError> {
        let cipher = self.provider.crypto().new_aead(algorithm, key)?;
        Ok(Box::new(TappedCipher { cipher, algorithm, key: key.to_vec(), tap: self.tap.clone() }))
    }

    fn new_hmac(&self, algorithm: HmacAlgorithm, key: &[u8]) -> Result<Box<dyn Mac>, CryptoError> {
        self.provider.crypto().new_hmac(algorithm, key)
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

struct TappedCipher {
    cipher: Box<dyn AeadCipher>,
    algorithm: AeadAlgorithm,
    key: Vec<u8>,
    tap: Tap,
}

impl AeadCipher for TappedCipher {
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
        // DTLS has 13 octets of additional data: epoch and number, content type, version and length.
        if let ([0, 1, number @ ..], Some(salt)) = (aad, nonce.first_chunk())
            && aad.len() == 13
        {
            let mut sequence = [0; 8];
            sequence[2..].copy_from_slice(&number[..6]);
            let sequence = u64::from_be_bytes(sequence);
            let mut heard = self.tap.heard();
            heard.sealer = Some(Sealer { algorithm: self.algorithm, key: self.key.clone(), salt: *salt, sequence });
            if aad[8] == APPLICATION_DATA {
                heard.sent.push(plaintext_and_ciphertext.to_vec());
            }
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
        if aad.len() == 13 && aad[8] == APPLICATION_DATA {
            let mut heard = self.tap.heard();
            if heard.received.len() < KEPT {
                heard.received.push(ciphertext_and_plaintext.to_vec());
            }
        }
        Ok(())
    }
}
