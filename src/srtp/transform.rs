//! The transform of one direction: the one of two that the DTLS handshake negotiated.

use super::cm_sha1::CmSha1;
use super::gcm::Gcm;
use super::keys::{MasterKey, SrtpProfile};

/// Session keys ready for use.
#[expect(
    clippy::large_enum_variant,
    reason = "GCM is what nearly all use: its key lies beside the session's other state"
)]
pub(super) enum Transform {
    Gcm(Gcm),
    CmSha1(Box<CmSha1>),
}

impl Transform {
    pub(super) fn new(master: &MasterKey) -> Self {
        match master.profile {
            SrtpProfile::Aes128Gcm => Self::Gcm(Gcm::new(master)),
            SrtpProfile::Aes128CmSha1_80 => Self::CmSha1(Box::new(CmSha1::new(master))),
        }
    }

    #[inline]
    pub(super) fn tag_len(&self) -> usize {
        match self {
            Self::Gcm(_) => Gcm::TAG_LEN,
            Self::CmSha1(_) => CmSha1::TAG_LEN,
        }
    }

    /// Encrypts `packet[header_len..]` in place and writes `tag`, which has [`Self::tag_len`] bytes.
    #[inline]
    pub(super) fn seal(&self, ssrc: u32, index: u64, header_len: usize, packet: &mut [u8], tag: &mut [u8]) -> bool {
        match self {
            Self::Gcm(gcm) => {
                let (header, payload) = packet.split_at_mut(header_len);
                gcm.seal(ssrc, index, header, payload, tag)
            }
            Self::CmSha1(cm) => {
                cm.seal(ssrc, index, header_len, packet, tag);
                true
            }
        }
    }

    /// Decrypts `datagram` (header, payload, tag) in place; false if it is not authentic.
    #[inline]
    pub(super) fn open(&self, ssrc: u32, index: u64, header_len: usize, datagram: &mut [u8]) -> bool {
        match self {
            Self::Gcm(gcm) => {
                let (header, sealed) = datagram.split_at_mut(header_len);
                gcm.open(ssrc, index, header, sealed)
            }
            Self::CmSha1(cm) => {
                let (packet, tag) = datagram.split_at_mut(datagram.len() - CmSha1::TAG_LEN);
                cm.open(ssrc, index, header_len, packet, tag)
            }
        }
    }
}
