//! Which frames of a video a viewer is sent when its network does not carry all of them: lower temporal layers, frames
//! that others refer to, or none.
//!
//! A limit becomes stricter at the next frame, and looser only where the decoder has all frames that the additional
//! ones refer to: at a keyframe, or where the frames say so ([`FrameLayer`]). The rule: a frame is sent whole or not at
//! all.

use crate::forward::codec::FrameLayer;
use crate::forward::packet::Packet;

/// The frames that a viewer is sent at most. A smaller value is a stricter limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FrameLimit {
    /// No frame. What follows begins at a keyframe.
    Nothing,
    /// Frames of the lowest temporal layer that others refer to.
    Reference,
    /// Frames up to this temporal id.
    Temporal(u8),
}

impl FrameLimit {
    /// All frames.
    pub(crate) const ALL: Self = Self::Temporal(FrameLayer::HIGHEST);

    fn admits(self, packet: &Packet) -> bool {
        let layer = packet.frame;
        match self {
            Self::Temporal(highest) => layer.temporal() <= highest,
            Self::Reference => layer.temporal() == 0 && !layer.is_discardable(),
            Self::Nothing => false,
        }
    }
}

/// A limit in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thinning {
    /// What is to be sent, as soon as the decoder can take it.
    target: FrameLimit,
    now: FrameLimit,
    /// RTP timestamp of the newest frame that is left out, in the publisher's RTP stream.
    left_out: Option<u32>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Send,
    /// It is left out; `begins` is true for the first packet of its frame.
    LeaveOut {
        begins: bool,
    },
}

impl Thinning {
    /// From sending all frames.
    pub(super) fn new(target: FrameLimit) -> Self {
        Self { target, now: target, left_out: None }
    }

    #[cfg(test)]
    pub(super) fn now(&self) -> FrameLimit {
        self.now
    }

    pub(super) fn set(&mut self, target: FrameLimit) {
        self.target = target;
        self.now = self.now.min(target);
        // Frames that nothing refers to can follow at once.
        if self.now == FrameLimit::Reference && target > self.now {
            self.now = FrameLimit::Temporal(0);
        }
    }

    /// True while frames may be sent again, but nothing is to begin with.
    pub(super) fn lacks_keyframe(&self) -> bool {
        self.now == FrameLimit::Nothing && self.target > self.now
    }

    /// True when all frames are sent again.
    pub(super) fn is_over(&self) -> bool {
        self.now == FrameLimit::ALL
    }

    /// A decoder begins with this frame, and can take all that follow.
    pub(super) fn on_keyframe(&mut self) {
        self.now = self.target;
        self.left_out = None;
    }

    /// Decides on the next packet; `is_begun` where a packet of its frame has been sent.
    pub(super) fn decide(&mut self, packet: &Packet, is_begun: bool) -> Verdict {
        if packet.keyframe && self.target > FrameLimit::Nothing {
            self.on_keyframe();
        } else if self.left_out == Some(packet.timestamp) {
            return Verdict::LeaveOut { begins: false };
        }
        let begins_again = packet.keyframe && self.now > FrameLimit::Nothing;
        if is_begun || begins_again || self.admits_next(packet) {
            return Verdict::Send;
        }
        self.left_out = Some(packet.timestamp);
        Verdict::LeaveOut { begins: true }
    }

    /// Whether the first packet of a frame is sent; loosens the limit where the frame allows it.
    fn admits_next(&mut self, packet: &Packet) -> bool {
        let layer = packet.frame;
        if let FrameLimit::Temporal(highest) = self.now
            && self.now < self.target
        {
            let next = FrameLimit::Temporal(highest + 1);
            if layer.temporal() <= highest && layer.is_opening() {
                self.now = self.target;
            } else if layer.temporal() == highest + 1 && layer.is_sync() {
                self.now = next.min(self.target);
            }
        }
        self.now.admits(packet)
    }
}
