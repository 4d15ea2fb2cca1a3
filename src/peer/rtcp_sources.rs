//! A client's SRTCP, opened beside the peer connection: which datagrams are authentic, and how many are read.
//!
//! The SRTP context of webrtc-rs keeps a replay window for each SSRC that an SRTCP packet names before it has
//! authenticated the packet, so forged packets would grow a session without end; and with SHA1_80 it accepts a packet
//! whose E flag says that it is not encrypted (RFC 3711 3.4) without checking its tag. The rules: only encrypted
//! packets are opened, because WebRTC sends no others; a new SSRC is tried on a context that is discarded afterwards,
//! and passes only if its packet was authentic.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc::crypto::RTCCrypto;
use rtc::shared::error::Error;
use rtc::srtp::context::Context;
use rtc::srtp::option::srtcp_replay_protection;
use rtc::srtp::protection_profile::ProtectionProfile;

use crate::reason::DropReason;
use crate::srtp::{MasterKey, SrtpProfile};

/// SSRCs of one client that RTCP is accepted from. A client sends RTCP from one SSRC for each of its media sources, or
/// from one for all that it receives.
const SOURCES_LIMIT: usize = 16;

/// Bytes in clear text at the beginning: the first header and its sender's SSRC (RFC 3550 6.4.1, RFC 3711 3.4).
const CLEAR_LEN: usize = 8;

/// Bytes of the index word with the E flag.
const INDEX_LEN: usize = 4;

/// How far behind the highest index a packet may come (RFC 3711 3.3.2).
const REPLAY_WINDOW: usize = 64;

/// Authentic datagrams that are read from one client within [`WINDOW`]: several times what a browser with much loss
/// sends. Further ones are dropped and counted.
const MAX_DATAGRAMS: u32 = 256;
const WINDOW: Duration = Duration::from_secs(1);

/// The SSRCs that one client's authentic RTCP has come from.
pub(super) struct RtcpSources {
    remote: MasterKey,
    known: Vec<u32>,
    /// Made for the first packet; it knows no other SSRCs than these.
    context: Option<Box<Context>>,
    /// When the window began, and the datagrams in it.
    window: Option<(Instant, u32)>,
}

impl RtcpSources {
    /// For a client whose RTCP is sealed with `remote`.
    pub(super) fn new(remote: MasterKey) -> Self {
        Self { remote, known: Vec::new(), context: None, window: None }
    }

    /// The compound in a datagram (RFC 3550 6.1).
    pub(super) fn open(
        &mut self,
        datagram: &[u8],
        crypto: &dyn RTCCrypto,
        now: Instant,
    ) -> Result<BytesMut, DropReason> {
        let [_, _, _, _, ssrc @ ..] = *datagram.first_chunk::<CLEAR_LEN>().ok_or(DropReason::TooShort)?;
        if datagram.len() < CLEAR_LEN + self.remote.profile.tag_len() + INDEX_LEN {
            return Err(DropReason::TooShort);
        }
        if !self.is_encrypted(datagram) {
            return Err(DropReason::Unauthentic);
        }
        let ssrc = u32::from_be_bytes(ssrc);
        if !self.known.contains(&ssrc) {
            if self.known.len() >= SOURCES_LIMIT {
                return Err(DropReason::TooManySsrcs);
            }
            self.decrypt(datagram, crypto).ok_or(DropReason::Unauthentic)?;
            self.known.push(ssrc);
        }
        if self.context.is_none() {
            self.context = self.new_context(crypto).map(Box::new);
        }
        let context = self.context.as_mut().ok_or(DropReason::Unauthentic)?;
        let compound = context.decrypt_rtcp(datagram).map_err(|error| match error {
            Error::SrtcpSsrcDuplicated(..) => DropReason::Replayed,
            _ => DropReason::Unauthentic,
        })?;
        // Only authentic datagrams count, or an attacker could use up the budget of the client.
        if self.may_read(now) { Ok(compound) } else { Err(DropReason::RtcpFlood) }
    }

    fn may_read(&mut self, now: Instant) -> bool {
        let (began, datagrams) = self.window.get_or_insert((now, 0));
        if now.saturating_duration_since(*began) >= WINDOW {
            (*began, *datagrams) = (now, 0);
        }
        *datagrams += 1;
        *datagrams <= MAX_DATAGRAMS
    }

    /// The E flag is the first bit of the index word, which is the last of the packet but for the SHA1_80 tag
    /// (RFC 3711 3.4, RFC 7714 9.2).
    fn is_encrypted(&self, datagram: &[u8]) -> bool {
        let behind = match self.remote.profile {
            SrtpProfile::Aes128Gcm => 0,
            SrtpProfile::Aes128CmSha1_80 => 10,
        };
        let flag = datagram.len().checked_sub(behind + INDEX_LEN).and_then(|at| datagram.get(at));
        flag.is_some_and(|byte| byte & 0x80 != 0)
    }

    fn decrypt(&self, datagram: &[u8], crypto: &dyn RTCCrypto) -> Option<BytesMut> {
        self.new_context(crypto)?.decrypt_rtcp(datagram).ok()
    }

    fn new_context(&self, crypto: &dyn RTCCrypto) -> Option<Context> {
        let profile = match self.remote.profile {
            SrtpProfile::Aes128Gcm => ProtectionProfile::AeadAes128Gcm,
            SrtpProfile::Aes128CmSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        };
        let salt = &self.remote.salt[..self.remote.profile.salt_len()];
        Context::new(&self.remote.key, salt, profile, None, Some(srtcp_replay_protection(REPLAY_WINDOW)), crypto).ok()
    }
}
