//! The layers that one viewer is sent, by the sizes that its packets name.

use std::time::Duration;

/// What a viewer was sent since counting began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The width of the latest packet.
    pub(crate) width: Option<u16>,
    /// How often the width changed.
    pub(crate) changes: u64,
    /// The longest time between the ends of two frames.
    pub(crate) gap: Duration,
    frame_ended: Option<Duration>,
}

impl Shown {
    /// Begins to count; the layer remains.
    pub(crate) fn begin_counting(&mut self) {
        *self = Self { width: self.width, ..Self::default() };
    }

    /// Takes a packet of a frame of this width that arrived `at` this time; `is_last` if it ends the frame.
    pub(crate) fn take(&mut self, width: u16, is_last: bool, at: Duration) {
        self.changes += u64::from(self.width.is_some_and(|before| before != width));
        self.width = Some(width);
        if is_last {
            self.gap = self.gap.max(self.frame_ended.map_or(Duration::ZERO, |before| at.saturating_sub(before)));
            self.frame_ended = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_and_the_longest_gap_are_those_since_counting_began() {
        let mut shown = Shown::default();
        let take = |shown: &mut Shown, width, at| shown.take(width, true, Duration::from_millis(at));
        take(&mut shown, 640, 0);
        take(&mut shown, 320, 500);
        shown.begin_counting();
        take(&mut shown, 320, 2000);
        shown.take(160, false, Duration::from_millis(2090));
        take(&mut shown, 160, 2100);
        assert_eq!((shown.width, shown.changes, shown.gap), (Some(160), 1, Duration::from_millis(100)));
    }
}
