//! The splice by example, and as a property: compared with a model that remembers everything, under any order of
//! events.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::forward::source::generation;

const LABELS: Labels = Labels { source: 96, payload_type: 100, rtx_payload_type: None, begun: 0 };

fn source(publisher: u64, index: u64) -> Source {
    Source { generation: generation(publisher), layer: LayerId(0), index }
}

fn publisher_of(of: Generation) -> u64 {
    (0..).find(|publisher| generation(*publisher) == of).expect("it is one of the first")
}

fn start(publisher: u64, index: u64, timestamp: u32, gap: u32) -> Start {
    Start { source: source(publisher, index), timestamp, gap, labels: LABELS, shift: Default::default(), speed: None }
}

fn leave_out(splice: &mut Splice, publisher: u64, index: u64) -> bool {
    splice.leave_out(source(publisher, index), Default::default())
}

fn send(splice: &mut Splice, publisher: u64, index: u64) -> Option<u64> {
    let place = splice.place_of(source(publisher, index), 0)?;
    splice.advance(place);
    Some(place.index)
}

#[test]
fn numbers_and_timestamps_go_on_across_a_splice() {
    let mut splice = Splice::new(1000, 50);
    assert_eq!(splice.splice(start(1, 7, 9_000, 0)).timestamp, 51);
    let place = splice.place_of(source(1, 8), 12_000).unwrap();
    assert_eq!((place.index, place.timestamp), (1001, 3_051));
    assert!(splice.advance(place));
    let place = splice.splice(start(2, 60_000, 77, 600));
    assert_eq!((place.index, place.timestamp), (1002, 3_651));
    assert_eq!(splice.map_timestamp(80), Some(3_654));
}

#[test]
fn compressed_timestamps_stay_in_order_and_lead_back_and_live_continues_with_the_next_number() {
    let mut splice = Splice::new(0, 0);
    let speed = NonZeroU32::new(10);
    assert_eq!(splice.splice(Start { speed, ..start(1, 10, u32::MAX - 2_999, 50) }).timestamp, 50);
    let places = [11, 12].map(|index| splice.place_of(source(1, index), (index as u32 - 11) * 3_000).unwrap());
    assert_eq!(places.map(|place| (place.index, place.timestamp)), [(1, 350), (2, 650)]);
    assert!(places.into_iter().all(|place| splice.is_ahead(place) && splice.advance(place)));
    assert_eq!(splice.map_timestamp(3_000), None);
    let place = splice.place_of(source(1, 14), 9_000).unwrap();
    splice.recompress(source(1, 14), place, 9_000, 100, None);
    let [late, live] = [(13, 6_000), (14, 9_000)].map(|(index, at)| splice.place_of(source(1, index), at).unwrap());
    assert_eq!([late, live].map(|place| (place.index, place.timestamp)), [(3, 950), (4, 750)]);
    assert_eq!(splice.map_timestamp(12_000), Some(3_750));
    assert_eq!(splice.origin_of(2).unwrap().place(3_000).timestamp, 650);
}

#[test]
fn a_late_packet_finds_its_place_in_its_own_segment() {
    let mut splice = Splice::new(0, 0);
    splice.splice(start(1, 10, 0, 0));
    assert_eq!(send(&mut splice, 1, 12), Some(2));
    splice.splice(start(2, 10, 0, 0));
    assert_eq!(send(&mut splice, 1, 11), Some(1));
    assert_eq!(send(&mut splice, 1, 13), None);
    assert_eq!(send(&mut splice, 2, 9), None);
    assert_eq!(send(&mut splice, 2, 11), Some(4));
}

#[test]
fn padding_leaves_no_hole_and_late_padding_is_not_left_out() {
    let mut splice = Splice::new(0, 0);
    splice.splice(start(1, 10, 0, 0));
    assert!(leave_out(&mut splice, 1, 11) && leave_out(&mut splice, 1, 12));
    assert_eq!(send(&mut splice, 1, 13), Some(1));
    assert!(!leave_out(&mut splice, 1, 11) && !leave_out(&mut splice, 1, 13));
    assert!(leave_out(&mut splice, 1, 16));
    assert_eq!(send(&mut splice, 1, 17), Some(4));
    assert_eq!([14, 15, 16].map(|index| send(&mut splice, 1, index)), [Some(2), Some(3), None]);
}

#[test]
fn a_burst_of_padding_takes_one_piece() {
    let mut splice = Splice::new(0, 0);
    splice.splice(start(1, 10, 0, 0));
    assert!((11..1000).all(|index| leave_out(&mut splice, 1, index)));
    assert_eq!((send(&mut splice, 1, 1000), splice.past_pieces.len()), (Some(1), 1));
}

#[test]
fn a_splice_takes_back_numbers_held_open_for_packets_that_never_came() {
    let mut splice = Splice::new(0, 0);
    splice.splice(start(1, 10, 0, 0));
    assert!(leave_out(&mut splice, 1, 13) && leave_out(&mut splice, 1, 15));
    assert_eq!(splice.splice(start(2, 0, 0, 0)).index, 1);
    assert_eq!([11, 12, 14].map(|index| send(&mut splice, 1, index)), [None; 3]);
    assert_eq!(splice.origin_of(1).unwrap().source, source(2, 0));
}

#[test]
fn one_publisher_resumed_from_an_earlier_packet_has_two_places_and_each_leads_back() {
    let mut splice = Splice::new(0, 0);
    splice.splice(start(1, 10, 0, 0));
    assert_eq!(send(&mut splice, 1, 19), Some(9));
    splice.splice(start(1, 15, 0, 0));
    assert_eq!([15, 14].map(|index| send(&mut splice, 1, index)), [Some(10), Some(4)]);
    assert_eq!([5, 10].map(|sequence| splice.origin_of(sequence).unwrap().source), [source(1, 15); 2]);
}

#[test]
fn a_sequence_number_leads_back_over_the_wrap_and_no_further_than_half_the_circle() {
    let mut splice = Splice::new(0x7fff, 0);
    splice.splice(start(1, 0, 0, 0));
    assert_eq!(send(&mut splice, 1, 0x8003), Some(0x1_0002));
    assert_eq!(splice.origin_of(2).unwrap().index, 0x1_0002);
    assert_eq!(splice.origin_of(0xffff).unwrap().source, source(1, 0x8000));
    assert!(splice.origin_of(3).is_none() && splice.origin_of(0x7fff).is_none());
    assert!(Splice::new(0, 0).origin_of(0).is_none());
}

#[test]
fn a_forgotten_segment_has_no_place_and_no_way_back() {
    let mut splice = Splice::new(0, 0);
    for publisher in 0..=PAST_SEGMENTS as u64 + 1 {
        splice.splice(start(publisher, 5, 0, 0));
        assert!(send(&mut splice, publisher, 7).is_some());
    }
    assert!(splice.origin_of(0).is_none() && splice.origin_of(3).is_some());
    assert_eq!((send(&mut splice, 0, 6), send(&mut splice, 1, 6)), (None, Some(4)));
}

#[test]
fn packets_left_out_one_by_one_use_up_no_segment() {
    let mut splice = Splice::new(0, 0);
    for publisher in 1..=PAST_SEGMENTS as u64 {
        splice.splice(start(publisher, 10, 0, 0));
        assert!(send(&mut splice, publisher, 12).is_some());
    }
    let last = PAST_SEGMENTS as u64;
    let mut index = 13;
    for _ in 0..PAST_PIECES - PAST_SEGMENTS {
        assert!(leave_out(&mut splice, last, index) && send(&mut splice, last, index + 1).is_some());
        index += 2;
    }
    assert_eq!((splice.past_segments.len(), splice.past_pieces.len()), (PAST_SEGMENTS - 1, PAST_PIECES - 1));
    assert_eq!(send(&mut splice, 1, 11), Some(1), "the oldest segment");
    for _ in 0..10 {
        assert!(leave_out(&mut splice, last, index) && send(&mut splice, last, index + 1).is_some());
        index += 2;
    }
    assert_eq!((send(&mut splice, 1, 11), send(&mut splice, 20, 11)), (None, Some(58)), "its piece is forgotten");
}

#[test]
fn a_packet_left_out_shifts_the_picture_ids_of_later_packets_alone() {
    let mut splice = Splice::new(0, 0);
    splice.splice(start(1, 10, 0, 0));
    let shift = |splice: &Splice, index| splice.place_of(source(1, index), 0).map(|place| place.shift.picture_id);
    let minus_one = PictureIds { picture_id: u16::MAX, tl0_pic_idx: 0 };
    assert_eq!(send(&mut splice, 1, 12), Some(2));
    assert!(splice.leave_out(source(1, 13), minus_one) && splice.leave_out(source(1, 14), Default::default()));
    assert_eq!([11, 12, 15].map(|index| shift(&splice, index)), [Some(0), Some(0), Some(u16::MAX)]);
    assert_eq!(send(&mut splice, 1, 15), Some(3));
    assert!(splice.leave_out(source(1, 16), minus_one));
    assert_eq!([11, 15, 17].map(|index| shift(&splice, index)), [Some(0), Some(u16::MAX), Some(u16::MAX - 1)]);
    let resent = [2, 3].map(|sequence| splice.origin_of(sequence).unwrap().place(0).shift.picture_id);
    assert_eq!(resent, [0, u16::MAX]);
}

/// What happens to a publisher's next packet.
#[derive(Clone, Debug)]
enum Event {
    /// A packet this far before or after the newest of its publisher.
    Media(i64),
    /// The same with padding only, or of a frame that the viewer does not get: this is added to later PictureIDs.
    LeftOut(i64, u16),
    /// Another publisher or layer, or the same one resumed, begins with an index this far from its newest.
    Splice { generation: Generation, layer: u8, distance: i64, gap: u32, speed: Option<NonZeroU32> },
    /// The next packet's timestamp is live again.
    Unsqueeze(u32),
}

fn event() -> impl Strategy<Value = Event> {
    let distance = || prop_oneof![6 => Just(1i64), 2 => -6i64..6, 1 => 1i64..900];
    let speed = (0u32..20).prop_map(NonZeroU32::new);
    let splice = (0u64..3, 0u8..2, distance(), 0u32..100_000, speed);
    prop_oneof![
        8 => distance().prop_map(Event::Media),
        3 => (distance(), prop_oneof![Just(0), Just(u16::MAX)]).prop_map(|(distance, shift)| Event::LeftOut(distance, shift)),
        1 => splice.prop_map(|(publisher, layer, distance, gap, speed)| {
            Event::Splice { generation: generation(publisher), layer, distance, gap, speed }
        }),
        1 => (0u32..100_000).prop_map(Event::Unsqueeze),
    ]
}

/// Every place that a splice ever gave away, and where its publishers are.
struct Model {
    splice: Splice,
    source_by_index: BTreeMap<u64, Source>,
    place_by_index: BTreeMap<u64, Place>,
    newest: BTreeMap<(Generation, LayerId), u64>,
}

impl Model {
    /// RTP streams that begin near the wrap of the sequence number, of the timestamp and of the publishers' numbers.
    fn new(first: u64, timestamp: u32) -> Self {
        Self {
            splice: Splice::new(first, timestamp),
            source_by_index: BTreeMap::new(),
            place_by_index: BTreeMap::new(),
            newest: BTreeMap::new(),
        }
    }

    fn next_of(&mut self, generation: Generation, layer: LayerId, distance: i64) -> Source {
        let newest = self.newest.entry((generation, layer)).or_insert(65_530 + 65_536 * publisher_of(generation));
        let index = newest.saturating_add_signed(distance);
        *newest = index.max(*newest);
        Source { generation, layer, index }
    }

    /// Three ticks per packet, and a wrap soon after the start.
    fn timestamp(source: Source) -> u32 {
        (source.index as u32)
            .wrapping_mul(3)
            .wrapping_sub(200_000)
            .wrapping_add((publisher_of(source.generation) as u32) << 30)
    }

    fn give(&mut self, place: Place, source: Source) -> Result<(), TestCaseError> {
        let before = *self.source_by_index.entry(place.index).or_insert(source);
        prop_assert_eq!(before, source, "number {} for two source packets", place.index);
        let before = *self.place_by_index.entry(place.index).or_insert(place);
        prop_assert_eq!(before, place, "number {} with two contents", place.index);
        Ok(())
    }

    fn highest(&self) -> Option<u64> {
        self.source_by_index.keys().next_back().copied()
    }

    fn apply(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match *event {
            Event::Splice { generation, layer, distance, gap, speed } => {
                let source = self.next_of(generation, LayerId(layer), distance);
                let (highest, newest) = (self.highest(), self.splice.newest_timestamp());
                let timestamp = Self::timestamp(source);
                let place = self.splice.splice(Start {
                    source,
                    timestamp,
                    gap,
                    labels: LABELS,
                    shift: Default::default(),
                    speed,
                });
                prop_assert!(highest.is_none_or(|highest| place.index == highest + 1));
                prop_assert_eq!(place.timestamp.wrapping_sub(newest), gap.max(1));
                let live = speed.is_none().then_some(place.timestamp);
                prop_assert_eq!(self.splice.map_timestamp(timestamp), live);
                self.give(place, source)
            }
            Event::Unsqueeze(gap) => {
                let Some((generation, layer)) = self.splice.current_source() else { return Ok(()) };
                let source = self.next_of(generation, layer, 1);
                let timestamp = Self::timestamp(source);
                let Some(place) = self.splice.place_of(source, timestamp) else { return Ok(()) };
                if !self.splice.is_ahead(place) {
                    return Ok(());
                }
                self.splice.recompress(source, place, timestamp, gap, None);
                let place = self.splice.place_of(source, timestamp).expect("it begins the segment");
                prop_assert_eq!(self.splice.map_timestamp(timestamp), Some(place.timestamp));
                self.splice.advance(place);
                self.give(place, source)
            }
            Event::Media(distance) | Event::LeftOut(distance, _) => {
                let Some((generation, layer)) = self.splice.current_source() else { return Ok(()) };
                let source = self.next_of(generation, layer, distance);
                if let Event::LeftOut(_, picture_id) = *event
                    && self.splice.leave_out(source, PictureIds { picture_id, tl0_pic_idx: 0 })
                {
                    prop_assert_eq!(self.splice.place_of(source, 0), None);
                    return Ok(());
                }
                let Some(place) = self.splice.place_of(source, Self::timestamp(source)) else { return Ok(()) };
                self.splice.advance(place);
                self.give(place, source)
            }
        }
    }

    /// Every number given away lately leads back to its packet, and to the place that it had.
    fn check_origins(&self) -> Result<(), TestCaseError> {
        let Some(highest) = self.highest() else { return Ok(()) };
        let pieces = self.splice.past_pieces.iter().chain(self.splice.current.as_ref().map(|current| &current.piece));
        let oldest = pieces.map(|piece| piece.first_index).next().unwrap_or_default();
        for (&index, &source) in self.source_by_index.range(oldest.max(highest.saturating_sub(0x7fff))..) {
            let origin = self.splice.origin_of(index as u16);
            prop_assert_eq!(origin.map(|origin| (origin.index, origin.source)), Some((index, source)));
            let place = origin.map(|origin| origin.place(Self::timestamp(source)));
            prop_assert_eq!(place.as_ref(), self.place_by_index.get(&index));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_number_stands_for_one_packet_and_leads_back_to_it(
        first in prop_oneof![0u64..10, 0x7f00u64..0x8000, 0x1_ff00u64..0x2_0000],
        timestamp in prop_oneof![any::<u32>(), 0xffff_ff00u32..=0xffff_ffff],
        events in prop::collection::vec(event(), 1..400),
    ) {
        let mut model = Model::new(first, timestamp);
        model.apply(&Event::Splice { generation: generation(0), layer: 0, distance: 1, gap: 0, speed: None })?;
        for event in &events {
            model.apply(event)?;
        }
        model.check_origins()?;
    }

    #[test]
    fn a_lossless_publisher_gives_an_rtp_stream_without_holes_in_any_order_of_arrival(
        first in prop_oneof![0u64..10, 0xff80u64..0x1_0000],
        packets in prop::collection::vec((any::<bool>(), 0u64..8), 1..60),
    ) {
        let mut arrivals: Vec<(u64, u64)> = (1..).zip(&packets).map(|(index, (_, delay))| (index + delay, index)).collect();
        arrivals.sort_unstable();
        let mut splice = Splice::new(first, 0);
        let mut given = BTreeSet::from([splice.splice(start(1, 0, 0, 0)).index]);
        for (_, index) in arrivals {
            let (padding, _) = packets[index as usize - 1];
            if !(padding && leave_out(&mut splice, 1, index)) {
                let number = send(&mut splice, 1, index);
                prop_assert!(number.is_some_and(|number| given.insert(number)), "{} at {:?}", index, number);
            }
        }
        prop_assert_eq!(given.len() as u64, splice.next_index - first);
    }

    #[test]
    fn timestamps_of_a_segment_keep_their_distances(
        begin: u32, first: u32, gap in 0u32..1_000_000, distances in prop::collection::vec(-90_000i32..90_000, 1..50),
    ) {
        let mut splice = Splice::new(0, begin);
        let at_first = splice.splice(start(1, 0, first, gap)).timestamp;
        for (index, distance) in (1..).zip(distances) {
            let place = splice.place_of(source(1, index), first.wrapping_add_signed(distance)).unwrap();
            let newest = splice.newest_timestamp();
            prop_assert_eq!(place.timestamp, at_first.wrapping_add_signed(distance));
            prop_assert_eq!(splice.advance(place), place.timestamp.wrapping_sub(newest) as i32 > 0);
        }
    }
}
