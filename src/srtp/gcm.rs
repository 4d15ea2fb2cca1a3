//! AEAD_AES_128_GCM over RTP and RTCP packets (RFC 7714): the header is authenticated, the payload encrypted.

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::keys::{KdfLabel, MasterKey, Protocol};

/// Session key and salt of one direction. ring calls the key less safe because the caller chooses the nonces; here they
/// are the packet index, which the sealer's callers never use twice.
pub(super) struct Gcm {
    key: LessSafeKey,
    salt: [u8; 12],
}

impl Gcm {
    pub(super) const TAG_LEN: usize = 16;

    pub(super) fn new(master: &MasterKey, protocol: Protocol) -> Self {
        let (mut key, mut salt) = ([0; 16], [0; 12]);
        master.derive(protocol, KdfLabel::Encryption, &mut key);
        master.derive(protocol, KdfLabel::Salt, &mut salt);
        Self::with_session_key(&key, salt)
    }

    pub(super) fn with_session_key(key: &[u8; 16], salt: [u8; 12]) -> Self {
        let key = UnboundKey::new(&AES_128_GCM, key).expect("AES-128 takes any 16 bytes");
        Self { key: LessSafeKey::new(key), salt }
    }

    /// Encrypts `payload` and writes the tag; false only for a payload of 64 GiB or more.
    #[inline]
    pub(super) fn seal(&self, ssrc: u32, index: u64, header: &[u8], payload: &mut [u8], tag: &mut [u8]) -> bool {
        match self.key.seal_in_place_separate_tag(self.nonce(ssrc, index), Aad::from(header), payload) {
            Ok(computed) => {
                tag.copy_from_slice(computed.as_ref());
                true
            }
            Err(ring::error::Unspecified) => false,
        }
    }

    /// Decrypts `sealed`, payload and tag, in place; false if it is not authentic, then the bytes are undefined.
    #[inline]
    pub(super) fn open(&self, ssrc: u32, index: u64, header: &[u8], sealed: &mut [u8]) -> bool {
        self.key.open_in_place(self.nonce(ssrc, index), Aad::from(header), sealed).is_ok()
    }

    /// Two zero bytes, SSRC, ROC, sequence number; XORed with the salt (RFC 7714 8.1). For RTCP the index of 31 bits has
    /// the place of the last two (RFC 7714 9.1).
    #[inline]
    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let mut nonce = self.salt;
        let counter = u128::from(ssrc) << 48 | u128::from(index & super::index::MAX);
        for (byte, counter) in nonce.iter_mut().zip(&counter.to_be_bytes()[4..]) {
            *byte ^= counter;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_the_packet_of_rfc_7714_16_1_1() {
        let gcm = Gcm::with_session_key(&std::array::from_fn(|byte| byte as u8), *b"Quid pro quo");
        let header = [0x80, 0x40, 0xf1, 0x7b, 0x80, 0x41, 0xf8, 0xd3, 0x55, 0x01, 0xa0, 0xb2];
        let mut payload = *b"Gallia est omnis divisa in partes tres";
        let mut tag = [0; 16];
        assert!(gcm.seal(0x5501_a0b2, 0xf17b, &header, &mut payload, &mut tag));
        let expected = [
            0xf2, 0x4d, 0xe3, 0xa3, 0xfb, 0x34, 0xde, 0x6c, 0xac, 0xba, 0x86, 0x1c, 0x9d, 0x7e, 0x4b, 0xca, 0xbe, 0x63,
            0x3b, 0xd5, 0x0d, 0x29, 0x4e, 0x6f, 0x42, 0xa5, 0xf4, 0x7a, 0x51, 0xc7, 0xd1, 0x9b, 0x36, 0xde, 0x3a, 0xdf,
            0x88, 0x33,
        ];
        assert_eq!(payload, expected);
        assert_eq!(u128::from_be_bytes(tag), 0x899d_7f27_beb1_6a91_52cf_765e_e439_0cce);
    }
}
