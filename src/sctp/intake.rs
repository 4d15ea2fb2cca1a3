//! The DATA chunks of the other side, in the order of their TSNs (RFC 9260 6.2, 6.9).
//!
//! webrtc-rs keeps a chunk until all earlier TSNs have arrived, its message is complete and the messages before it are
//! delivered. This type follows webrtc-rs chunk by chunk, so that what it keeps is bounded: the chunks ahead of a gap,
//! the message whose fragments are arriving, and what can never be delivered.

use std::collections::BTreeMap;

use super::piece::Piece;
use super::streams::Streams;
use super::violation::Violation;
use crate::reason::DropReason;

/// TSNs that may be ahead of the last one without a gap. webrtc-rs offers a receive window of 1 MiB, which holds 900
/// chunks of full size.
pub(super) const WINDOW: i32 = 4096;

/// Gaps between chunks that arrived. Each takes 4 octets in every SACK, and 256 fit one packet.
const MAX_GAPS: usize = 256;

/// Cost of all chunks ahead of a gap, in octets. Together with the other bounds it is less than the receive window of
/// webrtc-rs, so that webrtc-rs itself refuses nothing.
const MAX_AHEAD: usize = 384 * 1024;

/// Cost of the fragments of one message, in octets; a message of 16 KiB in 500-octet fragments costs 33 KiB.
const MAX_UNFINISHED: usize = 128 * 1024;

/// What the chunks before the first gap end with.
#[derive(Debug)]
enum Assembly {
    /// The end of a message.
    Between,
    /// An unfinished message; the sum of its fragments so far.
    Within(Piece),
    /// A skip: fragments of a message whose beginning was skipped may follow.
    Skipped,
}

/// The DATA chunks of the other side.
#[derive(Debug)]
pub(super) struct Intake {
    /// The last TSN without a gap, extended so that it does not wrap.
    cumulative: u64,
    ahead: BTreeMap<u64, Piece>,
    /// Runs of successive TSNs in `ahead`.
    runs: usize,
    ahead_cost: usize,
    assembly: Assembly,
    longest: usize,
}

/// Whether a chunk is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TsnArrival {
    New(u64),
    /// It arrived before; webrtc-rs acknowledges it again.
    Repeated,
}

impl Intake {
    /// `initial` is the first TSN; messages have at most `longest` octets.
    pub(super) fn new(initial: u32, longest: usize) -> Self {
        let cumulative = (1 << 32) + u64::from(initial) - 1;
        let (ahead, runs, ahead_cost) = (BTreeMap::new(), 0, 0);
        Self { cumulative, ahead, runs, ahead_cost, assembly: Assembly::Between, longest }
    }

    /// How far a TSN is ahead of the last one without a gap.
    pub(super) fn distance(&self, tsn: u32) -> i32 {
        tsn.wrapping_sub(self.cumulative as u32).cast_signed()
    }

    /// Whether a chunk of this TSN may be taken.
    ///
    /// # Errors
    /// [`DropReason::SctpWindow`] when it is too far ahead or too much is kept already.
    pub(super) fn admits(&self, tsn: u32, piece: &Piece) -> Result<TsnArrival, DropReason> {
        let distance = self.distance(tsn);
        if distance <= 0 {
            return Ok(TsnArrival::Repeated);
        }
        let tsn = self.cumulative + u64::from(distance.cast_unsigned());
        if self.ahead.contains_key(&tsn) {
            return Ok(TsnArrival::Repeated);
        }
        let new_gap = self.runs >= MAX_GAPS && !self.ahead.contains_key(&(tsn - 1));
        let fits = distance <= WINDOW && !new_gap && self.ahead_cost + piece.cost <= MAX_AHEAD;
        if distance == 1 || fits { Ok(TsnArrival::New(tsn)) } else { Err(DropReason::SctpWindow) }
    }

    /// Takes a chunk that was admitted.
    ///
    /// # Errors
    /// [`Violation`] when a message that is complete with it breaks a rule.
    pub(super) fn take(&mut self, tsn: u64, piece: Piece, streams: &mut Streams) -> Result<(), Violation> {
        if tsn != self.cumulative + 1 {
            let neighbours = [tsn - 1, tsn + 1].into_iter().filter(|tsn| self.ahead.contains_key(tsn)).count();
            self.runs = (self.runs + 1).saturating_sub(neighbours);
            self.ahead_cost += piece.cost;
            self.ahead.insert(tsn, piece);
            return Ok(());
        }
        self.cumulative = tsn;
        self.step(piece, streams)?;
        self.follow(streams)
    }

    /// Skips what the other side has abandoned (RFC 3758 3.6): to a TSN that is ahead by at most [`WINDOW`], and the
    /// highest sequence number of each ordered stream.
    ///
    /// # Errors
    /// [`Violation`] when a message that is complete with it breaks a rule.
    pub(super) fn skip(
        &mut self,
        to: u32,
        sequences: impl Iterator<Item = (u16, u16)>,
        streams: &mut Streams,
    ) -> Result<(), Violation> {
        let Ok(distance) = u64::try_from(self.distance(to)) else { return Ok(()) };
        for (stream, sequence) in sequences {
            streams.skip(stream, sequence);
        }
        if let Assembly::Within(unfinished) = std::mem::replace(&mut self.assembly, Assembly::Skipped) {
            streams.strand(&unfinished)?;
        }
        self.cumulative += distance;
        let ahead = self.ahead.split_off(&(self.cumulative + 1));
        let skipped = std::mem::replace(&mut self.ahead, ahead);
        for piece in skipped.into_values() {
            self.ahead_cost -= piece.cost;
            if piece.begins && piece.ends { streams.complete(&piece)? } else { streams.strand(&piece)? }
        }
        self.runs = count_runs(&self.ahead);
        self.follow(streams)
    }

    /// Takes what webrtc-rs acknowledges. If that differs from what is known here, because webrtc-rs refused a packet,
    /// the state begins again from there.
    pub(super) fn acknowledged(&mut self, tsn: u32) {
        let distance = i64::from(self.distance(tsn));
        if distance != 0 {
            self.cumulative = self.cumulative.saturating_add_signed(distance);
            self.ahead.clear();
            (self.runs, self.ahead_cost) = (0, 0);
            self.assembly = Assembly::Skipped;
        }
    }

    /// The other side has ended this stream, in which a message may be unfinished.
    pub(super) fn end_stream(&mut self, stream: u16) {
        if matches!(&self.assembly, Assembly::Within(unfinished) if unfinished.stream == stream) {
            self.assembly = Assembly::Skipped;
        }
    }

    /// Continues with the chunks that have arrived ahead.
    fn follow(&mut self, streams: &mut Streams) -> Result<(), Violation> {
        while let Some(piece) = self.ahead.remove(&(self.cumulative + 1)) {
            self.cumulative += 1;
            self.ahead_cost -= piece.cost;
            if !self.ahead.contains_key(&(self.cumulative + 1)) {
                self.runs -= 1;
            }
            self.step(piece, streams)?;
        }
        Ok(())
    }

    fn step(&mut self, piece: Piece, streams: &mut Streams) -> Result<(), Violation> {
        let message = match std::mem::replace(&mut self.assembly, Assembly::Between) {
            Assembly::Within(first) if piece.continues(&first) => {
                Piece { octets: first.octets + piece.octets, cost: first.cost + piece.cost, ..piece }
            }
            Assembly::Between | Assembly::Skipped if piece.begins => piece,
            Assembly::Skipped => {
                if !piece.ends {
                    self.assembly = Assembly::Skipped;
                }
                return streams.strand(&piece);
            }
            Assembly::Between | Assembly::Within(_) => return Err(Violation::Fragments),
        };
        if message.octets > self.longest {
            return Err(Violation::MessageTooLong);
        }
        if message.cost > MAX_UNFINISHED {
            return Err(Violation::Fragments);
        }
        if message.ends {
            return streams.complete(&message);
        }
        self.assembly = Assembly::Within(message);
        Ok(())
    }
}

fn count_runs(ahead: &BTreeMap<u64, Piece>) -> usize {
    ahead.keys().filter(|tsn| !ahead.contains_key(&(**tsn - 1))).count()
}
