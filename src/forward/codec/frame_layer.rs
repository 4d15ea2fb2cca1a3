//! Which temporal and spatial layer of its encoding a frame belongs to, and whether other frames need it: what decides
//! if a viewer can do without it.

/// Bits of [`FrameLayer::flags`].
const DISCARDABLE: u8 = 1;
const SYNC: u8 = 1 << 1;
const OPENS: u8 = 1 << 2;

/// The place of a frame in the layers of one encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameLayer {
    temporal: u8,
    spatial: u8,
    flags: u8,
}

impl FrameLayer {
    /// The highest temporal or spatial id; higher ones of dependency descriptors count as this one.
    pub const HIGHEST: u8 = 7;

    /// A frame with these ids.
    pub(super) fn new(temporal: u8, spatial: u8) -> Self {
        Self { temporal: temporal.min(Self::HIGHEST), spatial: spatial.min(Self::HIGHEST), flags: 0 }
    }

    /// With a flag set where the condition is true.
    fn with(self, flag: u8, is_set: bool) -> Self {
        Self { flags: self.flags | if is_set { flag } else { 0 }, ..self }
    }

    /// No other frame refers to it, as far as its temporal layer is concerned.
    pub(super) fn discardable(self, is_set: bool) -> Self {
        self.with(DISCARDABLE, is_set)
    }

    /// It refers to no frame of its own temporal layer or a higher one.
    pub(super) fn sync(self, is_set: bool) -> Self {
        self.with(SYNC, is_set)
    }

    /// Later frames of higher temporal layers refer to no frame of those layers from before it.
    pub(super) fn opens(self, is_set: bool) -> Self {
        self.with(OPENS, is_set)
    }

    /// The temporal id: 0 for the lowest layer, which needs no other; at most [`Self::HIGHEST`].
    #[inline]
    pub fn temporal(self) -> u8 {
        self.temporal
    }

    /// The spatial id: 0 for the lowest layer; at most [`Self::HIGHEST`].
    pub fn spatial(self) -> u8 {
        self.spatial
    }

    /// True when no other frame of its temporal layer refers to it, nor any of a lower one.
    #[inline]
    pub fn is_discardable(self) -> bool {
        self.flags & DISCARDABLE != 0
    }

    /// True when a viewer that has had all lower temporal layers can decode it.
    pub fn is_sync(self) -> bool {
        self.flags & SYNC != 0
    }

    /// True when a viewer that can decode it can decode all later frames of higher temporal layers too.
    pub fn is_opening(self) -> bool {
        self.flags & OPENS != 0
    }
}
