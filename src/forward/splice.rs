//! The RTP stream of one viewer: one continuous stream made of pieces of publishers' RTP streams.
//!
//! Live packets, frames from before live, another publisher, another layer, resuming after a pause: each begins a new
//! [`Segment`] with its own offsets, and sequence numbers continue where the previous segment ended. Packets that are
//! left out, because they are only padding or of a temporal layer that the viewer does not get, begin a new [`Piece`]
//! of the same segment. The mapping works in both directions while its segments and pieces are remembered: a source
//! packet has a place, and a sent number leads back to its source packet, for NACKs.
//!
//! The rule (AES-GCM depends on it, because encrypting two contents with one number reveals the authentication key): a
//! number never stands for two source packets.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use super::codec::PictureIds;
use super::source::{Generation, LayerId, Source, SourceIndex};

/// Segments remembered besides the current one. When full, the oldest is forgotten: its packets, and NACKs for them,
/// are by then dozens of splices late and have no place.
pub(super) const PAST_SEGMENTS: usize = 64;

/// Pieces remembered besides the current one. When full, the oldest is forgotten: with every other frame of 60 a second
/// left out, it is then 8 s old.
const PAST_PIECES: usize = 256;

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
    shift: PictureIds,
}

impl Origin {
    /// The place that the source packet, which has this timestamp, was given with this number.
    pub(crate) fn place(&self, timestamp: u32) -> Place {
        self.segment.place(self.index, timestamp, self.shift)
    }
}

/// One viewer's RTP stream of one track.
#[derive(Clone, Debug)]
pub(crate) struct Splice {
    current: Option<Current>,
    /// The segments before the current one, each with at least one piece in `past_pieces`.
    past_segments: VecDeque<Segment>,
    /// The pieces before the current one: of past segments, and of the current one.
    past_pieces: VecDeque<Piece>,
    /// The number after the highest one given away.
    next_index: u64,
    /// The newest timestamp given away; before the first packet, the timestamp at which the RTP stream begins.
    newest_timestamp: u32,
}

/// The newest piece, and the segment that it belongs to.
#[derive(Clone, Copy, Debug)]
struct Current {
    segment: Segment,
    piece: Piece,
}

/// What the packets of one RTP stream of a publisher have in common.
#[derive(Clone, Copy, Debug)]
struct Segment {
    generation: Generation,
    layer: LayerId,
    /// Added, modulo 2^32, to a source timestamp.
    timestamp_offset: u32,
    compression: Option<Compression>,
    labels: Labels,
}

/// Consecutive packets of a segment, of which none is left out.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// The index of the first source packet.
    first: SourceIndex,
    /// The number of `first`. A piece ends where the next one's numbers begin.
    first_index: u64,
    /// Added to PictureID and TL0PICIDX.
    shift: PictureIds,
    /// Counts the segments of the RTP stream, so that a piece leads to its own.
    segment: u32,
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
    fn is_of(&self, source: &Source) -> bool {
        (source.generation, source.layer) == (self.generation, self.layer)
    }

    fn place(&self, index: u64, timestamp: u32, shift: PictureIds) -> Place {
        let timestamp = match &self.compression {
            None => timestamp,
            Some(compression) => compression.apply(timestamp),
        };
        let timestamp = timestamp.wrapping_add(self.timestamp_offset);
        Place { index, timestamp, labels: self.labels, shift }
    }
}

impl Piece {
    fn index_of(&self, source: &Source) -> Option<u64> {
        Some(self.first_index + source.index.checked_sub(self.first)?)
    }

    fn origin_of(&self, index: u64, segment: &Segment) -> Option<Origin> {
        let distance = index.checked_sub(self.first_index)?;
        let source = Source { generation: segment.generation, layer: segment.layer, index: self.first + distance };
        Some(Origin { source, index, segment: *segment, shift: self.shift })
    }
}

impl Current {
    #[inline]
    fn index_of(&self, source: &Source) -> Option<u64> {
        if self.segment.is_of(source) { self.piece.index_of(source) } else { None }
    }
}

impl Splice {
    /// An empty RTP stream that begins with this number and timestamp. The number should be below 2^15, so that losing
    /// the first packets cannot make the receiver's rollover count wrong (RFC 3711 3.3.1).
    pub(crate) fn new(first_index: u64, timestamp: u32) -> Self {
        Self {
            current: None,
            past_segments: VecDeque::new(),
            past_pieces: VecDeque::new(),
            next_index: first_index,
            newest_timestamp: timestamp,
        }
    }

    /// Begins a new segment: its first packet gets the next number, and the timestamp advances by the gap. Numbers that
    /// earlier segments reserved for packets that never arrived are reused.
    pub(crate) fn splice(&mut self, start: Start) -> Place {
        // The next number and those after it are not given away yet, so no packet was sent in a piece that begins
        // there.
        self.take_back(self.next_index);
        let timestamp = self.newest_timestamp.wrapping_add(start.gap.max(1));
        let segment = Segment {
            generation: start.source.generation,
            layer: start.source.layer,
            timestamp_offset: timestamp.wrapping_sub(start.timestamp),
            compression: start.speed.map(|speed| Compression { from: start.timestamp, speed }),
            labels: start.labels,
        };
        self.begin(segment, start.source.index, self.next_index, start.shift);
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
        self.take_back(place.index + 1);
        let moved = self.newest_timestamp.wrapping_add(gap.max(1));
        let segment = Segment {
            generation: source.generation,
            layer: source.layer,
            timestamp_offset: moved.wrapping_sub(timestamp),
            compression: speed.map(|speed| Compression { from: timestamp, speed }),
            labels: place.labels,
        };
        self.begin(segment, source.index, place.index, place.shift);
        moved
    }

    /// The place of a packet in the RTP stream; a late packet has its place in the segment that it belongs to. `None`
    /// for a packet of another publisher or layer, before a segment's first packet, skipped, or too old. The number is
    /// given away only by [`Splice::advance`].
    #[inline]
    pub(crate) fn place_of(&self, source: Source, timestamp: u32) -> Option<Place> {
        let current = self.current.as_ref()?;
        match current.index_of(&source) {
            Some(index) => Some(current.segment.place(index, timestamp, current.piece.shift)),
            None => self.past_place_of(current, source, timestamp),
        }
    }

    #[cold]
    fn past_place_of(&self, current: &Current, source: Source, timestamp: u32) -> Option<Place> {
        let mut end = current.piece.first_index;
        for piece in self.past_pieces.iter().rev() {
            let segment = self.segment_of(current, piece)?;
            let index = if segment.is_of(&source) { piece.index_of(&source) } else { None };
            if let Some(index) = index {
                return (index < end).then(|| segment.place(index, timestamp, piece.shift));
            }
            end = piece.first_index;
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

    /// Leaves out a packet, and renumbers the later ones without a hole; `shift` is added to their PictureIDs and
    /// TL0PICIDX besides. False when later packets already have their numbers, so that it must be sent or the receiver
    /// would miss it; or when it has no place.
    pub(crate) fn leave_out(&mut self, source: Source, shift: PictureIds) -> bool {
        let Some(Current { segment, piece }) = self.current else { return false };
        let index = if segment.is_of(&source) { piece.index_of(&source) } else { None };
        let Some(index) = index.filter(|index| *index >= self.next_index) else { return false };
        let next = Piece { first: source.index + 1, first_index: index, shift: piece.shift.and(shift), ..piece };
        self.current = Some(Current { segment, piece: next });
        if index > piece.first_index {
            self.remember(piece);
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
        let current = self.current.as_ref()?;
        let mut pieces = std::iter::once(&current.piece).chain(self.past_pieces.iter().rev());
        let piece = pieces.find(|piece| piece.first_index <= index)?;
        piece.origin_of(index, self.segment_of(current, piece)?)
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
        let live = self.current.as_ref().filter(|current| current.segment.compression.is_none())?;
        Some(timestamp.wrapping_add(live.segment.timestamp_offset))
    }

    /// What is added to source timestamps of the current segment; `None` before anything was sent, and for compressed
    /// timestamps.
    pub(crate) fn timestamp_offset(&self) -> Option<u32> {
        self.map_timestamp(0)
    }

    /// The generation and layer that the current segment follows.
    pub(crate) fn current_source(&self) -> Option<(Generation, LayerId)> {
        self.current.as_ref().map(|current| (current.segment.generation, current.segment.layer))
    }

    /// The number after the highest one given away.
    pub(crate) fn next_index(&self) -> u64 {
        self.next_index
    }

    /// The newest timestamp given away.
    pub(crate) fn newest_timestamp(&self) -> u32 {
        self.newest_timestamp
    }

    /// Begins a segment with its first packet, which has this source index and this number.
    fn begin(&mut self, segment: Segment, first: SourceIndex, first_index: u64, shift: PictureIds) {
        let number = self.current.as_ref().map_or(0, |before| before.piece.segment.wrapping_add(1));
        let piece = Piece { first, first_index, shift, segment: number };
        if let Some(before) = self.current.replace(Current { segment, piece }) {
            // Reserved once for the life of the RTP stream, so that no later splice allocates.
            self.past_segments.reserve_exact(PAST_SEGMENTS + 1 - self.past_segments.len());
            self.past_segments.push_back(before.segment);
            self.remember(before.piece);
            if self.past_segments.len() > PAST_SEGMENTS {
                self.forget_oldest_segment();
            }
        }
    }

    /// Remembers a piece that has ended.
    #[cold]
    fn remember(&mut self, piece: Piece) {
        if self.past_pieces.len() == PAST_PIECES {
            let oldest = self.past_pieces.pop_front();
            let next = self.past_pieces.front().map(|next| next.segment);
            if oldest.is_some_and(|oldest| next != Some(oldest.segment) && oldest.segment != piece.segment) {
                self.past_segments.pop_front();
            }
        }
        if self.past_pieces.len() == self.past_pieces.capacity() {
            // Few RTP streams have more than a few pieces; the others get all their room at once.
            let room = if self.past_pieces.is_empty() { PAST_SEGMENTS } else { PAST_PIECES };
            self.past_pieces.reserve_exact(room.saturating_sub(self.past_pieces.len()));
        }
        self.past_pieces.push_back(piece);
    }

    fn forget_oldest_segment(&mut self) {
        let oldest = self.past_pieces.front().map(|piece| piece.segment);
        while self.past_pieces.front().is_some_and(|piece| Some(piece.segment) == oldest) {
            self.past_pieces.pop_front();
        }
        self.past_segments.pop_front();
    }

    /// Ends the pieces that begin with this number or a higher one: no packet was sent in them.
    fn take_back(&mut self, from: u64) {
        while let Some(current) = self.current.take_if(|current| current.piece.first_index >= from) {
            let Some(piece) = self.past_pieces.pop_back() else { return };
            let segment = if piece.segment == current.piece.segment {
                Some(current.segment)
            } else {
                self.past_segments.pop_back()
            };
            self.current = segment.map(|segment| Current { segment, piece });
        }
    }

    /// The segment of a piece.
    fn segment_of<'a>(&'a self, current: &'a Current, piece: &Piece) -> Option<&'a Segment> {
        match current.piece.segment.wrapping_sub(piece.segment) as usize {
            0 => Some(&current.segment),
            age => self.past_segments.get(self.past_segments.len().checked_sub(age)?),
        }
    }
}

#[cfg(test)]
mod tests;
