//! The parameter sets of one published video (H.264, H.265): the newest of each id, from its packets or from its offer,
//! and which of them a keyframe lacks.
//!
//! A decoder can begin at a keyframe only with the sets that its slices refer to. Some encoders repeat them before each
//! keyframe, some send them once, and some only write them into the offer (`sprop-parameter-sets`, RFC 6184 8.1;
//! `sprop-vps`, `sprop-sps` and `sprop-pps`, RFC 7798 7.1). They come from the network, so their number and size are
//! bounded.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use super::dispatch::NalCodec;
use super::format::Format;
use super::frame_size::FrameSize;
use super::kind::Codec;
use super::nal::{Reference, SetId, SetKind};

/// Some senders leave out the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Sets kept of one video. When full, the oldest is dropped.
const MOST: usize = 32;

/// Octets of the largest set that is kept: it must fit into one packet.
const LARGEST: usize = 1024;

/// Limits of the sets inserted before one keyframe: their number and octets.
const MOST_ADDED: usize = 16;
const MOST_OCTETS: usize = 4096;

/// The newest parameter sets of one video.
#[derive(Clone, Debug)]
pub struct ParameterSets {
    codec: Codec,
    /// The oldest is first.
    sets: Vec<Set>,
}

#[derive(Clone, Debug)]
struct Set {
    own: SetId,
    parent: Option<SetId>,
    /// With its NAL header.
    unit: Bytes,
    /// The index of the packet that contained it; `None` for a set of the offer.
    index: Option<u64>,
}

impl ParameterSets {
    /// The sets in an offered format.
    pub fn of(format: &Format) -> Self {
        let mut sets = Self { codec: format.codec, sets: Vec::new() };
        let parameters = NalCodec::of(format.codec).map_or(&[][..], NalCodec::sprop);
        for text in parameters.iter().filter_map(|name| format.parameter(name)) {
            for unit in text.split(',').filter_map(|unit| BASE64.decode(unit.trim()).ok()) {
                sets.note(None, &unit);
            }
        }
        sets
    }

    /// Stores the sets of a payload that arrived with this index. Of two sets with the same id, the one with the higher
    /// index is kept.
    pub fn note(&mut self, index: Option<u64>, payload: &[u8]) {
        let Some(codec) = NalCodec::of(self.codec) else { return };
        codec.each_unit(payload, &mut |unit| {
            let Some(whole) = unit.whole.filter(|whole| whole.len() <= LARGEST) else { return };
            let Some(Reference::Set { own, parent }) = codec.reference(&unit) else { return };
            let known = self.sets.iter().position(|set| set.own == own);
            match known {
                Some(at) if self.sets[at].index > index => return,
                // The usual case: the same set again, which needs no new memory.
                Some(at) if self.sets[at].unit == whole => return self.sets[at].index = index,
                Some(at) => drop(self.sets.remove(at)),
                None if self.sets.len() == MOST => drop(self.sets.remove(0)),
                None => {}
            }
            self.sets.push(Set { own, parent, unit: Bytes::copy_from_slice(whole), index });
        });
    }

    /// The codec of the video.
    pub(crate) fn codec(&self) -> Codec {
        self.codec
    }

    /// The size of the frames, according to the sequence parameter set that arrived last.
    pub fn size(&self) -> Option<FrameSize> {
        let sequences = self.sets.iter().rev().filter(|set| set.own.kind == SetKind::Sequence);
        sequences.map(|set| FrameSize::of(self.codec, &set.unit)).next().flatten()
    }

    /// True when no set is known.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The publisher's packets are numbered anew: known sets are kept until newer ones arrive.
    pub(crate) fn begin_again(&mut self) {
        for set in &mut self.sets {
            set.index = None;
        }
    }

    /// What a keyframe lacks that begins with these payloads, the last of which contains its first slice.
    pub fn lacking(&self, payloads: &[&[u8]]) -> Lacking {
        let mut own: Vec<(SetId, Option<SetId>)> = Vec::new();
        let (mut needed, mut in_fragments) = (None, false);
        for payload in payloads {
            let Some(codec) = NalCodec::of(self.codec) else { break };
            codec.each_unit(payload, &mut |unit| match codec.reference(&unit) {
                // The id of a fragmented set is in its first fragment, and that is enough.
                Some(Reference::Set { own: set, parent }) if unit.begins => own.push((set, parent)),
                Some(Reference::Slice(set)) => needed = needed.or(Some(set)),
                _ => in_fragments |= codec.is_set(&unit),
            });
        }
        let known = |id: SetId| self.sets.iter().find(|set| set.own == id);
        let is_own = |id: SetId| own.iter().any(|(set, _)| *set == id);
        let parent = |id: SetId| {
            let own = own.iter().find(|(set, _)| *set == id).map(|(_, parent)| *parent);
            own.unwrap_or_else(|| known(id).and_then(|set| set.parent))
        };
        let picture = needed;
        let sequence = picture.and_then(parent);
        let video = sequence.and_then(parent);
        let chain = [video, sequence, picture];
        let is_complete = match picture {
            Some(picture) => is_own(picture) && sequence.is_some_and(is_own),
            None => own.iter().any(|(set, _)| set.kind == SetKind::Sequence),
        };
        let is_needed = |set: &&Set| {
            if is_own(set.own) {
                return false;
            }
            match sequence {
                // Later frames of the same sequence may need others of its picture parameter sets.
                Some(_) => chain.contains(&Some(set.own)) || set.parent == sequence && set.own.kind == SetKind::Picture,
                None => true,
            }
        };
        let mut added: Vec<&Set> = self.sets.iter().filter(is_needed).collect();
        // Those that the first slice needs come before others of their kind, so that they are included when not all
        // fit.
        added.sort_by_key(|set| (!chain.contains(&Some(set.own)), set.own));
        let mut octets = 0;
        added.retain(|set| {
            octets += set.unit.len();
            octets <= MOST_OCTETS
        });
        added.truncate(MOST_ADDED);
        added.sort_by_key(|set| set.own);
        let is_known = |id: SetId| is_own(id) || added.iter().any(|set| set.own == id);
        let decodes = match (picture, sequence) {
            (Some(picture), Some(sequence)) => is_known(picture) && is_known(sequence),
            _ => !added.is_empty() || is_complete,
        };
        Lacking {
            units: added.iter().map(|set| set.unit.clone()).collect(),
            has_own: !own.is_empty() || in_fragments,
            is_complete,
            decodes: decodes || in_fragments,
        }
    }
}

/// What a keyframe lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    /// NAL units to insert before it.
    pub(crate) units: Vec<Bytes>,
    /// It came with some parameter sets of its own.
    pub(crate) has_own: bool,
    /// It came with all that its first slice needs.
    pub(crate) is_complete: bool,
    /// With the inserted units, a decoder can begin at it.
    pub(crate) decodes: bool,
}
