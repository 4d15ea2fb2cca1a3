//! The streams that this node pulls from others, as it writes them into the directory.
//!
//! The list is cut into parts, one value each: a change among 10,000 streams writes one value of less than 48 KiB, and no value
//! comes near the 1 MiB that a NATS server takes. A stream stays in its part while it is pulled.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::Map;

use super::node_id::NodeId;
use super::value::{CarriedValue, CarriesValue, VERSION};
use crate::name::StreamName;

/// Streams in one part, at most.
const PART: usize = 256;

/// Parts of a list, at most. Streams beyond them are not listed: other nodes pull them from their origin.
const PARTS: usize = 64;

/// A stream that this node pulls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The stream.
    pub stream: StreamName,
    /// The epoch of the claim whose publication it receives.
    pub epoch: u64,
    /// Legs between this node and the origin: 1 for a node that pulls from the origin.
    pub hops: u8,
    /// The node that it pulls from.
    pub parent: NodeId,
}

/// The list of the streams that this node pulls, and the parts of it that are not written.
#[derive(Debug, Default)]
pub(super) struct Parts {
    parts: Vec<BTreeMap<StreamName, Carried>>,
    due: BTreeSet<u16>,
}

impl Parts {
    /// Takes a new list, and returns how many of its streams have no place.
    pub(super) fn set(&mut self, carried: Vec<Carried>) -> usize {
        let mut new: BTreeMap<_, _> = carried.into_iter().map(|carried| (carried.stream.clone(), carried)).collect();
        for (number, part) in (0..).zip(&mut self.parts) {
            let mut is_changed = false;
            part.retain(|stream, old| {
                let kept = new.remove(stream);
                is_changed |= kept.as_ref() != Some(old);
                kept.map(|kept| *old = kept).is_some()
            });
            self.due.extend(is_changed.then_some(number));
        }
        let mut left = new.into_iter();
        for number in 0..PARTS {
            if left.len() == 0 {
                break;
            }
            if number == self.parts.len() {
                self.parts.push(BTreeMap::new());
            }
            let room = PART - self.parts[number].len();
            if room > 0 {
                self.parts[number].extend(left.by_ref().take(room));
                self.due.extend(u16::try_from(number));
            }
        }
        left.len()
    }

    /// Notes that each part may have to be written again.
    pub(super) fn note_all_due(&mut self) {
        self.due.extend((0..).take(self.parts.len()));
    }

    /// Notes that a part may have to be written again.
    pub(super) fn note_due(&mut self, part: u16) {
        self.due.insert(part);
    }

    /// The parts that may have to be written. They count as written from now on.
    pub(super) fn take_due(&mut self) -> BTreeSet<u16> {
        std::mem::take(&mut self.due)
    }

    /// A part as it is written by a node of this start and URL; `None` if it has no streams.
    pub(super) fn value(&self, part: u16, inc: u64, url: Option<String>) -> Option<Bytes> {
        let carries: Vec<_> = self.streams(part).map(CarriedValue::from).collect();
        let value = CarriesValue { v: VERSION, inc, url, carries, other: Map::new() };
        (!value.carries.is_empty()).then(|| value.write())
    }

    /// The legs between this node and the origin of each stream.
    pub(super) fn hops(&self) -> impl Iterator<Item = u8> {
        self.parts.iter().flat_map(BTreeMap::values).map(|carried| carried.hops)
    }

    fn streams(&self, part: u16) -> impl Iterator<Item = &Carried> {
        self.parts.get(usize::from(part)).into_iter().flat_map(BTreeMap::values)
    }
}

impl From<&Carried> for CarriedValue {
    fn from(carried: &Carried) -> Self {
        let Carried { stream, epoch, hops, parent } = carried.clone();
        Self { stream, epoch, hops, parent, other: Map::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(numbers: impl Iterator<Item = usize>) -> Vec<Carried> {
        let of = |number| Carried {
            stream: format!("{number:0>64}").parse().unwrap(),
            epoch: u64::MAX,
            hops: 3,
            parent: "p".repeat(64).parse().unwrap(),
        };
        numbers.map(of).collect()
    }

    fn due(parts: &mut Parts) -> Vec<u16> {
        parts.take_due().into_iter().collect()
    }

    #[test]
    fn only_parts_that_change_are_due() {
        let mut parts = Parts::default();
        assert_eq!(parts.set(carried(0..3 * PART)), 0);
        assert_eq!(due(&mut parts), [0, 1, 2]);
        parts.set(carried(0..3 * PART));
        assert!(parts.due.is_empty());
        let mut changed = carried((0..3 * PART).filter(|number| *number != PART + 1));
        changed[0].hops = 1;
        parts.set(changed.clone());
        assert_eq!(due(&mut parts), [0, 1]);
        changed.extend(carried(3 * PART..3 * PART + 1));
        parts.set(changed);
        assert_eq!(due(&mut parts), [1], "the free place is taken first");
        parts.set(Vec::new());
        assert_eq!(due(&mut parts), [0, 1, 2]);
        assert_eq!(parts.streams(0).count(), 0);
    }

    #[test]
    fn ten_thousand_streams_fit_and_what_does_not_fit_is_counted() {
        let mut parts = Parts::default();
        assert_eq!(parts.set(carried(0..10_000)), 0);
        assert_eq!((0..64).map(|part| parts.streams(part).count()).sum::<usize>(), 10_000);
        assert_eq!(parts.set(carried(0..PART * PARTS + 5)), 5);
    }

    #[test]
    fn the_largest_part_is_read() {
        let carries: Vec<_> = carried(0..PART).iter().map(CarriedValue::from).collect();
        let value = CarriesValue { v: 1, inc: u64::MAX, url: Some("u".repeat(1024)), carries, other: Map::new() };
        assert_eq!(CarriesValue::read(&value.write()), Some(value));
    }
}
