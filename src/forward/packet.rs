//! One published RTP packet: decrypted, parsed once, immutable, shared by every worker that forwards it.

use std::time::Instant;

use bytes::Bytes;

use super::codec::{Descriptor, FrameLayer, Part, Redundancy};
use super::header_extensions::HeaderExtensions;
use super::source::{Generation, LayerId, Source, SourceIndex};

/// A packet on its way from a publisher to the outbound tracks. Always in an `Arc`: the publisher's worker creates it,
/// and every worker with viewers reads it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// When the kernel handed it to the relay.
    pub received: Instant,
    /// Which source of which publisher sent it.
    pub generation: Generation,
    /// Which encoding of the track it belongs to.
    pub layer: LayerId,
    /// Its index in the publisher's RTP stream.
    pub index: SourceIndex,
    /// RTP timestamp as the publisher wrote it, in the clock of the track's codec.
    pub timestamp: u32,
    /// RTP marker bit.
    pub marker: bool,
    /// The publisher's payload type, which outbound tracks map to the viewer's. Combined with `LEADING` for leading
    /// pictures.
    pub payload_type: u8,
    /// Where the payload holds PictureID and TL0PICIDX.
    pub descriptor: Descriptor,
    /// Which layer of its encoding the frame belongs to.
    pub frame: FrameLayer,
    /// Its header extensions, as far as viewers get them.
    pub extensions: HeaderExtensions,
    /// Which part of a frame it contains.
    pub part: Part,
    /// True for the first packet of a frame that decodes without any earlier one (always true for audio).
    pub keyframe: bool,
    /// For a leading picture (H.265 RASL): the last 32 bits of the index of the first packet of the keyframe before it.
    /// A decoder that begins at that keyframe cannot decode this packet.
    pub leads: u32,
    /// The payload without header, extensions and padding; empty for a padding-only packet.
    pub payload: Bytes,
    /// For redundant audio, where the payload holds which copy of which packet. The payload type is then that of
    /// redundant audio.
    pub redundancy: Option<Redundancy>,
}

/// Set in the payload type of leading pictures, so that comparing the payload type finds them without another check.
/// RTP payload types have seven bits.
pub(super) const LEADING: u8 = 0x80;

impl Packet {
    /// Marks a packet of a leading picture, with the first packet of the keyframe before it in decoding order.
    pub(super) fn leads_from(&mut self, keyframe: Option<SourceIndex>) {
        // Where no viewer can begin at the keyframe, the packet's own index stands for it: no viewer begins there
        // either.
        self.leads = keyframe.unwrap_or(self.index) as u32;
        self.payload_type |= LEADING;
    }

    /// Which packet this is: two packets with the same source are the same packet.
    pub(crate) fn source(&self) -> Source {
        Source { generation: self.generation, layer: self.layer, index: self.index }
    }

    /// The publisher's payload type of the media itself, with or without copies of earlier packets.
    pub(crate) fn media_payload_type(&self) -> u8 {
        self.redundancy.map_or(self.payload_type & !LEADING, Redundancy::carries)
    }

    /// The packet's own payload, without copies of earlier ones.
    pub(crate) fn own_payload(&self) -> &[u8] {
        self.redundancy.map_or(&self.payload[..], |redundancy| redundancy.own(&self.payload))
    }
}
