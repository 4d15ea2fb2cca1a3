//! Which packet of which publisher: what tells source packets apart.

/// The extended sequence number of a publisher's packet (RFC 3550 A.1): rollover count and sequence number in 48 bits.
pub type SourceIndex = u64;

/// Whose packets these are: the publishers of a stream in the order in which they took it over, and of each its sources (an
/// SSRC in one codec) on one track in the order in which they played. It is only ever compared, and never wraps.
pub type Epoch = u64;

/// The epoch of a publisher's source: `source` counts those that its track has had before.
pub const fn epoch(publisher: u32, source: u32) -> Epoch {
    (publisher as u64) << 32 | source as u64
}

/// One source packet. The same source never has two contents: the publisher's replay window and [`History`] see to it.
///
/// [`History`]: super::History
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// The publisher and its source.
    pub epoch: Epoch,
    /// The encoding.
    pub layer: LayerId,
    /// The place in the publisher's line.
    pub index: SourceIndex,
}

/// One simulcast encoding of a track; 0 where there is only one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerId(pub u8);
