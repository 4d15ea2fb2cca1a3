//! A codec with its parameters, as one payload type of an SDP section declares it.

use super::kind::Codec;

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

impl Format {
    /// The value of a format parameter such as `profile-level-id`, name compared without case (RFC 6838 4.3).
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.split(';').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The H.264 `packetization-mode`; 0, single NAL units only, where there is none (RFC 6184 8.1).
    pub(crate) fn packetization_mode(&self) -> u8 {
        self.parameter("packetization-mode").and_then(|mode| mode.parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::codec::{CodecProfile, H264Profile};

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
}
