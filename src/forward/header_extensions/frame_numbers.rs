//! The frame numbers of dependency descriptors (AV1 RTP specification, appendix A) on one viewer's line.
//!
//! Receivers tell by them which frame refers to which, and drop what steps back, so they go on at a splice as sequence
//! numbers do. All else in a descriptor counts from the frame's own number, or from the structure that came with the key
//! picture, and stays as it is.
//!
//! The rule: what is added is settled when a segment of the line begins, and is for ever a function of the number of the
//! line alone. A segment whose first packet has no descriptor has none on any: receivers could not tell where it goes on.

use std::collections::VecDeque;

use crate::forward::splice::PAST_SEGMENTS;

/// Frame numbers of a line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames {
    /// The highest number of the line that went out with a frame number, and that.
    newest: Option<(u64, u16)>,
    /// The newest is last. As many as the line has itself: what it can find here has its place.
    segments: VecDeque<Segment>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    first_index: u64,
    /// What is added to frame numbers, modulo 2^16; `None` for no descriptor on any packet.
    shift: Option<u16>,
}

impl Frames {
    /// A segment begins at this number of the line, with a packet of this frame.
    pub(crate) fn begin(&mut self, first_index: u64, frame: Option<u16>) {
        let next = |frame: u16| self.newest.map_or(0, |(_, newest)| newest.wrapping_add(1).wrapping_sub(frame));
        let shift = frame.map(next);
        // Nothing came of the one before.
        if self.segments.back().is_some_and(|last| last.first_index == first_index) {
            self.segments.pop_back();
        }
        if self.segments.len() > PAST_SEGMENTS {
            self.segments.pop_front();
        }
        self.segments.push_back(Segment { first_index, shift });
    }

    /// What is added to this frame number, which goes out with this number of the line; `None` where the descriptor is to
    /// be left out.
    pub(crate) fn shift(&mut self, index: u64, frame: u16) -> Option<u16> {
        let shift = self.segments.iter().rev().find(|segment| segment.first_index <= index)?.shift?;
        if self.newest.is_none_or(|(before, _)| before <= index) {
            self.newest = Some((index, frame.wrapping_add(shift)));
        }
        Some(shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(frames: &mut Frames, index: u64, frame: u16) -> Option<u16> {
        frames.shift(index, frame).map(|shift| frame.wrapping_add(shift))
    }

    #[test]
    fn the_first_segment_keeps_its_numbers_and_the_next_goes_on_from_them() {
        let mut frames = Frames::default();
        frames.begin(100, Some(65_534));
        assert_eq!(number(&mut frames, 100, 65_534), Some(65_534));
        assert_eq!(number(&mut frames, 102, 0), Some(0), "past its end");
        assert_eq!(number(&mut frames, 101, 65_535), Some(65_535), "late");
        frames.begin(103, Some(7));
        assert_eq!((number(&mut frames, 103, 7), number(&mut frames, 104, 8)), (Some(1), Some(2)));
        assert_eq!(number(&mut frames, 101, 65_535), Some(65_535), "repeated as it was");
    }

    #[test]
    fn a_segment_that_begins_without_has_none_and_the_one_behind_goes_on_from_the_one_before() {
        let mut frames = Frames::default();
        frames.begin(100, Some(7));
        assert_eq!(number(&mut frames, 100, 7), Some(7));
        frames.begin(101, None);
        assert_eq!(number(&mut frames, 101, 500), None);
        frames.begin(102, Some(9000));
        assert_eq!(number(&mut frames, 102, 9000), Some(8));
    }

    #[test]
    fn a_segment_of_which_nothing_was_sent_leaves_no_trace() {
        let mut frames = Frames::default();
        frames.begin(100, Some(7));
        frames.begin(100, Some(50));
        assert_eq!(number(&mut frames, 100, 50), Some(50));
        assert_eq!(frames.segments.len(), 1);
    }

    #[test]
    fn as_many_segments_are_remembered_as_the_line_has() {
        let mut frames = Frames::default();
        for index in 0..1000 {
            frames.begin(index, Some(7));
        }
        assert_eq!(frames.segments.len(), PAST_SEGMENTS + 1);
        assert!(frames.shift(1000 - PAST_SEGMENTS as u64 - 1, 7).is_some());
        assert!(frames.shift(1000 - PAST_SEGMENTS as u64 - 2, 7).is_none());
    }
}
