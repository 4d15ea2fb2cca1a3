//! The frame numbers of dependency descriptors (AV1 RTP specification, appendix A) in one viewer's RTP stream.
//!
//! Receivers see from them which frame refers to which, and drop frames whose number goes back, so they continue at a
//! splice as sequence numbers do. Everything else in a descriptor is relative to the frame's own number, or to the
//! structure that came with the keyframe, and is not changed.
//!
//! The rule: the shift is settled when a segment of the RTP stream begins, and is from then on a function of the packet
//! index alone. If the first packet of a segment has no descriptor, no packet of the segment gets one: receivers could
//! not tell where the numbers continue.

use std::collections::VecDeque;

use crate::forward::splice::PAST_SEGMENTS;

/// The frame numbers of an RTP stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrameNumbers {
    /// The highest packet index that was sent with a frame number, and that number.
    newest: Option<(u64, u16)>,
    /// The newest is last. As many as the splice remembers, so that every packet that has a place there is found here.
    segments: VecDeque<Segment>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    first_index: u64,
    /// Added to frame numbers, modulo 2^16; `None` to leave out the descriptor of every packet.
    shift: Option<u16>,
}

impl FrameNumbers {
    /// Begins a segment at this packet index, with a packet of this frame.
    pub(crate) fn begin(&mut self, first_index: u64, frame: Option<u16>) {
        let next = |frame: u16| self.newest.map_or(0, |(_, newest)| newest.wrapping_add(1).wrapping_sub(frame));
        let shift = frame.map(next);
        // No packet was sent in the previous segment.
        if self.segments.back().is_some_and(|last| last.first_index == first_index) {
            self.segments.pop_back();
        }
        if self.segments.len() > PAST_SEGMENTS {
            self.segments.pop_front();
        }
        self.segments.push_back(Segment { first_index, shift });
    }

    /// The shift for this frame number at this packet index; `None` where the descriptor is left out.
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

    fn number(frames: &mut FrameNumbers, index: u64, frame: u16) -> Option<u16> {
        frames.shift(index, frame).map(|shift| frame.wrapping_add(shift))
    }

    #[test]
    fn the_first_segment_keeps_its_numbers_and_the_next_goes_on_from_them() {
        let mut frames = FrameNumbers::default();
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
        let mut frames = FrameNumbers::default();
        frames.begin(100, Some(7));
        assert_eq!(number(&mut frames, 100, 7), Some(7));
        frames.begin(101, None);
        assert_eq!(number(&mut frames, 101, 500), None);
        frames.begin(102, Some(9000));
        assert_eq!(number(&mut frames, 102, 9000), Some(8));
    }

    #[test]
    fn a_segment_of_which_nothing_was_sent_leaves_no_trace() {
        let mut frames = FrameNumbers::default();
        frames.begin(100, Some(7));
        frames.begin(100, Some(50));
        assert_eq!(number(&mut frames, 100, 50), Some(50));
        assert_eq!(frames.segments.len(), 1);
    }

    #[test]
    fn as_many_segments_are_remembered_as_the_splice_has() {
        let mut frames = FrameNumbers::default();
        for index in 0..1000 {
            frames.begin(index, Some(7));
        }
        assert_eq!(frames.segments.len(), PAST_SEGMENTS + 1);
        assert!(frames.shift(1000 - PAST_SEGMENTS as u64 - 1, 7).is_some());
        assert!(frames.shift(1000 - PAST_SEGMENTS as u64 - 2, 7).is_none());
    }
}
