//! How large the frames of a video are.

/// Columns and rows of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

impl FrameSize {
    /// `None` for a size that no frame has.
    pub(super) fn new(width: u32, height: u32) -> Option<Self> {
        let side = |side: u32| u16::try_from(side).ok().filter(|side| *side > 0);
        Some(Self { width: side(width)?, height: side(height)? })
    }
}
