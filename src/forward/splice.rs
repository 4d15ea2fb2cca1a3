//! The viewer's line: one continuous RTP line made of pieces of publishers' lines.
//!
//! Live, pictures from before it, another publisher, another layer, a resumption after a pause, a number left out for
//! padding: each begins a new [`Segment`] with offsets of its own, and the numbers go on where the segment before ended. The line is a function in
//! both directions, for as long as its segments are remembered: a source packet has its place, and a number that was
//! sent leads back to its source packet, for NACKs.
//!
//! The rule it keeps (and on which AES-GCM depends, because a number sealed over two contents gives the key away): a
//! number never stands for two source packets.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use super::codec::PictureNumbers;
use super::source::{Epoch, LayerId, Source};

/// Segments remembered behind the current one. When full the oldest is forgotten: packets and NACKs for it, by then
/// dozens of splices or paddings late, find no place.
pub(super) const PAST_SEGMENTS: usize = 64;

/// How a segment's packets are labelled: which publisher's payload type it carries, and as what it goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Labels {
    /// The publisher's payload type. Packets of another one are not part of the medium.
    pub source: u8,
    /// The viewer's payload type for it.
    pub payload_type: u8,
    /// The viewer's payload type for resends (RFC 4588 8.1).
    pub rtx_payload_type: Option<u8>,
    /// The last 32 bits of the index of the source packet with which the viewer began, through all numbers left out since.
    pub begun: u32,
}

/// Where a new segment begins.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Its first source packet, which gets the next number of the line.
    pub source: Source,
    /// The RTP timestamp of that packet in its publisher's line.
    pub timestamp: u32,
    /// RTP clock ticks between the newest timestamp sent and this packet's; at least 1 is taken.
    pub gap: u32,
    /// How its packets are labelled.
    pub labels: Labels,
    /// What is added to the running numbers in its packets' payloads.
    pub shift: PictureNumbers,
    /// How many times as fast as the publisher's clock the viewer's runs over the segment's pictures, which happened before: the
    /// timestamps are squeezed together. `None` for live.
    pub speed: Option<NonZeroU32>,
}

/// A packet's place in the viewer's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number: rollover count and sequence number in 48 bits (RFC 3711 3.3.1).
    pub index: u64,
    /// The RTP timestamp in the viewer's line.
    pub timestamp: u32,
    /// How its segment is labelled.
    pub labels: Labels,
    /// What is added to the running numbers in its payload.
    pub shift: PictureNumbers,
}

/// What a number of the line stands for.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The source packet.
    pub source: Source,
    /// The whole number.
    pub index: u64,
    segment: Segment,
}

impl Origin {
    /// The place that the source packet, whose timestamp this is, was given with this number.
    pub fn place(&self, timestamp: u32) -> Place {
        self.segment.place(self.index, timestamp)
    }
}

/// The viewer's line of one track.
#[derive(Clone, Debug)]
pub struct Splice {
    current: Option<Segment>,
    past: VecDeque<Segment>,
    /// The number behind the highest one given away.
    next_index: u64,
    /// The newest timestamp given away; before the first packet, where the line's clock begins.
    newest_timestamp: u32,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    first: Source,
    /// The number of `first`. A segment ends where the next one's numbers begin.
    first_index: u64,
    /// Added, modulo 2^32, to a source timestamp.
    timestamp_offset: u32,
    squeeze: Option<Squeeze>,
    labels: Labels,
    shift: PictureNumbers,
}

/// Timestamps as many times closer together as pictures are sent faster than they were made.
#[derive(Clone, Copy, Debug)]
struct Squeeze {
    /// The source timestamp that stays as it is.
    from: u32,
    speed: NonZeroU32,
}

impl Squeeze {
    #[cold]
    fn apply(self, timestamp: u32) -> u32 {
        let distance = timestamp.wrapping_sub(self.from) as i32;
        self.from.wrapping_add_signed((i64::from(distance)).div_euclid(i64::from(self.speed.get())) as i32)
    }
}

impl Segment {
    fn index_of(&self, source: Source) -> Option<u64> {
        let same_line = (source.epoch, source.layer) == (self.first.epoch, self.first.layer);
        let distance = source.index.checked_sub(self.first.index)?;
        same_line.then_some(self.first_index + distance)
    }

    fn place(&self, index: u64, timestamp: u32) -> Place {
        let timestamp = match &self.squeeze {
            None => timestamp,
            Some(squeeze) => squeeze.apply(timestamp),
        };
        let timestamp = timestamp.wrapping_add(self.timestamp_offset);
        Place { index, timestamp, labels: self.labels, shift: self.shift }
    }

    fn origin_of(self, index: u64) -> Option<Origin> {
        let distance = index.checked_sub(self.first_index)?;
        let source = Source { index: self.first.index + distance, ..self.first };
        Some(Origin { source, index, segment: self })
    }
}

impl Splice {
    /// An empty line that will begin with this number and at this timestamp. The number should be below 2^15, so that
    /// the loss of the first packets cannot cost the receiver its rollover count (RFC 3711 3.3.1).
    pub fn new(first_index: u64, timestamp: u32) -> Self {
        Self { current: None, past: VecDeque::new(), next_index: first_index, newest_timestamp: timestamp }
    }

    /// Begins a new segment: its first packet gets the next number, and timestamps go on by the gap. Numbers that the
    /// segments before held open for packets that never came are taken back.
    pub fn splice(&mut self, start: Start) -> Place {
        // Nothing at or behind the next number was given away, so what begins there has no packet in the line.
        while self.current.is_some_and(|segment| segment.first_index >= self.next_index) {
            self.current = self.past.pop_back();
        }
        let timestamp = self.newest_timestamp.wrapping_add(start.gap.max(1));
        self.begin(Segment {
            first: start.source,
            first_index: self.next_index,
            timestamp_offset: timestamp.wrapping_sub(start.timestamp),
            squeeze: start.speed.map(|speed| Squeeze { from: start.timestamp, speed }),
            labels: start.labels,
            shift: start.shift,
        });
        self.newest_timestamp = timestamp;
        self.next_index += 1;
        Place { index: self.next_index - 1, timestamp, labels: start.labels, shift: start.shift }
    }

    /// Squeezes timestamps in another way from this source packet on, whose place is ahead, or no more: numbers go on as they
    /// are, and its timestamp is this far behind the newest.
    pub fn resqueeze(
        &mut self,
        source: Source,
        place: Place,
        timestamp: u32,
        gap: u32,
        speed: Option<NonZeroU32>,
    ) -> u32 {
        while self.current.is_some_and(|segment| segment.first_index > place.index) {
            self.current = self.past.pop_back();
        }
        let moved = self.newest_timestamp.wrapping_add(gap.max(1));
        self.begin(Segment {
            first: source,
            first_index: place.index,
            timestamp_offset: moved.wrapping_sub(timestamp),
            squeeze: speed.map(|speed| Squeeze { from: timestamp, speed }),
            labels: place.labels,
            shift: place.shift,
        });
        moved
    }

    /// Where a packet stands or would stand in the line; late ones find their place in the segment they belong to. `None`
    /// for what has none: another publisher or layer, before a segment's first packet, skipped, or too long ago. The
    /// number is not given away before [`Splice::advance`].
    #[inline]
    pub fn place_of(&self, source: Source, timestamp: u32) -> Option<Place> {
        let current = self.current.as_ref()?;
        match current.index_of(source) {
            Some(index) => Some(current.place(index, timestamp)),
            None => self.past_place_of(current, source, timestamp),
        }
    }

    #[cold]
    fn past_place_of(&self, current: &Segment, source: Source, timestamp: u32) -> Option<Place> {
        let mut end = current.first_index;
        for segment in self.past.iter().rev() {
            if let Some(index) = segment.index_of(source) {
                return (index < end).then(|| segment.place(index, timestamp));
            }
            end = segment.first_index;
        }
        None
    }

    /// Gives the number of this place away: the packet is about to be sent. True when its timestamp is the newest of the
    /// line.
    #[inline]
    pub fn advance(&mut self, place: Place) -> bool {
        self.next_index = self.next_index.max(place.index + 1);
        let newest = place.timestamp.wrapping_sub(self.newest_timestamp) as i32 > 0;
        if newest {
            self.newest_timestamp = place.timestamp;
        }
        newest
    }

    /// Leaves out a packet that needs no number, such as one of padding only, and numbers the line behind it on
    /// without a hole. False when it comes too late for that: packets behind it have their numbers, so it must be sent,
    /// empty, or the receiver would miss it; or it has no place at all.
    pub fn skip(&mut self, source: Source) -> bool {
        let Some(segment) = self.current else { return false };
        let Some(index) = segment.index_of(source) else { return false };
        if index < self.next_index {
            return false;
        }
        let behind = Source { index: source.index + 1, ..source };
        let next = Segment { first: behind, first_index: index, ..segment };
        if index == segment.first_index {
            self.current = Some(next);
        } else {
            self.begin(next);
        }
        true
    }

    /// What was sent with the sequence number that the receiver names in a NACK (RFC 4585 6.2.1): the latest number given
    /// away that ends in these 16 bits. `None` when it is none of the last 2^15, or its segment is forgotten.
    pub fn origin_of(&self, sequence: u16) -> Option<Origin> {
        let highest = self.next_index.checked_sub(1)?;
        let age = (highest as u16).wrapping_sub(sequence);
        if age >= 1 << 15 {
            return None;
        }
        let index = highest.checked_sub(u64::from(age))?;
        let segments = self.current.iter().chain(self.past.iter().rev());
        segments.copied().find_map(|segment| segment.origin_of(index))
    }

    /// True when this number is behind every one given away.
    pub fn is_ahead(&self, place: Place) -> bool {
        place.index >= self.next_index
    }

    /// How many numbers before this one have not been given away: the hole that it would leave.
    pub fn hole_before(&self, place: Place) -> u64 {
        place.index.saturating_sub(self.next_index)
    }

    /// A source timestamp of the current segment on the viewer's line, for sender reports (RFC 3550 6.4.1). `None`
    /// before anything was sent, and for squeezed timestamps, which tell no time.
    pub fn map_timestamp(&self, timestamp: u32) -> Option<u32> {
        let live = self.current.filter(|segment| segment.squeeze.is_none())?;
        Some(timestamp.wrapping_add(live.timestamp_offset))
    }

    /// The epoch and layer that the current segment follows.
    pub fn line(&self) -> Option<(Epoch, LayerId)> {
        self.current.map(|segment| (segment.first.epoch, segment.first.layer))
    }

    /// The number behind the highest one given away.
    pub fn next_index(&self) -> u64 {
        self.next_index
    }

    /// The newest timestamp given away.
    pub fn newest_timestamp(&self) -> u32 {
        self.newest_timestamp
    }

    fn begin(&mut self, segment: Segment) {
        if let Some(current) = self.current.replace(segment) {
            if self.past.len() == PAST_SEGMENTS {
                self.past.pop_front();
            }
            // Once for the whole life of the line, so that no later splice allocates.
            self.past.reserve_exact(PAST_SEGMENTS - self.past.len());
            self.past.push_back(current);
        }
    }
}

#[cfg(test)]
mod tests;
