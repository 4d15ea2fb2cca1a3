//! How reliable a data channel is that the other side opens, overheard where webrtc-rs decrypts its DTLS.
//!
//! The `DATA_CHANNEL_OPEN` message (RFC 8832 5.1) says whether messages are sent again for ever, a number of times or for
//! a time; webrtc-rs 0.21.1 reads it and does not tell. All its decryption goes through the provider of [`super::keys`],
//! so the cipher of each peer is wrapped to look at what it has opened. The rule: this only listens. What it does not
//! understand, such as an opening in several SCTP fragments, is passed on as a channel that loses nothing.

use std::sync::{Arc, Mutex, PoisonError};

use rtc::crypto::{AeadCipher, CryptoError};

use super::channels::MAX_CHANNELS;

/// How long the other side tries to deliver a message (RFC 8832 5.1, channel type).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reliability {
    /// Until it arrives.
    Full,
    /// So many times beside the first.
    Retransmits(u16),
    /// For so many milliseconds.
    LifeTime(u16),
}

/// The openings of one connection that were heard and not asked for yet, by SCTP stream.
///
/// The connection writes while it handles a datagram, its `Association` reads right after, on one thread; the lock is
/// there because providers must be `Sync`, and it is never contended.
#[derive(Clone, Debug, Default)]
pub(super) struct Openings(Arc<Mutex<Vec<(u16, Reliability)>>>);

impl Openings {
    /// The same cipher, overheard.
    pub(super) fn listen(&self, cipher: Box<dyn AeadCipher>) -> Box<dyn AeadCipher> {
        Box::new(ListeningCipher { cipher, openings: self.clone() })
    }

    /// What was heard of this stream's opening; [`Reliability::Full`] if nothing was.
    pub(super) fn take(&self, stream: u16) -> Reliability {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = heard.iter().position(|(id, _)| *id == stream);
        place.map_or(Reliability::Full, |place| heard.remove(place).1)
    }

    fn hear(&self, plaintext: &[u8]) {
        for (stream, reliability) in openings_in(plaintext) {
            let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // A repeated opening says the same again. When the list is full the oldest has not been asked for: its
            // channel was one too many.
            heard.retain(|(id, _)| *id != stream);
            if heard.len() >= MAX_CHANNELS {
                heard.remove(0);
            }
            heard.push((stream, reliability));
        }
    }
}

struct ListeningCipher {
    cipher: Box<dyn AeadCipher>,
    openings: Openings,
}

impl AeadCipher for ListeningCipher {
    fn tag_len(&self) -> usize {
        self.cipher.tag_len()
    }

    fn seal_in_place(
        &mut self,
        nonce: &[u8],
        aad: &[u8],
        plaintext_and_ciphertext: &mut [u8],
        tag_out: &mut [u8],
    ) -> Result<(), CryptoError> {
        self.cipher.seal_in_place(nonce, aad, plaintext_and_ciphertext, tag_out)
    }

    fn open_in_place(
        &mut self,
        nonce: &[u8],
        aad: &[u8],
        ciphertext_and_plaintext: &mut [u8],
        tag: &[u8],
    ) -> Result<(), CryptoError> {
        self.cipher.open_in_place(nonce, aad, ciphertext_and_plaintext, tag)?;
        self.openings.hear(ciphertext_and_plaintext);
        Ok(())
    }
}

/// The port that both sides have in every answer and offer of ours, twice: how an SCTP packet begins.
const PORTS: [u8; 4] = [0x13, 0x88, 0x13, 0x88];

const COMMON_HEADER: usize = 12;
const DATA_CHUNK_HEADER: usize = 16;
const DATA: u8 = 0;
/// Beginning and end of a message are both in this chunk (RFC 9260 3.3.1).
const UNFRAGMENTED: u8 = 0b11;
const PPID_DCEP: u32 = 50;
const DATA_CHANNEL_OPEN: u8 = 3;

/// Streams that an SCTP packet opens channels on; none for anything else that may be encrypted.
fn openings_in(packet: &[u8]) -> impl Iterator<Item = (u16, Reliability)> {
    let chunks = if packet.starts_with(&PORTS) { packet.get(COMMON_HEADER..).unwrap_or_default() } else { &[] };
    Chunks(chunks).filter_map(opening)
}

/// The chunks of a packet one after the other, each with its header (RFC 9260 3.2).
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(u16::from_be_bytes([*self.0.get(2)?, *self.0.get(3)?]));
        // A length below that of the header would go round for ever.
        let chunk = self.0.get(..length).filter(|chunk| chunk.len() >= 4)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(chunk)
    }
}

fn opening(chunk: &[u8]) -> Option<(u16, Reliability)> {
    let (header, message) = chunk.split_at_checked(DATA_CHUNK_HEADER)?;
    let ppid = u32::from_be_bytes([header[12], header[13], header[14], header[15]]);
    if header[0] != DATA || header[1] & UNFRAGMENTED != UNFRAGMENTED || ppid != PPID_DCEP {
        return None;
    }
    let [DATA_CHANNEL_OPEN, channel_type, _, _, parameter @ ..] = message else { return None };
    let parameter = u32::from_be_bytes(*parameter.first_chunk()?);
    let parameter = u16::try_from(parameter).unwrap_or(u16::MAX);
    // The high bit is for unordered delivery, which webrtc-rs tells.
    let reliability = match channel_type & 0x7f {
        1 => Reliability::Retransmits(parameter),
        2 => Reliability::LifeTime(parameter),
        _ => Reliability::Full,
    };
    Some((u16::from_be_bytes([header[8], header[9]]), reliability))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunk(flags: u8, stream: u16, ppid: u32, message: &[u8]) -> Vec<u8> {
        let length = (DATA_CHUNK_HEADER + message.len()) as u16;
        let mut chunk = vec![DATA, flags];
        chunk.extend(length.to_be_bytes());
        chunk.extend([0, 0, 0, 7]);
        chunk.extend(stream.to_be_bytes());
        chunk.extend([0, 0]);
        chunk.extend(ppid.to_be_bytes());
        chunk.extend(message);
        chunk.resize(chunk.len().next_multiple_of(4), 0);
        chunk
    }

    fn open(channel_type: u8, parameter: u32) -> Vec<u8> {
        let mut message = vec![DATA_CHANNEL_OPEN, channel_type, 1, 0];
        message.extend(parameter.to_be_bytes());
        message.extend([0, 1, 0, 0, b'x']);
        message
    }

    fn packet(chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut packet = PORTS.to_vec();
        packet.extend([0; COMMON_HEADER - PORTS.len()]);
        packet.extend(chunks.concat());
        packet
    }

    #[test]
    fn an_opening_is_heard_among_other_chunks_and_asked_for_once() {
        let openings = Openings::default();
        openings.hear(&packet(&[
            chunk(0b11, 1, 51, b"hello"),
            chunk(0b11, 2, PPID_DCEP, &open(0x81, 3)),
            chunk(0b11, 4, PPID_DCEP, &open(0x02, 100_000)),
            chunk(0b11, 6, PPID_DCEP, &open(0x80, 9)),
        ]));
        assert_eq!(openings.take(2), Reliability::Retransmits(3));
        assert_eq!(openings.take(2), Reliability::Full, "asked for already");
        assert_eq!(openings.take(4), Reliability::LifeTime(u16::MAX));
        assert_eq!(openings.take(6), Reliability::Full);
        assert_eq!(openings.take(1), Reliability::Full);
    }

    #[test]
    fn what_only_looks_like_an_opening_is_not_one() {
        let whole = open(1, 3);
        for other in [
            chunk(0b10, 2, PPID_DCEP, &whole),
            chunk(0b11, 2, 53, &whole),
            chunk(0b11, 2, PPID_DCEP, &[2]),
            chunk(0b11, 2, PPID_DCEP, &whole[..7]),
        ] {
            assert_eq!(openings_in(&packet(&[other])).count(), 0);
        }
        let mut foreign = packet(&[chunk(0b11, 2, PPID_DCEP, &whole)]);
        assert_eq!(openings_in(&foreign).count(), 1);
        foreign[0] ^= 1;
        assert_eq!(openings_in(&foreign).count(), 0, "another port");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let openings = Openings::default();
        for stream in 0..1000 {
            openings.hear(&packet(&[chunk(0b11, stream, PPID_DCEP, &open(1, 5))]));
        }
        assert_eq!(openings.0.lock().unwrap().len(), MAX_CHANNELS);
        assert_eq!(openings.take(999), Reliability::Retransmits(5));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_go_round_for_ever(tail in prop::collection::vec(any::<u8>(), 0..256)) {
            let mut bytes = packet(&[]);
            bytes.extend(&tail);
            prop_assert!(openings_in(&bytes).count() <= 64);
        }
    }
}
