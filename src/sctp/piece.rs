//! What the filter keeps of a DATA chunk.

use super::packet::Data;

/// Octets that webrtc-rs keeps with a chunk in addition to its packet.
const OVERHEAD: usize = 512;

/// What the filter keeps of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) stream: u16,
    pub(super) sequence: u16,
    pub(super) unordered: bool,
    pub(super) begins: bool,
    pub(super) ends: bool,
    pub(super) octets: usize,
    /// The octets that webrtc-rs keeps for it.
    pub(super) cost: usize,
}

impl Piece {
    /// `packet` is the length of the packet, or 0 if another chunk of it was counted with that.
    pub(super) fn new(data: &Data<'_>, packet: usize) -> Self {
        let Data { stream, sequence, unordered, begins, ends, payload, .. } = *data;
        Self { stream, sequence, unordered, begins, ends, octets: payload.len(), cost: packet + OVERHEAD }
    }

    pub(super) fn continues(&self, first: &Self) -> bool {
        let same_message = self.unordered || self.sequence == first.sequence;
        !self.begins && self.stream == first.stream && self.unordered == first.unordered && same_message
    }
}
