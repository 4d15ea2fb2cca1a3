//! A codec with its parameters, as one payload type of an SDP section declares it.

use super::{Av1Profile, Codec, H264Profile, H265Profile, h265};

/// A codec with its parameters, as one payload type of an SDP section declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// The codec.
    pub codec: Codec,
    /// RTP clock in hertz.
    pub clock_rate: u32,
    /// Channels of an audio codec; 0 for video.
    pub channels: u8,
    /// The format parameters (`a=fmtp`) as the peer wrote them; may be empty.
    pub parameters: String,
}

/// Which decoder a format asks for, among those of its codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodecProfile {
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
    /// The value of a format parameter such as `profile-level-id`, name compared without case (RFC 6838 4.3).
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.split(';').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The profile that the parameters name, else the one that the codec's payload format has without.
    pub fn profile(&self) -> CodecProfile {
        match self.codec {
            Codec::H264 => CodecProfile::H264(self.h264_profile()),
            Codec::H265 => CodecProfile::H265(H265Profile::of(self)),
            Codec::Vp9 => CodecProfile::Vp9(self.parameter("profile-id").and_then(|id| id.parse().ok()).unwrap_or(0)),
            Codec::Av1 => CodecProfile::Av1(Av1Profile::of(self)),
            Codec::Vp8 | Codec::Opus | Codec::Multiopus | Codec::Pcmu | Codec::Pcma | Codec::G722 => CodecProfile::Only,
        }
    }

    /// The H.264 `packetization-mode`; 0, single NAL units only, where there is none (RFC 6184 8.1).
    pub fn packetization_mode(&self) -> u8 {
        self.parameter("packetization-mode").and_then(|mode| mode.parse().ok()).unwrap_or(0)
    }

    /// False for what the parameters declare and no payload format has, or nothing here reads.
    pub fn is_forwarded(&self) -> bool {
        match self.codec {
            Codec::H264 => self.packetization_mode() <= 2,
            Codec::H265 => h265::is_in_order(self),
            _ => true,
        }
    }

    /// The H.264 profile in `profile-level-id`; Baseline where there is none (RFC 6184 8.1).
    fn h264_profile(&self) -> H264Profile {
        self.parameter("profile-level-id").map_or(H264Profile::Baseline, H264Profile::of_level_id)
    }
}

impl CodecProfile {
    /// Its name for people; `None` where the codec has only one.
    pub fn name(self) -> Option<String> {
        Some(match self {
            Self::Only => return None,
            Self::H264(profile) => profile.name(),
            Self::H265(profile) => profile.name(),
            Self::Vp9(number) => number.to_string(),
            Self::Av1(profile) => profile.name(),
        })
    }

    /// True when a decoder for this profile decodes that one by definition.
    pub fn contains(self, smaller: Self) -> bool {
        match (self, smaller) {
            (Self::H264(own), Self::H264(smaller)) => own.contains(smaller),
            (Self::H265(own), Self::H265(smaller)) => own.contains(smaller),
            (Self::Av1(own), Self::Av1(smaller)) => own.contains(smaller),
            (own, smaller) => own == smaller,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(codec: Codec, parameters: &str) -> Format {
        Format { codec, clock_rate: codec.clock_rate(), channels: 0, parameters: parameters.to_owned() }
    }

    #[test]
    fn reads_parameters_whatever_their_case_and_spaces() {
        let safari = "level-asymmetry-allowed=1; Packetization-Mode=1; Profile-Level-Id=640C1F";
        let safari = format(Codec::H264, safari);
        assert_eq!(safari.parameter("profile-level-id"), Some("640C1F"));
        assert_eq!(safari.packetization_mode(), 1);
        assert_eq!(safari.profile(), CodecProfile::H264(H264Profile::ConstrainedHigh));
        assert_eq!(safari.parameter("sprop-parameter-sets"), None);
        assert_eq!(format(Codec::Opus, "useinbandfec").parameter("useinbandfec"), None);
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
    fn what_no_payload_format_has_or_nothing_reads_is_not_forwarded() {
        let forwarded = |codec, parameters| format(codec, parameters).is_forwarded();
        for mode in ["", "packetization-mode=0", "packetization-mode=1", "packetization-mode=2"] {
            assert!(forwarded(Codec::H264, mode), "{mode}");
        }
        assert!(!forwarded(Codec::H264, "packetization-mode=3"));
        assert!(forwarded(Codec::H265, "tx-mode=SRST;sprop-max-don-diff=0"));
        assert!(!forwarded(Codec::H265, "tx-mode=MRST") && !forwarded(Codec::H265, "sprop-max-don-diff=1"));
    }
}
