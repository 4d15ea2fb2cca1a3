//! A client whose DTLS keys the test has, so that it sends any SCTP inside its DTLS in place of webrtc-rs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rtc::crypto::{AeadAlgorithm, RTCCryptoProvider, default_provider};
use sluice::peer::{AeadObserver, ObservedCrypto, Observer};

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
        let provider = default_provider().expect("this build has cryptography");
        Arc::new(ObservedCrypto::new(provider, self.clone()))
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

impl Observer for Tap {
    type Aead = TappedCipher;

    fn aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> TappedCipher {
        TappedCipher { algorithm, key: key.to_vec(), tap: self.clone() }
    }
}

/// One cipher of the client.
pub(crate) struct TappedCipher {
    algorithm: AeadAlgorithm,
    key: Vec<u8>,
    tap: Tap,
}

impl AeadObserver for TappedCipher {
    fn before_seal(&mut self, nonce: &[u8], additional_data: &[u8], plaintext: &[u8]) {
        // DTLS has 13 octets of additional data: epoch and number, content type, version and length.
        if let ([0, 1, number @ ..], Some(salt)) = (additional_data, nonce.first_chunk())
            && additional_data.len() == 13
        {
            let mut sequence = [0; 8];
            sequence[2..].copy_from_slice(&number[..6]);
            let sequence = u64::from_be_bytes(sequence);
            let mut heard = self.tap.heard();
            heard.sealer = Some(Sealer { algorithm: self.algorithm, key: self.key.clone(), salt: *salt, sequence });
            if additional_data[8] == APPLICATION_DATA {
                heard.sent.push(plaintext.to_vec());
            }
        }
    }

    fn after_open(&mut self, additional_data: &[u8], plaintext: Option<&mut [u8]>) {
        let Some(plaintext) = plaintext else { return };
        if additional_data.len() == 13 && additional_data[8] == APPLICATION_DATA {
            let mut heard = self.tap.heard();
            if heard.received.len() < KEPT {
                heard.received.push(plaintext.to_vec());
            }
        }
    }
}
