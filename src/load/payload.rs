//! The payload of synthetic packets: the start of a VP8 frame (RFC 7741), a number, the send time, and bytes derived
//! from the number, so that a viewer that decrypts the packet can verify it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// VP8 payload descriptor and, at the start of a frame, frame tag and start code (RFC 6386 9.1); width and height follow.
/// Later packets of a frame have the same bytes with another descriptor.
const PICTURE: [u8; 7] = [0x10, 0, 0, 0, 0x9d, 0x01, 0x2a];
/// Descriptor of a packet that continues a frame.
const CONTINUATION: u8 = 0;
/// In the frame tag: not a keyframe.
const INTER: u8 = 1;

const SIZE: usize = PICTURE.len();
const NUMBER: usize = SIZE + 4;
const SENT: usize = NUMBER + 8;
pub(super) const FILLER: usize = SENT + 8;

/// The position of a packet in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The first packet of a keyframe.
    KeyframeStart,
    /// The first packet of any other frame.
    Start,
    /// A later packet.
    Continuation,
}

/// What a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    /// Of the frame, in pixels.
    pub(super) size: (u16, u16),
    pub(super) number: u64,
    /// When it was sent, since the Unix epoch.
    pub(super) sent: Duration,
}

/// Fills a payload.
pub(super) fn write(payload: &mut [u8], part: Part, contents: Contents) {
    let Contents { size: (width, height), number, sent } = contents;
    let (head, filler) = payload.split_at_mut(FILLER);
    head[..SIZE].copy_from_slice(&PICTURE);
    head[SIZE..SIZE + 2].copy_from_slice(&width.to_le_bytes());
    head[SIZE + 2..NUMBER].copy_from_slice(&height.to_le_bytes());
    match part {
        Part::KeyframeStart => {}
        Part::Start => head[1] |= INTER,
        Part::Continuation => (head[0], head[1]) = (CONTINUATION, INTER),
    }
    head[NUMBER..SENT].copy_from_slice(&number.to_be_bytes());
    head[SENT..FILLER].copy_from_slice(&nanoseconds(sent).to_be_bytes());
    filler.fill(filler_of(number));
}

/// What a payload says; `None` if [`write()`] did not write it.
pub(super) fn read(payload: &[u8]) -> Option<Contents> {
    let (head, filler) = payload.split_at_checked(FILLER)?;
    let word = |place: usize| Some(u16::from_le_bytes(*head[place..].first_chunk()?));
    let size = (word(SIZE)?, word(SIZE + 2)?);
    let number = u64::from_be_bytes(*head[NUMBER..].first_chunk()?);
    let sent = Duration::from_nanos(u64::from_be_bytes(*head[SENT..].first_chunk()?));
    let whole = head[2..SIZE] == PICTURE[2..] && filler.iter().all(|byte| *byte == filler_of(number));
    whole.then_some(Contents { size, number, sent })
}

/// The time since the Unix epoch, which is also the origin of the kernel's receive timestamps.
pub(super) fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn filler_of(number: u64) -> u8 {
    (number % 251) as u8
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::codec::{Codec, KeyframeFinder};

    #[test]
    fn a_written_payload_is_read_back_and_damage_is_detected() {
        let contents = Contents { size: (320, 180), number: 777, sent: Duration::new(1_700_000_000, 5) };
        let mut payload = [0xff; 100];
        write(&mut payload, Part::Continuation, contents);
        assert_eq!(read(&payload), Some(contents));
        payload[99] ^= 1;
        assert_eq!(read(&payload), None);
        assert_eq!(read(&payload[..20]), None);
    }

    #[test]
    fn only_a_keyframe_start_starts_a_keyframe() {
        for (part, expected) in [(Part::KeyframeStart, true), (Part::Start, false), (Part::Continuation, false)] {
            let mut payload = [0; 64];
            write(&mut payload, part, Contents { size: (640, 360), number: 0, sent: Duration::ZERO });
            assert_eq!(KeyframeFinder::new(Codec::Vp8).read(1, &payload).1, expected, "{part:?}");
        }
    }
}
