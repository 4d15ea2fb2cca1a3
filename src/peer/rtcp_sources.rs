//! Which senders' RTCP reaches a peer connection.
//!
//! webrtc-rs keeps a replay window for each SSRC that an SRTCP packet names before it has authenticated the packet, so
//! forged packets would grow a session without end; and with SHA1_80 it believes a packet that says of itself that it
//! is not encrypted (the E flag, RFC 3711 3.4) without a look at its tag. The rule: only encrypted packets, as WebRTC
//! sends no other; an SSRC that is new is tried on a context that is thrown away, and only one whose packet was
//! authentic is let through from then on.

use rtc::crypto::RTCCrypto;
use rtc::srtp::context::Context;
use rtc::srtp::protection_profile::ProtectionProfile;

use crate::srtp::{MasterKey, Profile};

/// A client sends RTCP from one SSRC for each of its media sources, or from one for all that it receives. More than
/// this many are refused.
const SOURCES_LIMIT: usize = 16;

/// The SSRCs that one client's authentic RTCP has come from.
pub(super) struct RtcpSources {
    remote: MasterKey,
    known: Vec<u32>,
}

impl RtcpSources {
    /// For a client that seals with `remote`.
    pub(super) fn new(remote: MasterKey) -> Self {
        Self { remote, known: Vec::new() }
    }

    /// True if the datagram is encrypted and its SSRC is known or proves itself now. Where the SSRC is known it says
    /// nothing of the datagram's authenticity: that is webrtc-rs's to check.
    pub(super) fn admits(&mut self, datagram: &[u8], crypto: &dyn RTCCrypto) -> bool {
        if !self.is_encrypted(datagram) {
            return false;
        }
        // RFC 3550 6.4.1: the sender's SSRC is in clear text behind the first header.
        let Some(ssrc) = datagram.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes) else {
            return false;
        };
        if self.known.contains(&ssrc) {
            return true;
        }
        let proven = self.known.len() < SOURCES_LIMIT && self.is_authentic(datagram, crypto);
        if proven {
            self.known.push(ssrc);
        }
        proven
    }

    /// The E flag is the first bit of the index word, which is the last of the packet but for the SHA1_80 tag
    /// (RFC 3711 3.4, RFC 7714 9.2).
    fn is_encrypted(&self, datagram: &[u8]) -> bool {
        let behind = match self.remote.profile {
            Profile::Aes128Gcm => 0,
            Profile::Aes128CmSha1_80 => 10,
        };
        let flag = datagram.len().checked_sub(behind + 4).and_then(|at| datagram.get(at));
        flag.is_some_and(|byte| byte & 0x80 != 0)
    }

    fn is_authentic(&self, datagram: &[u8], crypto: &dyn RTCCrypto) -> bool {
        let profile = match self.remote.profile {
            Profile::Aes128Gcm => ProtectionProfile::AeadAes128Gcm,
            Profile::Aes128CmSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        };
        let salt = &self.remote.salt[..self.remote.profile.salt_len()];
        Context::new(&self.remote.key, salt, profile, None, None, crypto)
            .is_ok_and(|mut context| context.decrypt_rtcp(datagram).is_ok())
    }
}
