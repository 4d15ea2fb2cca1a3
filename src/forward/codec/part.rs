//! What part of a frame a payload contains, as far as it decides where a viewer can begin.

/// What a payload contains, as a set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part(u8);

impl Part {
    /// A parameter set, or a fragment of one.
    pub(super) const SETS: Self = Self(1);
    /// A slice, or a fragment of one.
    pub(super) const SLICE: Self = Self(1 << 1);
    /// A slice of a frame that refers to no other (IDR, IRAP), or a fragment of one.
    pub(super) const RANDOM_ACCESS: Self = Self(1 << 2);
    /// The beginning of such a frame's first slice; for other codecs, the beginning of a keyframe.
    pub(super) const KEYFRAME: Self = Self(1 << 3);
    /// Supplemental information that marks where a decoder may begin without such a frame (intra refresh).
    pub(super) const RECOVERY_POINT: Self = Self(1 << 4);
    /// A slice of a leading picture that may refer to pictures before its random access picture (H.265 RASL).
    pub(super) const SKIPPED_LEADING: Self = Self(1 << 5);

    /// The beginning of a keyframe without the sequence header that decoders need before it (AV1).
    pub(super) const BARE_KEYFRAME: Self = Self(1 << 6);

    /// True for a payload that needs no further look: it neither belongs to a keyframe nor leads to one.
    #[inline]
    pub fn is_plain(self) -> bool {
        !self.has(Self(
            Self::SETS.0
                | Self::RANDOM_ACCESS.0
                | Self::KEYFRAME.0
                | Self::RECOVERY_POINT.0
                | Self::SKIPPED_LEADING.0
                | Self::BARE_KEYFRAME.0,
        ))
    }

    /// True when a frame that needs no other begins here: its first slice, whatever comes before that in the payload.
    #[inline]
    pub fn is_keyframe(self) -> bool {
        self.has(Self::KEYFRAME)
    }

    /// True for a part of a frame that refers to no other.
    pub(crate) fn is_random_access(self) -> bool {
        self.has(Self(Self::RANDOM_ACCESS.0 | Self::KEYFRAME.0))
    }

    /// True with a parameter set.
    pub fn has_sets(self) -> bool {
        self.has(Self::SETS)
    }

    /// True with a slice.
    pub(crate) fn has_slice(self) -> bool {
        self.has(Self::SLICE)
    }

    /// True when supplemental information marks that a decoder may begin here without a keyframe.
    pub(crate) fn is_recovery_point(self) -> bool {
        self.has(Self::RECOVERY_POINT)
    }

    /// True for a leading picture, which a decoder that begins at its random access picture cannot decode (H.265 RASL).
    pub(crate) fn is_skipped_leading(self) -> bool {
        self.has(Self::SKIPPED_LEADING)
    }

    /// True when a keyframe begins here that can be decoded only with a sequence header from before.
    pub(crate) fn is_bare_keyframe(self) -> bool {
        self.has(Self::BARE_KEYFRAME)
    }

    /// Both together.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }
}
