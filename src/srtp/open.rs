//! Opening: a publisher's SRTP becomes RTP in place, in the receive buffer.
//!
//! The order bounds memory: the clear header is read first, then the packet is authenticated, and only an authentic
//! packet creates or changes state.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::header::{Clear, RawExtension};
use super::index::ReceivedIndices;
use super::keys::{MasterKey, Protocol};
use super::retired::Retired;
use super::transform::Transform;
use crate::reason::DropReason;

/// The longest datagram that is opened, in bytes: longer ones do not pass the Internet unfragmented.
const MAX_LEN: usize = 1500;

/// Live SSRCs of one publisher: audio, four layers, their retransmissions, and room for an encoder that restarts.
/// Another one replaces the SSRC that has been silent longest; if none is silent, it is refused.
const MAX_SSRCS: usize = 16;

/// An SSRC is silent after this time without a packet.
const SILENT: Duration = Duration::from_millis(500);

/// New SSRCs within [`NEW_WINDOW`]; packets of further ones are refused until the window is over. Ten changes per
/// second of audio and of video, with retransmissions, are fewer.
const MAX_NEW: u32 = 64;
const NEW_WINDOW: Duration = Duration::from_secs(1);

/// A first packet with a sequence number below this may have wrapped already: its sender may have begun at any number,
/// and the packets before it may be lost.
const MAYBE_WRAPPED: u16 = 1024;

/// One publisher's opening context: per SSRC the rollover count and a replay window (RFC 3711 3.3).
pub struct Opener {
    transform: Transform,
    /// At most [`MAX_SSRCS`]: a scan of these beats a hash.
    sources: Vec<Source>,
    /// The SSRCs that were replaced.
    retired: Retired,
    /// When the window of [`MAX_NEW`] began, and the new SSRCs in it.
    new: (Option<Instant>, u32),
    /// One bit for each payload type that was negotiated.
    payload_types: u128,
}

struct Source {
    ssrc: u32,
    received: ReceivedIndices,
    /// When its last packet arrived; `None` for a receiver that keeps no time.
    heard: Option<Instant>,
}

/// An opened packet; the ranges are those of the datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Rollover count and sequence number in 48 bits.
    pub index: u64,
    /// The SSRC.
    pub ssrc: u32,
    /// RTP payload type.
    pub payload_type: u8,
    /// RTP marker bit.
    pub marker: bool,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Bytes of the header with CSRCs and extension.
    pub header_len: usize,
    /// The payload without padding; empty for a padding-only packet.
    pub payload: Range<usize>,
    /// The header extension.
    pub extension: Option<RawExtension>,
}

impl Opener {
    /// Derives the session keys, which takes a few microseconds. Every payload type is accepted until
    /// [`Self::accept_payload_types`] is called.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        Self {
            transform: Transform::new(master, Protocol::Rtp),
            sources: Vec::new(),
            retired: Retired::default(),
            new: (None, 0),
            payload_types: u128::MAX,
        }
    }

    /// Accepts only these payload types; others are refused by their clear header, without authentication.
    #[must_use]
    pub(crate) fn accept_payload_types(mut self, payload_types: impl IntoIterator<Item = u8>) -> Self {
        self.payload_types = payload_types.into_iter().fold(0, |set, payload_type| set | 1 << (payload_type & 0x7f));
        self
    }

    /// Authenticates and decrypts an SRTP packet in place (RFC 3711 3.3, RFC 7714 8). For a receiver without a clock:
    /// no SSRC is ever silent, so a seventeenth is refused.
    ///
    /// # Errors
    ///
    /// Why the datagram was dropped. A datagram that is not authentic has not
    /// changed the state; its bytes are undefined.
    #[inline]
    pub fn open(&mut self, datagram: &mut [u8]) -> Result<Opened, DropReason> {
        self.open_when(datagram, None)
    }

    /// The same for a packet that arrived at `now`: new SSRCs replace silent ones.
    ///
    /// # Errors
    ///
    /// Why the datagram was dropped. A datagram that is not authentic has not
    /// changed the state; its bytes are undefined.
    #[inline]
    pub(crate) fn open_at(&mut self, datagram: &mut [u8], now: Instant) -> Result<Opened, DropReason> {
        self.open_when(datagram, Some(now))
    }

    #[inline]
    fn open_when(&mut self, datagram: &mut [u8], now: Option<Instant>) -> Result<Opened, DropReason> {
        if datagram.len() > MAX_LEN {
            return Err(DropReason::TooLong);
        }
        let clear = Clear::read(datagram)?;
        let end = datagram.len().checked_sub(self.transform.tag_len()).ok_or(DropReason::TooShort)?;
        if clear.header_len > end {
            return Err(DropReason::TooShort);
        }
        if self.payload_types & 1 << clear.payload_type == 0 {
            return Err(DropReason::Undeclared);
        }
        let index = match self.sources.iter().position(|source| source.ssrc == clear.ssrc) {
            Some(position) => self.open_next(position, &clear, datagram, now)?,
            None => self.open_other(&clear, datagram, now)?,
        };
        let padding = if clear.padding { padding(&datagram[clear.header_len..end])? } else { 0 };
        Ok(Opened {
            index,
            ssrc: clear.ssrc,
            payload_type: clear.payload_type,
            marker: clear.marker,
            timestamp: clear.timestamp,
            header_len: clear.header_len,
            payload: clear.header_len..end - padding,
            extension: clear.extension,
        })
    }

    fn open_next(
        &mut self,
        position: usize,
        clear: &Clear,
        datagram: &mut [u8],
        now: Option<Instant>,
    ) -> Result<u64, DropReason> {
        let Source { ssrc, received, heard } = &mut self.sources[position];
        let index = received.admit(clear.sequence).ok_or(DropReason::Replayed)?;
        if !self.transform.open(*ssrc, index, clear.header_len, datagram) {
            return Err(DropReason::Unauthentic);
        }
        received.accept(index);
        *heard = now;
        Ok(index)
    }

    /// A packet of an SSRC that is not live: a new one, or one that was retired.
    #[cold]
    fn open_other(&mut self, clear: &Clear, datagram: &mut [u8], now: Option<Instant>) -> Result<u64, DropReason> {
        let place = self.place_for_one_more(now)?;
        let (index, received) = match self.retired.highest(clear.ssrc) {
            Some(highest) => {
                let mut received = ReceivedIndices::after(highest);
                let index = received.admit(clear.sequence).ok_or(DropReason::Replayed)?;
                if !self.transform.open(clear.ssrc, index, clear.header_len, datagram) {
                    return Err(DropReason::Unauthentic);
                }
                received.accept(index);
                self.retired.remove(clear.ssrc);
                (index, received)
            }
            None if self.retired.is_spent(clear.ssrc) => return Err(DropReason::Replayed),
            None => {
                let index = self.open_first(clear, datagram)?;
                (index, ReceivedIndices::begin(index))
            }
        };
        self.new.1 += 1;
        let source = Source { ssrc: clear.ssrc, received, heard: now };
        match place {
            None => self.sources.push(source),
            Some(place) => {
                let before = std::mem::replace(&mut self.sources[place], source);
                self.retired.add(before.ssrc, before.received.highest());
            }
        }
        Ok(index)
    }

    /// The place of the SSRC that a new one replaces; `None` while there is room.
    fn place_for_one_more(&mut self, now: Option<Instant>) -> Result<Option<usize>, DropReason> {
        if let Some(now) = now {
            let (began, new) = &mut self.new;
            if now.saturating_duration_since(*began.get_or_insert(now)) >= NEW_WINDOW {
                (*began, *new) = (Some(now), 0);
            }
            if *new >= MAX_NEW {
                return Err(DropReason::TooManySsrcs);
            }
        }
        if self.sources.len() < MAX_SSRCS {
            return Ok(None);
        }
        let oldest = self.sources.iter().enumerate().min_by_key(|(_, source)| source.heard);
        let is_silent = |heard: Option<Instant>| {
            heard.zip(now).is_some_and(|(heard, now)| now.saturating_duration_since(heard) >= SILENT)
        };
        oldest
            .filter(|(_, source)| is_silent(source.heard))
            .map(|(place, _)| Some(place))
            .ok_or(DropReason::TooManySsrcs)
    }

    /// An SSRC begins with rollover count 0, or 1 if it wrapped before its first packet arrived.
    fn open_first(&self, clear: &Clear, datagram: &mut [u8]) -> Result<u64, DropReason> {
        let index = u64::from(clear.sequence);
        // A failed attempt overwrites the datagram.
        let mut untouched = [0; MAX_LEN];
        let may_have_wrapped = clear.sequence < MAYBE_WRAPPED;
        if may_have_wrapped {
            untouched[..datagram.len()].copy_from_slice(datagram);
        }
        if self.transform.open(clear.ssrc, index, clear.header_len, datagram) {
            return Ok(index);
        }
        let wrapped = index | 1 << 16;
        if may_have_wrapped {
            datagram.copy_from_slice(&untouched[..datagram.len()]);
            if self.transform.open(clear.ssrc, wrapped, clear.header_len, datagram) {
                return Ok(wrapped);
            }
        }
        Err(DropReason::Unauthentic)
    }
}

/// The last byte counts the padding, itself included (RFC 3550 5.1).
fn padding(payload: &[u8]) -> Result<usize, DropReason> {
    match payload.last() {
        Some(&count) if count > 0 && usize::from(count) <= payload.len() => Ok(usize::from(count)),
        _ => Err(DropReason::NotRtp),
    }
}

#[cfg(test)]
mod tests;
