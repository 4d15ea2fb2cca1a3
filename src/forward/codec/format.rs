//! A codec with its parameters, and whether a viewer's decoder that was promised one format may be fed another.
//!
//! The rule: H.264 is compared by profile and packetisation mode, never by the whole `a=fmtp` line, which differs in
//! level and order between any two clients.

use super::{Codec, H264Profile};

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

/// How well a viewer's format takes a stream's, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// The same format: every client plays it.
    Same,
    /// A decoder for the viewer's format decodes the stream's by definition (RFC 6184 8.1: a profile contained in the
    /// other, or packetisation mode 0 sent to mode 1).
    Contained,
    /// The same codec, but more than was promised. Most decoders play it, and the other choice is no picture.
    Hopeful,
}

impl Format {
    /// The value of a format parameter such as `profile-level-id`, name compared without case (RFC 6838 4.3).
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.split(';').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// True when both name the same format: the same codec, clock and channels and, for H.264, the same profile and
    /// packetisation mode (RFC 6184 8.2.2; the level may differ).
    pub fn compatible(&self, other: &Self) -> bool {
        self.fit(other) == Some(Fit::Same)
    }

    /// How well a viewer that negotiated this format takes a stream of that one; `None` when not at all. Of several
    /// formats of a viewer, the one with the smallest fit is the right one.
    pub fn fit(&self, stream: &Self) -> Option<Fit> {
        let line = |format: &Self| (format.codec, format.clock_rate, format.channels);
        if line(self) != line(stream) {
            return None;
        }
        match self.codec {
            Codec::H264 => Some(self.fit_h264(stream)),
            Codec::Vp8 | Codec::Opus => Some(Fit::Same),
        }
    }

    fn fit_h264(&self, stream: &Self) -> Fit {
        let (own, sent) = (self.h264_profile(), stream.h264_profile());
        let (own_mode, sent_mode) = (self.packetization_mode(), stream.packetization_mode());
        if own == sent && own_mode == sent_mode {
            Fit::Same
        } else if own.contains(sent) && sent_mode <= own_mode {
            Fit::Contained
        } else {
            Fit::Hopeful
        }
    }

    /// The H.264 profile in `profile-level-id`; Baseline where there is none (RFC 6184 8.1).
    pub fn h264_profile(&self) -> H264Profile {
        self.parameter("profile-level-id").map_or(H264Profile::Baseline, H264Profile::of_level_id)
    }

    /// The H.264 `packetization-mode`; 0, single NAL units only, where there is none (RFC 6184 8.1).
    pub fn packetization_mode(&self) -> u8 {
        self.parameter("packetization-mode").and_then(|mode| mode.parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h264(parameters: &str) -> Format {
        Format { codec: Codec::H264, clock_rate: 90_000, channels: 0, parameters: parameters.to_owned() }
    }

    fn opus(channels: u8, parameters: &str) -> Format {
        Format { codec: Codec::Opus, clock_rate: 48_000, channels, parameters: parameters.to_owned() }
    }

    const FFMPEG: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42000a";
    const CHROMIUM_BASELINE: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f";
    const CHROMIUM_CONSTRAINED: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
    const CHROMIUM_HIGH: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f";
    const SAFARI_HIGH: &str = "level-asymmetry-allowed=1; Packetization-Mode=1; Profile-Level-Id=640C1F";

    #[test]
    fn reads_parameters_whatever_their_case_and_spaces() {
        let format = h264(SAFARI_HIGH);
        assert_eq!(format.parameter("profile-level-id"), Some("640C1F"));
        assert_eq!(format.parameter("packetization-mode"), Some("1"));
        assert_eq!(format.parameter("sprop-parameter-sets"), None);
        assert_eq!(h264("useinbandfec").parameter("useinbandfec"), None);
    }

    #[test]
    fn h264_is_the_same_by_profile_and_packetisation_mode_whatever_the_level() {
        assert!(h264(FFMPEG).compatible(&h264(CHROMIUM_BASELINE)));
        assert!(h264(CHROMIUM_CONSTRAINED).compatible(&h264("packetization-mode=1;profile-level-id=42c02a")));
        assert!(!h264(FFMPEG).compatible(&h264(CHROMIUM_CONSTRAINED)));
        assert!(!h264(SAFARI_HIGH).compatible(&h264(CHROMIUM_HIGH)));
        assert!(!h264(FFMPEG).compatible(&h264("profile-level-id=42001f")));
        assert!(h264("").compatible(&h264("packetization-mode=0;profile-level-id=42000a")));
    }

    #[test]
    fn a_larger_profile_takes_a_smaller_one_and_not_the_other_way() {
        let fit = |viewer, stream| h264(viewer).fit(&h264(stream));
        assert_eq!(fit(CHROMIUM_HIGH, SAFARI_HIGH), Some(Fit::Contained));
        assert_eq!(fit(CHROMIUM_HIGH, CHROMIUM_CONSTRAINED), Some(Fit::Contained));
        assert_eq!(fit(CHROMIUM_BASELINE, CHROMIUM_CONSTRAINED), Some(Fit::Contained));
        assert_eq!(fit(CHROMIUM_CONSTRAINED, CHROMIUM_HIGH), Some(Fit::Hopeful));
        assert_eq!(fit(CHROMIUM_BASELINE, "profile-level-id=42001f"), Some(Fit::Contained));
        assert_eq!(fit("profile-level-id=42001f", CHROMIUM_BASELINE), Some(Fit::Hopeful));
        assert!(Fit::Same < Fit::Contained && Fit::Contained < Fit::Hopeful);
    }

    #[test]
    fn another_codec_clock_or_channel_count_never_fits() {
        let vp8 = Format { codec: Codec::Vp8, ..h264("") };
        assert_eq!(vp8.fit(&h264("")), None);
        assert_eq!(vp8.fit(&vp8.clone()), Some(Fit::Same));
        assert_eq!(opus(2, "").fit(&opus(1, "")), None);
        assert!(opus(2, "minptime=10;useinbandfec=1").compatible(&opus(2, "")));
    }
}
