//! One published RTP packet: opened, parsed once, immutable, shared by every worker that forwards it.

use std::time::Instant;

use bytes::Bytes;

use super::codec::{Descriptor, Part, Redundancy};
use super::header_extensions::HeaderExtensions;
use super::source::{Epoch, LayerId, Source, SourceIndex};

/// A packet on its way from a publisher to the outbound tracks. Always behind an `Arc`: the publisher's worker writes it once,
/// every worker with viewers reads it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// When the kernel handed it to the relay.
    pub received: Instant,
    /// Which source of which publisher sent it: a takeover makes it larger, and so does a change of the source (another SSRC or
    /// codec).
    pub epoch: Epoch,
    /// Which encoding of the track it belongs to.
    pub layer: LayerId,
    /// Where it stands in the publisher's line.
    pub index: SourceIndex,
    /// RTP timestamp in the clock of the track's codec, as the publisher wrote it.
    pub timestamp: u32,
    /// RTP marker bit.
    pub marker: bool,
    /// The publisher's payload type: outbound tracks translate it to the viewer's. With `LEADING` for leading pictures.
    pub payload_type: u8,
    /// Where the payload has the running numbers of its codec.
    pub descriptor: Descriptor,
    /// What its header extension says that viewers are told.
    pub elements: HeaderExtensions,
    /// What of its frame is in it.
    pub part: Part,
    /// True for the first packet of a picture that decodes without any earlier one (always true for audio).
    pub keyframe: bool,
    /// Of a leading picture (H.265 RASL): the last 32 bits of the index of the first packet of the keyframe before it. A
    /// decoder that begins there cannot decode it.
    pub leads: u32,
    /// The payload without header, extensions and padding; empty for a padding-only packet.
    pub payload: Bytes,
    /// Where the payload has copies of earlier packets beside its own, what is what. The payload type is then that of
    /// redundant sound.
    pub redundancy: Option<Redundancy>,
}

/// Set in the payload type of packets of leading pictures, so that for no other packet anything has to be looked at: payload
/// types have seven bits.
pub(super) const LEADING: u8 = 0x80;

impl Packet {
    /// It belongs to a leading picture, and this is the first packet of the keyframe before it in decoding order.
    pub(super) fn leads_from(&mut self, keyframe: Option<SourceIndex>) {
        // Where nobody can begin at the keyframe, its own index stands for that: nobody can begin there either.
        self.leads = keyframe.unwrap_or(self.index) as u32;
        self.payload_type |= LEADING;
    }

    /// Which packet this is: two packets with the same source are one and the same.
    pub fn source(&self) -> Source {
        Source { epoch: self.epoch, layer: self.layer, index: self.index }
    }

    /// The publisher's payload type of the medium, whether the packet has copies of earlier ones or not.
    pub fn medium(&self) -> u8 {
        self.redundancy.map_or(self.payload_type & !LEADING, Redundancy::carries)
    }

    /// The packet's own payload, without copies of earlier ones.
    pub fn own_payload(&self) -> &[u8] {
        self.redundancy.map_or(&self.payload[..], |redundancy| redundancy.own(&self.payload))
    }
}
