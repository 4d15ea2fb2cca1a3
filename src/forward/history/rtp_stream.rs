//! One RTP stream of a publisher in a history: where its packets are, and which indices are refused.
//!
//! The positions are in a table in which an index has the slot `index % slots`, so a lookup is one comparison. Nothing
//! is done for a packet that is dropped or missing: its slot is free for a later one. A table grows when two kept
//! packets have the same slot. The publisher chooses its sequence numbers, so beyond [`SLOTS`] only the number of
//! packets decides how large a table is: less than four slots for each. Where that is not enough, because thousands of
//! packets are missing, the older of two packets with the same slot is no longer found, and one that comes late is
//! refused. The rule: an index is admitted at most once ever.

use crate::forward::source::{Generation, LayerId, Source, SourceIndex};

/// Slots of a table at first; a power of two.
const FEWEST_SLOTS: usize = 64;

/// Slots that a table may have however few packets are kept: indices that differ by less share no slot.
const SLOTS: usize = 1024;

/// A table with fewer slots for each packet kept may grow beyond that.
const SLOTS_PER_PACKET: usize = 2;

/// The packets of one layer in one generation.
#[derive(Clone, Debug)]
pub(super) struct RtpStream {
    pub(super) generation: Generation,
    layer: LayerId,
    /// Indices below this one are refused: they were here before, or are too late to be useful.
    floor: SourceIndex,
    /// How many packets the history keeps.
    kept: usize,
    /// A power of two of them.
    slots: Vec<Slot>,
}

/// Where a packet is.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// The index after the packet's; 0 in an empty slot. Up to the floor, the slot is free.
    after: SourceIndex,
    position: u64,
}

impl RtpStream {
    /// The RTP stream of this packet, of which nothing has arrived yet.
    pub(super) fn of(source: Source) -> Self {
        let Source { generation, layer, .. } = source;
        Self { generation, layer, floor: 0, kept: 0, slots: vec![Slot::default(); FEWEST_SLOTS] }
    }

    /// Whether the packet belongs to this RTP stream.
    #[inline]
    pub(super) fn has(&self, source: Source) -> bool {
        (source.generation, source.layer) == (self.generation, self.layer)
    }

    /// Notes the position of a packet; false if its index is refused.
    #[inline]
    pub(super) fn admit(&mut self, index: SourceIndex, position: u64) -> bool {
        let after = self.slot(index).after;
        if index < self.floor || after == index + 1 || (after > self.floor && !self.make_room(index)) {
            return false;
        }
        *self.slot(index) = Slot { after: index + 1, position };
        self.kept += 1;
        true
    }

    /// The position that an index was admitted with. Its packet may have been dropped since.
    pub(super) fn position_of(&self, index: SourceIndex) -> Option<u64> {
        let slot = self.slots[self.place_of(index)];
        (slot.after == index + 1).then_some(slot.position)
    }

    /// Notes that the history has dropped a packet.
    #[inline]
    pub(super) fn on_drop(&mut self, index: SourceIndex) {
        self.floor = self.floor.max(index + 1);
        self.kept -= 1;
        if self.kept == 0 && self.slots.len() > FEWEST_SLOTS {
            self.slots = vec![Slot::default(); FEWEST_SLOTS];
        }
    }

    #[inline]
    fn place_of(&self, index: SourceIndex) -> usize {
        index as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn slot(&mut self, index: SourceIndex) -> &mut Slot {
        let place = self.place_of(index);
        &mut self.slots[place]
    }

    /// Frees the slot of an index, which another packet has; false if that is the newer one.
    #[cold]
    fn make_room(&mut self, index: SourceIndex) -> bool {
        while self.slots.len() < SLOTS.max(SLOTS_PER_PACKET * self.kept) {
            let slots = self.slots.len() * 2;
            for slot in std::mem::replace(&mut self.slots, vec![Slot::default(); slots]) {
                if let Some(index) = slot.after.checked_sub(1) {
                    *self.slot(index) = slot;
                }
            }
            if self.slot(index).after <= self.floor {
                return true;
            }
        }
        let after = self.slot(index).after;
        let is_newer = after <= index;
        if is_newer {
            self.floor = after;
        }
        is_newer
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, VecDeque};

    use proptest::prelude::*;

    use super::*;
    use crate::forward::source::generation;

    fn rtp_stream() -> RtpStream {
        RtpStream::of(Source { generation: generation(1), layer: LayerId(0), index: 0 })
    }

    /// Admits packets, and drops the oldest of those beyond a limit; where each is that was admitted, and the largest
    /// table.
    fn run(
        rtp_stream: &mut RtpStream,
        indices: impl IntoIterator<Item = u64>,
        limit: usize,
    ) -> (HashMap<u64, u64>, usize) {
        let (mut kept, mut admitted, mut slots) = (VecDeque::new(), HashMap::new(), 0);
        for index in indices {
            let position = admitted.len() as u64;
            if rtp_stream.admit(index, position) {
                assert_eq!(admitted.insert(index, position), None, "{index} was admitted twice");
                kept.push_back(index);
            }
            if kept.len() > limit {
                rtp_stream.on_drop(kept.pop_front().expect("there are some"));
            }
            slots = slots.max(rtp_stream.slots.len());
        }
        (admitted, slots)
    }

    #[test]
    fn a_thousand_packets_are_found_although_every_third_is_missing() {
        let mut rtp_stream = rtp_stream();
        let indices = (70_000..).filter(|index| index % 3 != 0).take(1000);
        let (admitted, slots) = run(&mut rtp_stream, indices, 1000);
        assert_eq!((admitted.len(), slots), (1000, 2048));
        assert!(admitted.iter().all(|(index, position)| rtp_stream.position_of(*index) == Some(*position)));
        assert_eq!(rtp_stream.position_of(70_002), None, "it is missing");
    }

    #[test]
    fn sequence_numbers_that_jump_do_not_make_the_table_large() {
        for jump in [2, 64, 1000, 32_767, 1 << 15, 1 << 32] {
            let (admitted, slots) = run(&mut rtp_stream(), (0..10_000).map(|number| number * jump), 1000);
            assert_eq!(admitted.len(), 10_000, "none is refused that is newer");
            assert!(slots < 4 * 1001, "{jump}: {slots}");
        }
    }

    #[test]
    fn a_packet_that_comes_late_by_a_thousand_has_its_place_however_few_are_kept() {
        let mut rtp_stream = rtp_stream();
        let (admitted, slots) = run(&mut rtp_stream, [0, 1023, 1, 64, 500, 2047, 1024, 1023, 1025], 20);
        assert_eq!((admitted.len(), slots), (8, SLOTS), "1023 comes twice");
        assert!(
            [64, 500, 1024, 1025, 2047]
                .iter()
                .all(|index| rtp_stream.position_of(*index) == admitted.get(index).copied())
        );
    }

    #[test]
    fn the_table_is_given_back_when_no_packet_is_kept() {
        let mut rtp_stream = rtp_stream();
        run(&mut rtp_stream, 0..1000, 1000);
        for index in 0..1000 {
            rtp_stream.on_drop(index);
        }
        assert_eq!(rtp_stream.slots.len(), FEWEST_SLOTS);
        assert!((0..1000).all(|index| !rtp_stream.admit(index, 0)) && rtp_stream.admit(1000, 1000));
    }

    proptest! {
        /// Steps of all sizes, forwards and backwards.
        #[test]
        fn an_index_is_admitted_once_and_leads_to_its_position_or_nowhere(
            limit in 1usize..300,
            steps in prop::collection::vec(prop_oneof![20 => Just(1i64), 5 => -80i64..80, 1 => -5000i64..33_000], 1..1500),
        ) {
            let (mut rtp_stream, mut newest) = (rtp_stream(), 100_000u64);
            let indices = steps.iter().map(|step| {
                let index = newest.saturating_add_signed(*step);
                newest = newest.max(index);
                index
            });
            let (admitted, slots) = run(&mut rtp_stream, indices.collect::<Vec<_>>(), limit);
            prop_assert!(slots <= SLOTS.max(2 * SLOTS_PER_PACKET * (limit + 1)));
            for (index, position) in admitted {
                prop_assert!(rtp_stream.position_of(index).is_none_or(|found| found == position));
            }
        }
    }
}
