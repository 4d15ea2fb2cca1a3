//! What the filter keeps of a DATA chunk.

use super::packet::Data;

/// What webrtc-rs keeps with a chunk beside its packet: two copies of its description, and their places.
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
    /// What keeping it costs.
    pub(super) cost: usize,
}

impl Piece {
    /// `packet` is the length of the packet, if no chunk of it has been counted with that yet.
    pub(super) fn new(data: &Data<'_>, packet: usize) -> Self {
        let Data { stream, sequence, unordered, begins, ends, payload, .. } = *data;
        Self { stream, sequence, unordered, begins, ends, octets: payload.len(), cost: packet + OVERHEAD }
    }

    pub(super) fn continues(&self, first: &Self) -> bool {
        let same_message = self.unordered || self.sequence == first.sequence;
        !self.begins && self.stream == first.stream && self.unordered == first.unordered && same_message
    }
}
