//! How large pictures are, from the header with which a keyframe begins.

use super::{Codec, av1, h264, h265, sequence, vp8, vp9};

/// Columns and rows of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

impl FrameSize {
    /// `None` for a size that no picture has.
    pub(super) fn new(width: u32, height: u32) -> Option<Self> {
        let side = |side: u32| u16::try_from(side).ok().filter(|side| *side > 0);
        Some(Self { width: side(width)?, height: side(height)? })
    }

    /// The size that a payload with the beginning of a keyframe tells, if it does. Of several spatial layers the largest.
    pub fn of(codec: Codec, payload: &[u8]) -> Option<Self> {
        match codec {
            Codec::H264 => sequence::h264(h264::sequence(payload)?),
            Codec::H265 => sequence::h265(h265::sequence_set(payload)?),
            Codec::Vp8 => vp8::size(payload),
            Codec::Vp9 => vp9::size(payload),
            Codec::Av1 => sequence::av1(av1::sequence(payload)?),
            Codec::Opus | Codec::Multiopus | Codec::Pcmu | Codec::Pcma | Codec::G722 => None,
        }
    }
}
