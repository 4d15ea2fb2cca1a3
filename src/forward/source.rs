//! Identifies a source packet: which packet of which publisher.

/// The extended sequence number of a publisher's packet (RFC 3550 A.1): rollover count and sequence number in 48 bits.
pub(crate) type SourceIndex = u64;

/// The publishers of a stream in the order in which they took it over, and for each the sources (an SSRC with one
/// codec) of one track in the order in which they were played. Epochs are only compared, and never wrap.
pub(crate) type Epoch = u64;

/// The epoch of a publisher's source: `source` counts those that its track has had before.
pub(crate) const fn epoch(publisher: u32, source: u32) -> Epoch {
    (publisher as u64) << 32 | source as u64
}

/// One source packet. The same source never has two contents: the publisher's replay window and [`History`] ensure it.
///
/// [`History`]: super::History
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Source {
    /// The publisher and its source.
    pub(crate) epoch: Epoch,
    /// The encoding.
    pub(crate) layer: LayerId,
    /// The index in the publisher's RTP stream.
    pub(crate) index: SourceIndex,
}

/// One simulcast encoding of a track; 0 where there is only one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerId(pub(crate) u8);
