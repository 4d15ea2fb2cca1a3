//! Sealing: a viewer's packet becomes SRTP in place, in the send arena.

use super::header::FIXED_LEN;
use super::index;
use super::keys::{MasterKey, Protocol};
use super::transform::Transform;

/// One viewer's sealing context, for all its SSRCs. It keeps no index: each outbound track owns that of its SSRC,
/// starts it below 2^15, only moves it forward, and repeats one only with the same bytes (a repeated AES-GCM nonce
/// gives the authentication key away). Builds with debug assertions check that rule and panic if it is broken.
pub struct Sealer {
    transform: Transform,
    #[cfg(debug_assertions)]
    nonce_guard: super::nonce_guard::NonceGuard,
}

/// Why a packet was not sealed. Each is a mistake of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The tag does not fit behind the packet.
    #[error("leave {missing} more bytes behind the packet for the tag")]
    NoRoom {
        /// How many bytes the buffer is too short.
        missing: usize,
    },
    /// The header is shorter than an RTP header or longer than the packet.
    #[error("hand in a whole RTP packet and the length of its header")]
    NotRtp,
    /// The index has more than 48 bits, or does not end in the packet's sequence number.
    #[error("hand in the 48-bit index whose low 16 bits are the packet's sequence number")]
    WrongIndex,
}

impl Sealer {
    /// Derives the session keys, which takes a few microseconds.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        Self {
            transform: Transform::new(master, Protocol::Rtp),
            #[cfg(debug_assertions)]
            nonce_guard: super::nonce_guard::NonceGuard::default(),
        }
    }

    /// Bytes that sealing adds to a packet.
    #[must_use]
    pub fn overhead(&self) -> usize {
        self.transform.tag_len()
    }

    /// Seals the RTP packet in `buffer[..len]`, whose header with CSRCs and extension takes `header_len` bytes, and
    /// writes the tag behind it; returns the sealed length (RFC 3711 3.3, RFC 7714 8). `index` is ROC and sequence
    /// number. After an error the bytes in `buffer` are not to be sent.
    ///
    /// # Errors
    ///
    /// See [`SealError`].
    #[inline]
    pub fn seal(&mut self, buffer: &mut [u8], header_len: usize, len: usize, index: u64) -> Result<usize, SealError> {
        let sealed_len = len + self.transform.tag_len();
        if header_len < FIXED_LEN || header_len > len {
            return Err(SealError::NotRtp);
        }
        let Some(buffer_for_sealed) = buffer.get_mut(..sealed_len) else {
            return Err(SealError::NoRoom { missing: sealed_len - buffer.len() });
        };
        let (packet, tag) = buffer_for_sealed.split_at_mut(len);
        if index > index::MAX || packet[2..4] != (index as u16).to_be_bytes() {
            return Err(SealError::WrongIndex);
        }
        let ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
        #[cfg(debug_assertions)]
        self.nonce_guard.check(ssrc, index, packet);
        if !self.transform.seal(ssrc, index, header_len, packet, tag) {
            return Err(SealError::NotRtp);
        }
        Ok(sealed_len)
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::SrtpProfile;
    use super::*;

    fn sealer() -> Sealer {
        Sealer::new(&MasterKey { profile: SrtpProfile::Aes128Gcm, key: [1; 16], salt: [2; 14] })
    }

    fn packet() -> [u8; 60] {
        let mut packet = [7; 60];
        packet[..12].copy_from_slice(&[0x80, 96, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1]);
        packet
    }

    #[test]
    fn refuses_a_packet_that_does_not_fit_its_index() {
        let mut sealer = sealer();
        assert_eq!(sealer.seal(&mut packet(), 12, 44, 5), Ok(60));
        assert_eq!(sealer.seal(&mut packet(), 12, 45, 5), Err(SealError::NoRoom { missing: 1 }));
        assert_eq!(sealer.seal(&mut packet(), 11, 44, 5), Err(SealError::NotRtp));
        assert_eq!(sealer.seal(&mut packet(), 45, 44, 5), Err(SealError::NotRtp));
        assert_eq!(sealer.seal(&mut packet(), 12, 44, 6), Err(SealError::WrongIndex));
        assert_eq!(sealer.seal(&mut packet(), 12, 44, 1 << 48 | 5), Err(SealError::WrongIndex));
    }

    #[test]
    fn a_resend_of_the_same_bytes_is_the_same_datagram() {
        let mut sealer = sealer();
        let (mut first, mut second) = (packet(), packet());
        sealer.seal(&mut first, 12, 44, 5).unwrap();
        sealer.seal(&mut second, 12, 44, 5).unwrap();
        assert_eq!(first, second);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "sealed twice")]
    fn an_index_over_two_contents_panics() {
        let mut sealer = sealer();
        sealer.seal(&mut packet(), 12, 44, 5).unwrap();
        let mut other = packet();
        other[20] ^= 1;
        let _ = sealer.seal(&mut other, 12, 44, 5);
    }
}
