//! The transform of one direction: the one of two that the DTLS handshake negotiated.

use super::cm_sha1::CmSha1;
use super::gcm::Gcm;
use super::keys::{MasterKey, Protocol, SrtpProfile};

/// Bytes of an RTCP packet in clear at its beginning: the first header and its sender's SSRC (RFC 3711 3.4).
pub(super) const RTCP_CLEAR_LEN: usize = 8;

/// Bytes of the word with the E flag and the index.
pub(super) const RTCP_INDEX_LEN: usize = 4;

/// The bits of the index in that word, and so the largest one.
pub(super) const RTCP_MAX_INDEX: u32 = (1 << 31) - 1;

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
    pub(super) fn new(master: &MasterKey, protocol: Protocol) -> Self {
        match master.profile {
            SrtpProfile::Aes128Gcm => Self::Gcm(Gcm::new(master, protocol)),
            SrtpProfile::Aes128CmSha1_80 => Self::CmSha1(Box::new(CmSha1::new(master, protocol))),
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

    /// The word with the E flag and the index of an SRTCP packet: GCM's tag is in front of it (RFC 7714 9.3), the other
    /// one behind it (RFC 3711 3.4). `None` if the packet is too short for it.
    #[inline]
    pub(super) fn rtcp_word(&self, datagram: &[u8]) -> Option<u32> {
        let behind = match self {
            Self::Gcm(_) => 0,
            Self::CmSha1(_) => CmSha1::TAG_LEN,
        };
        let end = datagram.len().checked_sub(behind)?;
        datagram[..end].last_chunk::<RTCP_INDEX_LEN>().map(|word| u32::from_be_bytes(*word))
    }

    /// Decrypts an SRTCP packet in place whose index word is `word`; false if it is not authentic, then its bytes are
    /// undefined. It has at least [`RTCP_CLEAR_LEN`], [`RTCP_INDEX_LEN`] and [`Self::tag_len`] bytes.
    #[inline]
    pub(super) fn open_rtcp(&self, ssrc: u32, word: u32, datagram: &mut [u8]) -> bool {
        let index = word & RTCP_MAX_INDEX;
        let end = datagram.len() - RTCP_INDEX_LEN - self.tag_len();
        match self {
            Self::Gcm(gcm) => {
                let (packet, word) = datagram.split_at_mut(datagram.len() - RTCP_INDEX_LEN);
                let (clear, sealed) = packet.split_at_mut(RTCP_CLEAR_LEN);
                let mut authenticated = [0; RTCP_CLEAR_LEN + RTCP_INDEX_LEN];
                authenticated[..RTCP_CLEAR_LEN].copy_from_slice(clear);
                authenticated[RTCP_CLEAR_LEN..].copy_from_slice(word);
                gcm.open(ssrc, index.into(), &authenticated, sealed)
            }
            Self::CmSha1(cm) => {
                let (packet, tag) = datagram.split_at_mut(end + RTCP_INDEX_LEN);
                cm.open_rtcp(ssrc, index, RTCP_CLEAR_LEN..end, packet, tag)
            }
        }
    }
}
