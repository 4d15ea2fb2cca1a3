//! What H.264 and H.265 share: NAL units in RTP payloads, and the parameter sets that refer to each other.

/// The bit of a FU header that says "first fragment" (RFC 6184 5.8, RFC 7798 4.4.3).
pub(super) const FU_START: u8 = 0x80;

/// The payload type of a recovery point in supplemental information (ITU-T H.264 D.1, H.265 D.2.1).
const RECOVERY_POINT: u8 = 6;

/// One NAL unit in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit<'a> {
    pub(super) nal_type: u8,
    /// What follows the NAL header; for a fragment, the part of that in this payload.
    pub(super) body: &'a [u8],
    /// The whole unit with its NAL header; `None` for a fragment.
    pub(super) whole: Option<&'a [u8]>,
    /// False for a fragment other than the first.
    pub(super) begins: bool,
}

impl Unit<'_> {
    /// True when supplemental information marks a recovery point: a decoder may begin here without a keyframe. For
    /// units of that type only.
    pub(super) fn is_recovery_point(&self) -> bool {
        self.begins && self.body.first() == Some(&RECOVERY_POINT)
    }

    /// True for the first slice of a frame, by its first bit: `first_mb_in_slice` is 0, the single bit 1 in Exp-Golomb
    /// (ITU-T H.264 7.3.3, 9.1); `first_slice_segment_in_pic_flag` is set (ITU-T H.265 7.3.6.1).
    pub(super) fn is_first_slice(&self) -> bool {
        self.begins && self.body.first().is_some_and(|byte| byte & 0x80 != 0)
    }
}

/// Visits the units of an aggregation packet, each of which has `between` octets after its size. A size that points
/// past the end ends the reading.
pub(super) fn each_of<'a>(mut rest: &'a [u8], between: usize, visit: &mut impl FnMut(&'a [u8])) {
    while let Some((size, behind)) = rest.split_first_chunk::<2>() {
        let unit = behind.get(between..).and_then(|unit| unit.split_at_checked(u16::from_be_bytes(*size).into()));
        let Some((unit, behind)) = unit else { break };
        visit(unit);
        rest = behind;
    }
}

/// What a parameter set describes, in the order in which a decoder needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SetKind {
    /// The video (H.265 only).
    Video,
    /// A coded sequence.
    Sequence,
    /// Frames of a sequence.
    Picture,
}

/// Identifies a parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SetId {
    pub(super) kind: SetKind,
    pub(super) id: u32,
}

impl SetId {
    /// `None` for an id that is not below `limit`.
    pub(super) fn below(limit: u32, kind: SetKind, id: u32) -> Option<Self> {
        (id < limit).then_some(Self { kind, id })
    }
}

/// What a unit tells about parameter sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// It is a parameter set, and refers to another.
    Set { own: SetId, parent: Option<SetId> },
    /// It is a slice that refers to this parameter set.
    Slice(SetId),
}
