//! AES_CM_128_HMAC_SHA1_80 over RTP and RTCP packets (RFC 3711 4.1.1, 4.2.1), for clients without GCM.

use std::ops::Range;

use aes::Aes128;
use aes::cipher::generic_array::GenericArray;
use ctr::CtrCore;
use ctr::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use hmac::{Hmac, Mac};
use sha1::Sha1;

use super::keys::{KdfLabel, MasterKey, Protocol};

/// Expanded session keys of one direction.
pub(super) struct CmSha1 {
    cipher: Aes128,
    salt: [u8; 14],
    /// The keyed HMAC; each packet begins with a copy of it.
    mac: Hmac<Sha1>,
}

impl CmSha1 {
    pub(super) const TAG_LEN: usize = 10;

    pub(super) fn new(master: &MasterKey, protocol: Protocol) -> Self {
        let (mut key, mut salt, mut authentication) = ([0; 16], [0; 14], [0; 20]);
        master.derive(protocol, KdfLabel::Encryption, &mut key);
        master.derive(protocol, KdfLabel::Salt, &mut salt);
        master.derive(protocol, KdfLabel::Authentication, &mut authentication);
        Self {
            cipher: Aes128::new(GenericArray::from_slice(&key)),
            salt,
            mac: <Hmac<Sha1> as Mac>::new_from_slice(&authentication).expect("HMAC takes a key of any length"),
        }
    }

    /// Encrypts `packet` behind its header and writes the tag.
    pub(super) fn seal(&self, ssrc: u32, index: u64, header_len: usize, packet: &mut [u8], tag: &mut [u8]) {
        self.apply_keystream(ssrc, index, &mut packet[header_len..]);
        let computed = self.authenticate(index, packet).finalize().into_bytes();
        tag.copy_from_slice(&computed[..Self::TAG_LEN]);
    }

    /// Decrypts `packet` behind its header if `tag` is authentic; otherwise it does not change it and returns false.
    pub(super) fn open(&self, ssrc: u32, index: u64, header_len: usize, packet: &mut [u8], tag: &[u8]) -> bool {
        let authentic = self.authenticate(index, packet).verify_truncated_left(tag).is_ok();
        if authentic {
            self.apply_keystream(ssrc, index, &mut packet[header_len..]);
        }
        authentic
    }

    /// Decrypts `packet[encrypted]` if `tag` is authentic; otherwise it does not change it and returns false. The tag
    /// covers all of `packet`, which ends with the index of 31 bits (RFC 3711 3.4).
    pub(super) fn open_rtcp(
        &self,
        ssrc: u32,
        index: u32,
        encrypted: Range<usize>,
        packet: &mut [u8],
        tag: &[u8],
    ) -> bool {
        let mut mac = self.mac.clone();
        mac.update(packet);
        let authentic = mac.verify_truncated_left(tag).is_ok();
        if authentic {
            self.apply_keystream(ssrc, index.into(), &mut packet[encrypted]);
        }
        authentic
    }

    /// The tag covers the packet and the ROC (RFC 3711 4.2).
    fn authenticate(&self, index: u64, packet: &[u8]) -> Hmac<Sha1> {
        let mut mac = self.mac.clone();
        mac.update(packet);
        mac.update(&super::index::rollover_count(index).to_be_bytes());
        mac
    }

    /// IV = (salt * 2^16) XOR (SSRC * 2^64) XOR (index * 2^16) (RFC 3711 4.1.1).
    fn apply_keystream(&self, ssrc: u32, index: u64, data: &mut [u8]) {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&self.salt);
        let iv = u128::from_be_bytes(iv) ^ u128::from(ssrc) << 64 ^ u128::from(index & super::index::MAX) << 16;
        let core = CtrCore::<&Aes128, ctr::flavors::Ctr128BE>::inner_iv_init(
            &self.cipher,
            GenericArray::from_slice(&iv.to_be_bytes()),
        );
        StreamCipherCoreWrapper::from_core(core).apply_keystream(data);
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::SrtpProfile;
    use super::*;

    #[test]
    fn seals_the_packet_that_libsrtp_checks_itself_with() {
        let master = MasterKey {
            profile: SrtpProfile::Aes128CmSha1_80,
            key: 0xE1F9_7A0D_3E01_8BE0_D64F_A32C_06DE_4139_u128.to_be_bytes(),
            salt: [0x0E, 0xC6, 0x75, 0xAD, 0x49, 0x8A, 0xFE, 0xEB, 0xB6, 0x96, 0x0B, 0x3A, 0xAB, 0xE6],
        };
        let sealer = CmSha1::new(&master, Protocol::Rtp);
        let mut packet = [0xAB; 28];
        packet[..12].copy_from_slice(&[0x80, 0x0f, 0x12, 0x34, 0xde, 0xca, 0xfb, 0xad, 0xca, 0xfe, 0xba, 0xbe]);
        let clear = packet;
        let mut tag = [0; 10];
        sealer.seal(0xcafe_babe, 0x1234, 12, &mut packet, &mut tag);
        assert_eq!(packet[12..], 0x4e55_dc4c_e799_78d8_8ca4_d215_949d_2402_u128.to_be_bytes());
        assert_eq!(tag, [0xb7, 0x8d, 0x6a, 0xcc, 0x99, 0xea, 0x17, 0x9b, 0x8d, 0xbb]);
        assert!(sealer.open(0xcafe_babe, 0x1234, 12, &mut packet, &tag));
        assert_eq!(packet, clear);
    }
}
