//! What an outbound track is to send, and why.

use super::layers::Step;
use crate::label::label;

label! {
    /// Why a viewer's layer or temporal id was changed.
    pub Reason = "reason" {
        /// The first choice.
        Start = "start",
        /// The path has been shown to carry more.
        Room = "room",
        /// A queue stood in the path.
        Queue = "queue",
        /// Packets were lost.
        Loss = "loss",
        /// Feedback of the viewer stopped.
        Silence = "silence",
        /// The viewer's own estimate (REMB) fell.
        Remb = "remb",
        /// The path changed, or the viewer was away.
        Path = "path",
        /// The viewer's selection or its token changed what it may have.
        Cap = "cap",
        /// The publisher stopped or resumed a layer, or has other layers.
        Publisher = "publisher",
        /// A stream of one layer does not fit: what queued is skipped, up to the next keyframe.
        Skip = "skip",
    }
}

/// What to send of a layer until another one takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// All of it.
    All,
    /// It does not fit: leave out what no later frame needs, down to half of the frames, and answer no NACK for it.
    Half,
}

/// What an outbound track of video sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The layer to send from its next keyframe on, or from its cached frames. Frames above the temporal id are left
    /// out at once. `None`: no video. What follows `None` begins at a keyframe, whatever was sent before.
    pub video: Option<Step>,
    /// What to send meanwhile of another layer that is being sent.
    pub leaving: Leaving,
    /// Why [`Self::video`] is what it is.
    pub reason: Reason,
}
