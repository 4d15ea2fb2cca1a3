//! The encoding that is chosen for a viewer, and the one that its track goes on with.

use std::time::Instant;

use crate::forward::{FrameLimit, LayerId};
use crate::reason::SwitchReason;

/// What is chosen for a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayerTarget {
    /// The encoding.
    pub(crate) layer: LayerId,
    /// Which of its frames are sent at most.
    pub(crate) limit: FrameLimit,
    /// How the encoding that the viewer has is sent until then.
    pub(crate) leaving: Leaving,
    /// What the viewer's path carries, in octets per second, if it is known.
    pub(crate) rate: Option<u64>,
    /// Why it is chosen.
    pub(crate) reason: SwitchReason,
}

/// How an encoding is sent that a viewer leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// Whole: the path carries it.
    Whole,
    /// Without the frames that no other needs, and without resends: the path carries less.
    Thinned,
    /// No more, and without resends: the path carries so much less that all of it would arrive late.
    Stopped,
}

/// The encoding that a track goes on with.
#[derive(Clone, Copy, Debug)]
pub(super) struct NextLayer {
    pub(super) layer: LayerId,
    /// At a keyframe from this position of its history on.
    pub(super) since: u64,
    /// When it is gone to by the frames since its last keyframe instead; `None` for a larger encoding.
    pub(super) until: Option<Instant>,
    /// When the keyframe was seen.
    pub(super) arrived: Option<Instant>,
}
