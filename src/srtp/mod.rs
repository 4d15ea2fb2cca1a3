//! SRTP (RFC 3711, RFC 7714): publishers' packets are opened in place, viewers' are sealed in the send arena.
//! The keys are the DTLS connection's own; the peer connection never sees RTP.

/// A DTLS-SRTP protection profile (RFC 5764 4.1.2, RFC 7714 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `SRTP_AEAD_AES_128_GCM` (0x0007): 16-byte key, 12-byte salt, 16-byte tag.
    Aes128Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80` (0x0001): 16-byte key, 14-byte salt, 10-byte tag.
    Aes128CmSha1_80,
}

/// Master key and salt of one direction.
#[derive(Clone)]
pub struct MasterKey {
    /// Which transform it is for.
    pub profile: Profile,
    /// The 128-bit master key.
    pub key: [u8; 16],
    /// The master salt; GCM uses the first 12 bytes.
    pub salt: [u8; 14],
}

/// Both directions of one DTLS connection.
#[derive(Clone)]
pub struct Keys {
    /// What the relay seals with.
    pub local: MasterKey,
    /// What the peer seals with.
    pub remote: MasterKey,
}
