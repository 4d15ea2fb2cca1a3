//! The RTP stream of one viewer: one continuous stream made of pieces of publishers' RTP streams.
//!
//! Live packets, frames from before live, another publisher, another layer, resuming after a pause, a packet left out
//! because it is only padding: each begins a new [`Segment`] with its own offsets, and sequence numbers continue where
//! the previous segment ended. The mapping works in both directions while its segments are remembered: a source packet
//! has a place, and a sent number leads back to its source packet, for NACKs.
//!
//! The rule (AES-GCM depends on it, because encrypting two contents with one number reveals the authentication key): a
//! number never stands for two source packets.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use super::codec::PictureIds;
use super::source::{Generation, LayerId, Source};

/// Segments remembered besides the current one. When full, the oldest is forgotten: its packets, and NACKs for them,
/// are by then dozens of splices late and have no place.
pub(super) const PAST_SEGMENTS: usize = 64;

/// The payload types of a segment's packets: the publisher's and the viewer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Labels {
    /// The publisher's payload type. Packets with another one do not carry the segment's media.
    pub(crate) source: u8,
    /// The viewer's payload type for it.
    pub(crate) payload_type: u8,
    /// The viewer's payload type for resends (RFC 4588 8.1).
    pub(crate) rtx_payload_type: Option<u8>,
    /// The last 32 bits of the index of the source packet at which the viewer began, kept across numbers that were left
    /// out.
    pub(crate) begun: u32,
}

/// Where a new segment begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// Its first source packet, which gets the next number.
    pub(crate) source: Source,
    /// The RTP timestamp of that packet in the publisher's RTP stream.
    pub(crate) timestamp: u32,
    /// RTP clock ticks between the newest timestamp sent and this packet's; at least 1 is used.
    pub(crate) gap: u32,
    /// The payload types of its packets.
    pub(crate) labels: Labels,
    /// Added to PictureID and TL0PICIDX in its packets' payloads.
    pub(crate) shift: PictureIds,
    /// The speed of a replay as a multiple of real time, by which timestamps are compressed. `None` for live.
    pub(crate) speed: Option<NonZeroU32>,
}

/// A packet's place in the viewer's RTP stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The packet index: rollover count and sequence number in 48 bits (RFC 3711 3.3.1).
    pub(crate) index: u64,
    /// The RTP timestamp in the viewer's RTP stream.
    pub(crate) timestamp: u32,
    /// The payload types of its segment.
    pub(crate) labels: Labels,
    /// Added to PictureID and TL0PICIDX in its payload.
    pub(crate) shift: PictureIds,
}

/// The source packet that a sequence number stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The source packet.
    pub(crate) source: Source,
    /// The whole packet index.
    pub(crate) index: u64,
    segment: Segment,
}

impl Origin {
    /// The place that the source packet, which has this timestamp, was given with this number.
    pub(crate) fn place(&self, timestamp: u32) -> Place {
        self.segment.place(self.index, timestamp)
    }
}

/// One viewer's RTP stream of one track.
#[derive(Clone, Debug)]
pub(crate) struct Splice {
    current: Option<Segment>,
    past: VecDeque<Segment>,
    /// The number after the highest one given away.
    next_index: u64,
    /// The newest timestamp given away; before the first packet, the timestamp at which the RTP stream begins.
    newest_timestamp: u32,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    first: Source,
    /// The number of `first`. A segment ends where the next one's numbers begin.
    first_index: u64,
    /// Added, modulo 2^32, to a source timestamp.
    timestamp_offset: u32,
    compression: Option<Compression>,
    labels: Labels,
    shift: PictureIds,
}

/// Compresses timestamps by the speed of a replay.
#[derive(Clone, Copy, Debug)]
struct Compression {
    /// The source timestamp that stays as it is.
    from: u32,
    speed: NonZeroU32,
}

impl Compression {
    #[cold]
    fn apply(self, timestamp: u32) -> u32 {
        let distance = timestamp.wrapping_sub(self.from) as i32;
        self.from.wrapping_add_signed((i64::from(distance)).div_euclid(i64::from(self.speed.get())) as i32)
    }
}

impl Segment {
    fn index_of(&self, source: Source) -> Option<u64> {
        let same_source = (source.generation, source.layer) == (self.first.generation, self.first.layer);
        let distance = source.index.checked_sub(self.first.index)?;
        same_source.then_some(self.first_index + distance)
    }

    fn place(&self, index: u64, timestamp: u32) -> Place {
        let timestamp = match &self.compression {
            None => timestamp,
            Some(compression) => compression.apply(timestamp),
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
    /// An empty RTP stream that begins with this number and timestamp. The number should be below 2^15, so that losing
    /// the first packets cannot make the receiver's rollover count wrong (RFC 3711 3.3.1).
    pub(crate) fn new(first_index: u64, timestamp: u32) -> Self {
        Self { current: None, past: VecDeque::new(), next_index: first_index, newest_timestamp: timestamp }
    }

    /// Begins a new segment: its first packet gets the next number, and the timestamp advances by the gap. Numbers that
    /// earlier segments reserved for packets that never arrived are reused.
    pub(crate) fn splice(&mut self, start: Start) -> Place {
        // The next number and those after it are not given away yet, so no packet was sent in a segment that begins
        // there.
        while self.current.is_some_and(|segment| segment.first_index >= self.next_index) {
            self.current = self.past.pop_back();
        }
        let timestamp = self.newest_timestamp.wrapping_add(start.gap.max(1));
        self.begin(Segment {
            first: start.source,
            first_index: self.next_index,
            timestamp_offset: timestamp.wrapping_sub(start.timestamp),
            compression: start.speed.map(|speed| Compression { from: start.timestamp, speed }),
            labels: start.labels,
            shift: start.shift,
        });
        self.newest_timestamp = timestamp;
        self.next_index += 1;
        Place { index: self.next_index - 1, timestamp, labels: start.labels, shift: start.shift }
    }

    /// Changes the compression of timestamps from this source packet on, which was not sent yet: numbers continue
    /// unchanged, and its timestamp is `gap` after the newest. Returns that timestamp.
    pub(crate) fn recompress(
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
            compression: speed.map(|speed| Compression { from: timestamp, speed }),
            labels: place.labels,
            shift: place.shift,
        });
        moved
    }

    /// The place of a packet in the RTP stream; a late packet has its place in the segment that it belongs to. `None`
    /// for a packet of another publisher or layer, before a segment's first packet, skipped, or too old. The number is
    /// given away only by [`Splice::advance`].
    #[inline]
    pub(crate) fn place_of(&self, source: Source, timestamp: u32) -> Option<Place> {
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

    /// Gives the number of this place away, because the packet is about to be sent. True when its timestamp is the
    /// newest.
    #[inline]
    pub(crate) fn advance(&mut self, place: Place) -> bool {
        self.next_index = self.next_index.max(place.index + 1);
        let newest = place.timestamp.wrapping_sub(self.newest_timestamp) as i32 > 0;
        if newest {
            self.newest_timestamp = place.timestamp;
        }
        newest
    }

    /// Leaves out a packet that needs no number, such as one of padding only, and renumbers the later ones without a
    /// hole. False when later packets already have their numbers, so that it must be sent empty or the receiver would
    /// miss it; or when it has no place.
    pub(crate) fn skip(&mut self, source: Source) -> bool {
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

    /// The packet that was sent with the sequence number that a NACK names (RFC 4585 6.2.1): the latest number given
    /// away that ends in these 16 bits. `None` when it is not one of the last 2^15, or its segment is forgotten.
    pub(crate) fn origin_of(&self, sequence: u16) -> Option<Origin> {
        let highest = self.next_index.checked_sub(1)?;
        let age = (highest as u16).wrapping_sub(sequence);
        if age >= 1 << 15 {
            return None;
        }
        let index = highest.checked_sub(u64::from(age))?;
        let segments = self.current.iter().chain(self.past.iter().rev());
        segments.copied().find_map(|segment| segment.origin_of(index))
    }

    /// True when this number is higher than every number given away.
    pub(crate) fn is_ahead(&self, place: Place) -> bool {
        place.index >= self.next_index
    }

    /// How many numbers before this one have not been given away: the hole that sending it would leave.
    pub(crate) fn hole_before(&self, place: Place) -> u64 {
        place.index.saturating_sub(self.next_index)
    }

    /// A source timestamp of the current segment in the viewer's RTP stream, for sender reports (RFC 3550 6.4.1).
    /// `None` before anything was sent, and for compressed timestamps, which do not measure time.
    pub(crate) fn map_timestamp(&self, timestamp: u32) -> Option<u32> {
        let live = self.current.filter(|segment| segment.compression.is_none())?;
        Some(timestamp.wrapping_add(live.timestamp_offset))
    }

    /// The generation and layer that the current segment follows.
    pub(crate) fn current_source(&self) -> Option<(Generation, LayerId)> {
        self.current.map(|segment| (segment.first.generation, segment.first.layer))
    }

    /// The number after the highest one given away.
    pub(crate) fn next_index(&self) -> u64 {
        self.next_index
    }

    /// The newest timestamp given away.
    pub(crate) fn newest_timestamp(&self) -> u32 {
        self.newest_timestamp
    }

    fn begin(&mut self, segment: Segment) {
        if let Some(current) = self.current.replace(segment) {
            if self.past.len() == PAST_SEGMENTS {
                self.past.pop_front();
            }
            // Reserved once for the life of the RTP stream, so that no later splice allocates.
            self.past.reserve_exact(PAST_SEGMENTS - self.past.len());
            self.past.push_back(current);
        }
    }
}

#[cfg(test)]
mod tests;
