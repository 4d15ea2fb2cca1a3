//! Identifies a source packet: which packet of which publisher.

/// The extended sequence number of a publisher's packet (RFC 3550 A.1): rollover count and sequence number in 48 bits.
pub(crate) type SourceIndex = u64;

/// Where a source (an SSRC with one codec) stands in the order of a track: first by publication, within one by how
/// often the source has changed. Viewers join a greater epoch at its keyframe and never go back to a lesser one.
///
/// Epochs of one stream compare on every node that has its packets: both counts are made where the publisher publishes,
/// and a node that gets the stream from there is to take them as they are. A stream that has neither publisher nor
/// viewer is forgotten, and its publications are counted anew: nothing is left to compare them with.
///
/// Messages between workers carry epochs, packets their [`Generation`].
///
/// Simulcast layers stand beside the epoch, not in it: each [`LayerId`] has its own line of indices, and `restart`
/// counts its own changes. Epochs of two layers tell their publishers only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch {
    /// Which publication of the stream it is, counted from 1: each publisher that takes the stream over makes a new
    /// one.
    pub(crate) publisher: u64,
    /// How often the track's source has changed: an encoder began again, or went on with another SSRC or codec.
    pub(crate) restart: u32,
}

impl Epoch {
    /// Before every publication. A standby keeps its packets for itself under this epoch and its restarts; when it
    /// takes over, they get the epoch of its publication.
    pub(crate) const STANDBY: Self = Self::of(0);

    /// The first epoch of a publication.
    pub const fn of(publisher: u64) -> Self {
        Self { publisher, restart: 0 }
    }

    /// The epoch after a change of the source. The count ends at its highest value, which ten changes a second, as
    /// many as a publisher may make, reach after 13 years; then sources cannot be distinguished any more, and a
    /// [`History`](super::History) refuses the packets that a later one numbers as an earlier one has.
    pub(crate) const fn restarted(self) -> Self {
        Self { restart: self.restart.saturating_add(1), ..self }
    }

    /// What its packets carry.
    pub const fn generation(self) -> Generation {
        // Publications of one stream that follow each other every second reach the limit after 136 years.
        let publisher = if self.publisher < u32::MAX as u64 { self.publisher } else { u32::MAX as u64 };
        Generation(publisher << 32 | self.restart as u64)
    }
}

/// An [`Epoch`] in one word, with the same order. Every packet carries it and is compared with it for every viewer: a
/// whole epoch would make a packet larger by 8 octets and cost 9 instructions more for each viewer (of 430).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(u64);

impl Generation {
    /// The publication. Two layers of a publisher's video are of one, whatever each has restarted.
    pub(crate) const fn publisher(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// One source packet. The same source never has two contents: the publisher's replay window and [`History`] ensure it.
///
/// [`History`]: super::History
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Source {
    /// The publisher and its source.
    pub(crate) generation: Generation,
    /// The encoding.
    pub(crate) layer: LayerId,
    /// The index in the publisher's RTP stream.
    pub(crate) index: SourceIndex,
}

/// One simulcast encoding of a track; 0 where there is only one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerId(pub(crate) u8);

/// A set of layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LayerSet(u8);

impl LayerSet {
    /// One layer, or none.
    pub(crate) fn of(layer: LayerId, is_in: bool) -> Self {
        Self(u8::from(is_in).checked_shl(layer.0.into()).unwrap_or_default())
    }

    /// Adds all of another set.
    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// True without a layer.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True if a layer is in it.
    pub(crate) fn has(self, layer: LayerId) -> bool {
        self.0.checked_shr(layer.0.into()).is_some_and(|bits| bits & 1 == 1)
    }
}

/// The generation with which a publication begins.
#[cfg(test)]
pub(crate) const fn generation(publisher: u64) -> Generation {
    Epoch::of(publisher).generation()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_publication_comes_after_every_restart_of_the_one_before() {
        let restarts = Epoch { publisher: 1, restart: u32::MAX };
        assert!(Epoch::STANDBY < Epoch::of(1) && restarts < Epoch::of(2));
        assert!(Epoch::of(u64::from(u32::MAX)) < Epoch::of(1 << 32), "more than 32 bits are compared");
    }

    #[test]
    fn generations_have_the_order_of_their_epochs_and_end_where_they_would_wrap() {
        let epochs = [(0, 0), (0, 1), (1, 0), (1, u32::MAX), (2, 0), (u64::from(u32::MAX), 7)];
        let epochs = epochs.map(|(publisher, restart)| Epoch { publisher, restart });
        assert!(epochs.is_sorted() && epochs.map(Epoch::generation).windows(2).all(|pair| pair[0] < pair[1]));
        assert!(Epoch::of(u64::MAX).generation() > Epoch::of(u64::from(u32::MAX) - 1).generation());
    }

    #[test]
    fn a_restart_comes_after_what_the_publication_sent_before_and_never_wraps() {
        let epoch = Epoch::of(7);
        assert!(epoch < epoch.restarted() && epoch.restarted() < epoch.restarted().restarted());
        let last = Epoch { restart: u32::MAX, ..epoch };
        assert_eq!(last.restarted(), last);
    }
}
