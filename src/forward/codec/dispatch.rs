//! Asks the file of each codec. Every `match` names all codecs, so that the compiler finds what a new one lacks.

use super::av1::{self, Av1Profile};
use super::descriptor::Descriptor;
use super::format::Format;
use super::frame_layer::FrameLayer;
use super::frame_size::FrameSize;
use super::h264::{self, H264Profile};
use super::h265::{self, H265Profile};
use super::kind::Codec;
use super::nal::{Reference, Unit};
use super::part::Part;
use super::{vp8, vp9};

/// Which decoder a format asks for, among those of its codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CodecProfile {
    /// The only one.
    Only,
    /// Of H.264.
    H264(H264Profile),
    /// Of H.265.
    H265(H265Profile),
    /// Of VP9: 0 to 3, by chroma and bit depth (RFC 9628 6).
    Vp9(u8),
    /// Of AV1.
    Av1(Av1Profile),
}

impl Format {
    /// The profile that the parameters name, or the default of the codec's payload format.
    pub(crate) fn profile(&self) -> CodecProfile {
        match self.codec {
            Codec::H264 => CodecProfile::H264(H264Profile::of(self)),
            Codec::H265 => CodecProfile::H265(H265Profile::of(self)),
            Codec::Vp9 => CodecProfile::Vp9(vp9::profile(self)),
            Codec::Av1 => CodecProfile::Av1(Av1Profile::of(self)),
            Codec::Vp8 | Codec::Opus | Codec::Multiopus | Codec::Pcmu | Codec::Pcma | Codec::G722 => CodecProfile::Only,
        }
    }

    /// False for parameters that no payload format has, or that nothing here reads.
    pub(crate) fn is_forwarded(&self) -> bool {
        match self.codec {
            Codec::H264 => self.packetization_mode() <= 2,
            Codec::H265 => h265::is_in_order(self),
            Codec::Vp8
            | Codec::Vp9
            | Codec::Av1
            | Codec::Opus
            | Codec::Multiopus
            | Codec::Pcmu
            | Codec::Pcma
            | Codec::G722 => true,
        }
    }
}

impl CodecProfile {
    /// The name that people read; `None` where the codec has only one profile.
    pub(crate) fn name(self) -> Option<String> {
        Some(match self {
            Self::Only => return None,
            Self::H264(profile) => profile.name(),
            Self::H265(profile) => profile.name(),
            Self::Vp9(number) => number.to_string(),
            Self::Av1(profile) => profile.name(),
        })
    }

    /// True when a decoder for this profile decodes that one by definition.
    pub(crate) fn contains(self, smaller: Self) -> bool {
        match (self, smaller) {
            (Self::H264(own), Self::H264(smaller)) => own.contains(smaller),
            (Self::H265(own), Self::H265(smaller)) => own.contains(smaller),
            (Self::Av1(own), Self::Av1(smaller)) => own.contains(smaller),
            (own, smaller) => own == smaller,
        }
    }
}

impl Part {
    /// What a payload of this codec contains.
    #[inline]
    pub fn of(codec: Codec, payload: &[u8]) -> Self {
        let is_keyframe = match codec {
            Codec::H264 => return h264::part(payload),
            Codec::H265 => return h265::part(payload),
            Codec::Av1 => return av1::part(payload),
            Codec::Vp8 => vp8::is_keyframe_start(payload),
            Codec::Vp9 => vp9::is_keyframe_start(payload),
            Codec::Opus | Codec::Multiopus | Codec::Pcmu | Codec::Pcma | Codec::G722 => !payload.is_empty(),
        };
        if is_keyframe { Self::KEYFRAME } else { Self::default() }
    }
}

/// True when a frame that decodes without any earlier one may begin with this payload, because it contains its first
/// slice or parameter sets; always true for audio with a payload.
pub fn may_begin(codec: Codec, payload: &[u8]) -> bool {
    let part = Part::of(codec, payload);
    part.is_keyframe() || part.has_sets()
}

impl FrameSize {
    /// The size in a payload that begins a keyframe, if it has one. Of several spatial layers the largest.
    pub fn of(codec: Codec, payload: &[u8]) -> Option<Self> {
        match codec {
            Codec::H264 => h264::size(payload),
            Codec::H265 => h265::size(payload),
            Codec::Vp8 => vp8::size(payload),
            Codec::Vp9 => vp9::size(payload),
            Codec::Av1 => av1::size(payload),
            Codec::Opus | Codec::Multiopus | Codec::Pcmu | Codec::Pcma | Codec::G722 => None,
        }
    }
}

impl Descriptor {
    /// Finds the numbers in a payload.
    pub fn of(codec: Codec, payload: &[u8]) -> Self {
        let found = match codec {
            Codec::Vp8 => vp8::descriptor(payload),
            Codec::Vp9 => vp9::descriptor(payload),
            Codec::H264
            | Codec::H265
            | Codec::Av1
            | Codec::Opus
            | Codec::Multiopus
            | Codec::Pcmu
            | Codec::Pcma
            | Codec::G722 => None,
        };
        // What is read and written there exists.
        let fits = |found: &Self| usize::from(found.picture_id_at.max(found.tl0_pic_idx_at)) + 1 < payload.len();
        found.filter(fits).unwrap_or_default()
    }
}

impl FrameLayer {
    /// The layer of the frame that a payload is part of. `None` where the payload cannot tell: a fragment of AV1, an
    /// empty payload, audio.
    #[inline]
    pub fn of(codec: Codec, payload: &[u8]) -> Option<Self> {
        match codec {
            Codec::H264 => h264::layer(payload),
            Codec::H265 => h265::layer(payload),
            Codec::Vp8 => vp8::layer(payload),
            Codec::Vp9 => vp9::layer(payload),
            Codec::Av1 => av1::layer(payload),
            Codec::Opus | Codec::Multiopus | Codec::Pcmu | Codec::Pcma | Codec::G722 => None,
        }
    }
}

/// A codec whose payloads contain NAL units, and so parameter sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NalCodec {
    /// H.264.
    H264,
    /// H.265.
    H265,
}

impl NalCodec {
    /// `None` for a codec without NAL units.
    pub(crate) fn of(codec: Codec) -> Option<Self> {
        match codec {
            Codec::H264 => Some(Self::H264),
            Codec::H265 => Some(Self::H265),
            Codec::Vp8
            | Codec::Vp9
            | Codec::Av1
            | Codec::Opus
            | Codec::Multiopus
            | Codec::Pcmu
            | Codec::Pcma
            | Codec::G722 => None,
        }
    }

    /// The format parameters that contain parameter sets (RFC 6184 8.1, RFC 7798 7.1).
    pub(super) fn sprop(self) -> &'static [&'static str] {
        match self {
            Self::H264 => &["sprop-parameter-sets"],
            Self::H265 => &["sprop-vps", "sprop-sps", "sprop-pps"],
        }
    }

    /// Visits the NAL units in a payload.
    pub(super) fn each_unit<'a>(self, payload: &'a [u8], visit: &mut impl FnMut(Unit<'a>)) {
        match self {
            Self::H264 => h264::each_unit(payload, visit),
            Self::H265 => h265::each_unit(payload, visit),
        }
    }

    /// What a NAL unit tells about parameter sets.
    pub(super) fn reference(self, unit: &Unit<'_>) -> Option<Reference> {
        match self {
            Self::H264 => h264::reference(unit),
            Self::H265 => h265::reference(unit),
        }
    }

    /// Whether a NAL unit is a parameter set.
    pub(super) fn is_set(self, unit: &Unit<'_>) -> bool {
        match self {
            Self::H264 => h264::is_set(unit.nal_type),
            Self::H265 => h265::is_set(unit.nal_type),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::codec::Kind;

    fn format(codec: Codec, parameters: &str) -> Format {
        Format { codec, clock_rate: codec.clock_rate(), channels: 0, parameters: parameters.to_owned() }
    }

    #[test]
    fn without_parameters_each_codec_has_the_profile_of_its_payload_format() {
        assert_eq!(format(Codec::H264, "").profile(), CodecProfile::H264(H264Profile::Baseline));
        assert_eq!(format(Codec::H265, "").profile(), CodecProfile::H265(H265Profile::MAIN));
        assert_eq!(format(Codec::Vp9, "").profile(), format(Codec::Vp9, "profile-id=0").profile());
        assert_eq!(format(Codec::Av1, "").profile(), format(Codec::Av1, "level-idx=5;profile=0;tier=0").profile());
        assert_eq!(format(Codec::Vp8, "").profile(), CodecProfile::Only);
    }

    #[test]
    fn profiles_have_names_for_people() {
        for (codec, parameters, name) in [
            (Codec::H264, "profile-level-id=42e01f", "constrained baseline"),
            (Codec::H264, "profile-level-id=64001f", "high"),
            (Codec::H264, "profile-level-id=f4001f", "244"),
            (Codec::H265, "profile-id=2", "main 10"),
            (Codec::H265, "", "main"),
            (Codec::H265, "profile-id=9", "9"),
            (Codec::Vp9, "profile-id=2", "2"),
            (Codec::Av1, "profile=1", "high"),
            (Codec::Av1, "profile=7", "7"),
        ] {
            assert_eq!(format(codec, parameters).profile().name().as_deref(), Some(name));
        }
        assert_eq!(format(Codec::Vp8, "").profile().name(), None);
    }

    #[test]
    fn parameters_that_no_payload_format_has_or_nothing_reads_are_not_forwarded() {
        let forwarded = |codec, parameters| format(codec, parameters).is_forwarded();
        for mode in ["", "packetization-mode=0", "packetization-mode=1", "packetization-mode=2"] {
            assert!(forwarded(Codec::H264, mode), "{mode}");
        }
        assert!(!forwarded(Codec::H264, "packetization-mode=3"));
        assert!(forwarded(Codec::H265, "tx-mode=SRST;sprop-max-don-diff=0"));
        assert!(!forwarded(Codec::H265, "tx-mode=MRST") && !forwarded(Codec::H265, "sprop-max-don-diff=1"));
    }

    #[test]
    fn audio_that_has_a_payload_begins_by_itself() {
        for codec in Codec::ALL.iter().copied().filter(|codec| codec.kind() == Kind::Audio) {
            assert!(may_begin(codec, &[0]) && !may_begin(codec, &[]));
        }
    }
}
