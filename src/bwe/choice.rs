//! What an outbound track is to send, and why.

use super::layers::Step;
use crate::reason::SwitchReason;

/// What to send of a layer until another one takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// All of it.
    All,
    /// It does not fit: leave out what no later frame needs, down to half of the frames, and answer no NACK for it.
    Half,
    /// The path carries much less: what is sent of it would only delay the other layer. Answer no NACK for it either.
    Nothing,
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
    pub reason: SwitchReason,
}
