//! Keys: what DTLS exports, split by direction (RFC 5764 4.2), and the session keys derived from it (RFC 3711 4.3).
//!
//! Key bytes never reach a log: `Debug` shows the profile alone.

use std::fmt;

use aes::Aes128;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockEncrypt, KeyInit};

/// A DTLS-SRTP protection profile (RFC 5764 4.1.2, RFC 7714 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SrtpProfile {
    /// `SRTP_AEAD_AES_128_GCM` (0x0007): 16-byte key, 12-byte salt, 16-byte tag.
    Aes128Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80` (0x0001): 16-byte key, 14-byte salt, 10-byte tag.
    Aes128CmSha1_80,
}

impl SrtpProfile {
    /// Every profile, the preferred one first.
    pub(crate) const ALL: [Self; 2] = [Self::Aes128Gcm, Self::Aes128CmSha1_80];

    /// The profile's registered name.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "SRTP_AEAD_AES_128_GCM",
            Self::Aes128CmSha1_80 => "SRTP_AES128_CM_HMAC_SHA1_80",
        }
    }

    /// Bytes of a master key.
    #[must_use]
    pub(crate) const fn key_len(self) -> usize {
        16
    }

    /// Bytes of a master salt.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 12,
            Self::Aes128CmSha1_80 => 14,
        }
    }

    /// Bytes to export from DTLS: two keys, two salts (RFC 5764 4.2).
    #[must_use]
    pub(crate) const fn keying_material_len(self) -> usize {
        2 * (self.key_len() + self.salt_len())
    }
}

/// Master key and salt of one direction.
#[derive(Clone)]
pub struct MasterKey {
    /// The profile that it is for.
    pub profile: SrtpProfile,
    /// The 128-bit master key.
    pub key: [u8; 16],
    /// The master salt; GCM uses the first 12 bytes.
    pub salt: [u8; 14],
}

/// Both directions of one DTLS connection.
#[derive(Clone)]
pub struct Keys {
    /// The keys that the relay seals with.
    pub local: MasterKey,
    /// The keys that the client seals with.
    pub remote: MasterKey,
}

/// Why exported bytes are not keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    /// The export has another length than the profile asks for.
    #[error("export {expected} bytes of keying material for this SRTP profile, not {actual}")]
    Length {
        /// [`SrtpProfile::keying_material_len`].
        expected: usize,
        /// The length of the bytes.
        actual: usize,
    },
}

impl Keys {
    /// Splits what DTLS exported under `EXTRACTOR-dtls_srtp`: client key, server key, client salt, server salt
    /// (RFC 5764 4.2).
    ///
    /// # Errors
    ///
    /// `material` must have exactly [`SrtpProfile::keying_material_len`] bytes.
    pub(crate) fn from_keying_material(
        profile: SrtpProfile,
        material: &[u8],
        relay_is_dtls_client: bool,
    ) -> Result<Self, KeyError> {
        let expected = profile.keying_material_len();
        if material.len() != expected {
            return Err(KeyError::Length { expected, actual: material.len() });
        }
        let (keys, salts) = material.split_at(2 * profile.key_len());
        let (client_key, server_key) = keys.split_at(profile.key_len());
        let (client_salt, server_salt) = salts.split_at(profile.salt_len());
        let client = MasterKey::new(profile, client_key, client_salt);
        let server = MasterKey::new(profile, server_key, server_salt);
        Ok(if relay_is_dtls_client {
            Self { local: client, remote: server }
        } else {
            Self { local: server, remote: client }
        })
    }
}

impl MasterKey {
    fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Self {
        let mut master = Self { profile, key: [0; 16], salt: [0; 14] };
        master.key.copy_from_slice(key);
        master.salt[..salt.len()].copy_from_slice(salt);
        master
    }

    /// Fills `output` with the session key of this protocol and label (RFC 3711 4.3.1, key derivation rate 0; RFC 7714 11 for GCM,
    /// whose 96-bit salt is left-justified in the 112 bits).
    pub(super) fn derive(&self, protocol: Protocol, label: KdfLabel, output: &mut [u8]) {
        let cipher = Aes128::new(GenericArray::from_slice(&self.key));
        let salt_len = self.profile.salt_len();
        let mut input = [0; 16];
        input[..salt_len].copy_from_slice(&self.salt[..salt_len]);
        input[7] ^= protocol as u8 + label as u8;
        for (counter, chunk) in (0u16..).zip(output.chunks_mut(16)) {
            input[14..].copy_from_slice(&counter.to_be_bytes());
            let mut block = GenericArray::from(input);
            cipher.encrypt_block(&mut block);
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

/// Whose packets session keys are for: the first of its three labels (RFC 3711 4.3.2).
#[derive(Clone, Copy)]
pub(super) enum Protocol {
    Rtp = 0,
    Rtcp = 3,
}

/// What a session key is for (RFC 3711 4.3.1, 4.3.2).
#[derive(Clone, Copy)]
pub(super) enum KdfLabel {
    Encryption = 0,
    Authentication = 1,
    Salt = 2,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MasterKey").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").field("profile", &self.local.profile).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CM: SrtpProfile = SrtpProfile::Aes128CmSha1_80;

    #[test]
    fn session_keys_are_those_of_rfc_3711_appendix_b3() {
        let master = MasterKey {
            profile: CM,
            key: 0xE1F9_7A0D_3E01_8BE0_D64F_A32C_06DE_4139_u128.to_be_bytes(),
            salt: [0x0E, 0xC6, 0x75, 0xAD, 0x49, 0x8A, 0xFE, 0xEB, 0xB6, 0x96, 0x0B, 0x3A, 0xAB, 0xE6],
        };
        let (mut encryption, mut salt, mut authentication) = ([0; 16], [0; 14], [0; 20]);
        master.derive(Protocol::Rtp, KdfLabel::Encryption, &mut encryption);
        master.derive(Protocol::Rtp, KdfLabel::Salt, &mut salt);
        master.derive(Protocol::Rtp, KdfLabel::Authentication, &mut authentication);
        assert_eq!(u128::from_be_bytes(encryption), 0xC61E_7A93_744F_39EE_1073_4AFE_3FF7_A087);
        assert_eq!(salt, [0x30, 0xCB, 0xBC, 0x08, 0x86, 0x3D, 0x8C, 0x85, 0xD4, 0x9D, 0xB3, 0x4A, 0x9A, 0xE1]);
        assert_eq!(authentication[..4], [0xCE, 0xBE, 0x32, 0x1F]);
        assert_eq!(authentication[16..], [0x6D, 0x38, 0xBA, 0xA4]);
    }

    #[test]
    fn keying_material_is_split_by_dtls_role() {
        for (profile, len) in [(SrtpProfile::Aes128Gcm, 56), (CM, 60)] {
            assert_eq!(profile.keying_material_len(), len);
            let material: Vec<u8> = (0..).take(len).collect();
            let server = Keys::from_keying_material(profile, &material, false).unwrap();
            assert_eq!((server.remote.key[0], server.local.key[0]), (0, 16));
            assert_eq!(server.remote.salt[0], 32);
            assert_eq!(usize::from(server.local.salt[0]), 32 + profile.salt_len());
            let client = Keys::from_keying_material(profile, &material, true).unwrap();
            assert_eq!(client.local.key, server.remote.key);
            assert_eq!(client.remote.salt, server.local.salt);
            let wrong = Keys::from_keying_material(profile, &material[1..], true);
            assert_eq!(wrong.unwrap_err(), KeyError::Length { expected: len, actual: len - 1 });
        }
    }

    #[test]
    fn debug_shows_no_key_bytes() {
        let keys = Keys::from_keying_material(CM, &[0xAB; 60], true).unwrap();
        let text = format!("{keys:?} {:?}", keys.local);
        assert!(!text.contains("171") && !text.to_lowercase().contains("ab, ab"), "{text}");
        assert!(text.contains("Aes128CmSha1_80"), "{text}");
    }
}
