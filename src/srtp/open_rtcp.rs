//! Opening SRTCP: a client's RTCP becomes readable in place, in the receive buffer (RFC 3711 3.4, RFC 7714 9).
//!
//! A packet carries its 31-bit index, so nothing is estimated. The rules: only an authentic packet creates or changes
//! state, an index of an SSRC is accepted once, and only encrypted packets are opened (E flag), because WebRTC sends no
//! others.

use super::keys::{MasterKey, Protocol};
use super::transform::{RTCP_CLEAR_LEN, RTCP_INDEX_LEN, RTCP_MAX_INDEX, Transform};
use crate::reason::DropReason;

/// SSRCs of one client that RTCP is accepted from. A client sends RTCP from one SSRC for each of its media sources, or
/// from one for all that it receives.
const MAX_SSRCS: usize = 16;

/// The E flag in the index word.
const ENCRYPTED: u32 = !RTCP_MAX_INDEX;

/// One client's opening context: a replay window for each SSRC (RFC 3711 3.3.2).
pub struct RtcpOpener {
    transform: Transform,
    /// At most [`MAX_SSRCS`].
    sources: Vec<Source>,
}

struct Source {
    ssrc: u32,
    highest: u32,
    /// One bit for each of the 64 indices up to the highest, which is the lowest bit.
    seen: u64,
}

impl RtcpOpener {
    /// Derives the session keys, which takes a few microseconds.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        Self { transform: Transform::new(master, Protocol::Rtcp), sources: Vec::new() }
    }

    /// Authenticates and decrypts an SRTCP packet in place; returns the compound (RFC 3550 6.1).
    ///
    /// # Errors
    ///
    /// Why the datagram was dropped. A datagram that is not authentic has not changed the state; its bytes are
    /// undefined.
    pub fn open<'a>(&mut self, datagram: &'a mut [u8]) -> Result<&'a [u8], DropReason> {
        let [_, _, _, _, ssrc @ ..] = *datagram.first_chunk::<RTCP_CLEAR_LEN>().ok_or(DropReason::TooShort)?;
        let ssrc = u32::from_be_bytes(ssrc);
        let end = datagram.len().checked_sub(RTCP_INDEX_LEN + self.transform.tag_len());
        let end = end.filter(|end| *end >= RTCP_CLEAR_LEN).ok_or(DropReason::TooShort)?;
        let word = self.transform.rtcp_word(datagram).ok_or(DropReason::TooShort)?;
        if word & ENCRYPTED == 0 {
            return Err(DropReason::Unauthentic);
        }
        let index = word & RTCP_MAX_INDEX;
        let place = self.sources.iter().position(|source| source.ssrc == ssrc);
        match place.map(|place| &self.sources[place]) {
            Some(source) if !source.admits(index) => return Err(DropReason::Replayed),
            None if self.sources.len() >= MAX_SSRCS => return Err(DropReason::TooManySsrcs),
            Some(_) | None => {}
        }
        if !self.transform.open_rtcp(ssrc, word, datagram) {
            return Err(DropReason::Unauthentic);
        }
        match place {
            Some(place) => self.sources[place].accept(index),
            None => self.sources.push(Source { ssrc, highest: index, seen: 1 }),
        }
        Ok(&datagram[..end])
    }
}

impl Source {
    /// Whether an index is neither received before nor behind the window. After the last index no other is admitted: a
    /// sender must not begin again with the same key (RFC 3711 9.2).
    fn admits(&self, index: u32) -> bool {
        match self.highest.checked_sub(index) {
            None => true,
            Some(behind) => behind < u64::BITS && self.seen & 1 << behind == 0,
        }
    }

    /// Marks an index that [`Self::admits`] and that turned out authentic.
    fn accept(&mut self, index: u32) {
        if index > self.highest {
            self.seen = self.seen.checked_shl(index - self.highest).unwrap_or(0);
            self.highest = index;
        }
        self.seen |= 1 << (self.highest - index);
    }
}

#[cfg(test)]
mod tests;
