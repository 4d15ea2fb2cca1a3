//! Whether a viewer's decoder can take a format other than the negotiated one.
//!
//! The rule: formats are compared by profile and by what a depacketiser must know, never by the whole `a=fmtp` line, in
//! which any two clients differ in level, tier and order.

use super::format::Format;
use super::kind::Codec;

/// How well a viewer's format matches the stream's, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FormatMatch {
    /// The same format, that is the same codec, clock, channels, profile and packetisation (the level may differ):
    /// every client plays it.
    Same,
    /// A decoder for the viewer's format decodes the stream's by definition (a profile contained in the other, or H.264
    /// packetisation mode 0 sent to mode 1).
    Contained,
    /// The same codec, but beyond what was negotiated. Most decoders play it, and the alternative is no video.
    Beyond,
}

impl Format {
    /// How well a viewer that negotiated this format can take a stream of that one; `None` when not at all. Of several
    /// formats of a viewer, the smallest match is the best.
    pub(crate) fn format_match(&self, stream: &Self) -> Option<FormatMatch> {
        let line = |format: &Self| (format.codec, format.clock_rate, format.channels);
        if line(self) != line(stream) {
            return None;
        }
        let packets = match self.codec {
            Codec::H264 => self.match_of_packetization(stream)?,
            Codec::Multiopus => self.match_of_surround(stream)?,
            Codec::H265
            | Codec::Vp8
            | Codec::Vp9
            | Codec::Av1
            | Codec::Opus
            | Codec::Pcmu
            | Codec::Pcma
            | Codec::G722 => FormatMatch::Same,
        };
        let (own, sent) = (self.profile(), stream.profile());
        let decoder = match own == sent {
            true => FormatMatch::Same,
            false if own.contains(sent) => FormatMatch::Contained,
            false => FormatMatch::Beyond,
        };
        Some(packets.max(decoder))
    }

    /// RFC 6184 table 3: mode 1 includes all of mode 0; the interleaved mode 2 shares only fragments with them.
    fn match_of_packetization(&self, stream: &Self) -> Option<FormatMatch> {
        let (own, sent) = (self.packetization_mode(), stream.packetization_mode());
        match own == sent {
            true => Some(FormatMatch::Same),
            false if own == 2 || sent == 2 => None,
            false if sent < own => Some(FormatMatch::Contained),
            false => Some(FormatMatch::Beyond),
        }
    }

    /// The number of streams in a packet must be the same; the channel mapping should be.
    fn match_of_surround(&self, stream: &Self) -> Option<FormatMatch> {
        let same = |name| self.parameter(name) == stream.parameter(name);
        let fit = if same("channel_mapping") { FormatMatch::Same } else { FormatMatch::Beyond };
        (same("num_streams") && same("coupled_streams")).then_some(fit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(codec: Codec, channels: u8, parameters: &str) -> Format {
        Format { codec, clock_rate: codec.clock_rate(), channels, parameters: parameters.to_owned() }
    }

    fn h264(parameters: &str) -> Format {
        format(Codec::H264, 0, parameters)
    }

    const FFMPEG: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42000a";
    const CHROMIUM_BASELINE: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f";
    const CHROMIUM_CONSTRAINED: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
    const CHROMIUM_HIGH: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f";
    const SAFARI_HIGH: &str = "level-asymmetry-allowed=1; Packetization-Mode=1; Profile-Level-Id=640C1F";

    #[test]
    fn h264_is_the_same_by_profile_and_packetisation_mode_whatever_the_level() {
        let same = |viewer, stream| h264(viewer).format_match(&h264(stream)) == Some(FormatMatch::Same);
        assert!(same(FFMPEG, CHROMIUM_BASELINE));
        assert!(same(CHROMIUM_CONSTRAINED, "packetization-mode=1;profile-level-id=42c02a"));
        assert!(!same(FFMPEG, CHROMIUM_CONSTRAINED));
        assert!(!same(SAFARI_HIGH, CHROMIUM_HIGH));
        assert!(!same(FFMPEG, "profile-level-id=42001f"));
        assert!(same("", "packetization-mode=0;profile-level-id=42000a"));
    }

    #[test]
    fn a_larger_profile_takes_a_smaller_one_and_not_the_other_way() {
        let fit = |viewer, stream| h264(viewer).format_match(&h264(stream));
        assert_eq!(fit(CHROMIUM_HIGH, SAFARI_HIGH), Some(FormatMatch::Contained));
        assert_eq!(fit(CHROMIUM_HIGH, CHROMIUM_CONSTRAINED), Some(FormatMatch::Contained));
        assert_eq!(fit(CHROMIUM_BASELINE, CHROMIUM_CONSTRAINED), Some(FormatMatch::Contained));
        assert_eq!(fit(CHROMIUM_CONSTRAINED, CHROMIUM_HIGH), Some(FormatMatch::Beyond));
        assert_eq!(fit(CHROMIUM_BASELINE, "profile-level-id=42001f"), Some(FormatMatch::Contained));
        assert_eq!(fit("profile-level-id=42001f", CHROMIUM_BASELINE), Some(FormatMatch::Beyond));
        assert!(FormatMatch::Same < FormatMatch::Contained && FormatMatch::Contained < FormatMatch::Beyond);
    }

    #[test]
    fn the_interleaved_mode_fits_itself_alone() {
        let mode = |mode: u8| h264(&format!("packetization-mode={mode};profile-level-id=42e01f"));
        assert_eq!(mode(2).format_match(&mode(2)), Some(FormatMatch::Same));
        for other in [0, 1] {
            assert_eq!((mode(2).format_match(&mode(other)), mode(other).format_match(&mode(2))), (None, None));
        }
    }

    #[test]
    fn h265_vp9_and_av1_are_the_same_by_profile_whatever_the_level() {
        let fit = |codec, viewer: &str, stream: &str| format(codec, 0, viewer).format_match(&format(codec, 0, stream));
        let chromium = "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST";
        assert_eq!(fit(Codec::H265, chromium, "level-id=180;profile-id=1"), Some(FormatMatch::Same));
        assert_eq!(fit(Codec::H265, "profile-id=2", chromium), Some(FormatMatch::Contained));
        assert_eq!(fit(Codec::H265, chromium, "profile-id=2"), Some(FormatMatch::Beyond));
        assert_eq!(fit(Codec::Av1, "level-idx=5;profile=0;tier=0", "level-idx=13;tier=1"), Some(FormatMatch::Same));
        assert_eq!(fit(Codec::Av1, "profile=1", ""), Some(FormatMatch::Contained));
        assert_eq!(fit(Codec::Av1, "", "profile=1"), Some(FormatMatch::Beyond));
        assert_eq!(fit(Codec::Vp9, "profile-id=0", ""), Some(FormatMatch::Same));
        assert_eq!(fit(Codec::Vp9, "profile-id=2", "profile-id=0"), Some(FormatMatch::Beyond));
    }

    #[test]
    fn surround_audio_matches_with_the_same_number_of_streams_in_a_packet() {
        let surround = |channels, streams, mapping: &str| {
            let parameters = format!("channel_mapping={mapping};coupled_streams=2;minptime=10;num_streams={streams}");
            format(Codec::Multiopus, channels, &parameters)
        };
        let chromium = surround(6, 4, "0,4,1,2,3,5");
        assert_eq!(chromium.format_match(&surround(6, 4, "0,4,1,2,3,5")), Some(FormatMatch::Same));
        assert_eq!(chromium.format_match(&surround(6, 4, "0,1,4,2,3,5")), Some(FormatMatch::Beyond));
        assert_eq!(chromium.format_match(&surround(6, 5, "0,4,1,2,3,5")), None);
        assert_eq!(chromium.format_match(&surround(8, 4, "0,4,1,2,3,5")), None);
    }

    #[test]
    fn another_codec_clock_or_channel_count_never_fits() {
        let vp8 = format(Codec::Vp8, 0, "");
        assert_eq!(vp8.format_match(&h264("")), None);
        assert_eq!(vp8.format_match(&vp8.clone()), Some(FormatMatch::Same));
        let opus = |channels, parameters| format(Codec::Opus, channels, parameters);
        assert_eq!(opus(2, "").format_match(&opus(1, "")), None);
        assert_eq!(opus(2, "").format_match(&Format { clock_rate: 16_000, ..opus(2, "") }), None);
        let other_parameters = opus(2, "minptime=10;useinbandfec=1").format_match(&opus(2, "stereo=1"));
        assert_eq!(other_parameters, Some(FormatMatch::Same));
        assert_eq!(format(Codec::Pcmu, 1, "").format_match(&format(Codec::Pcma, 1, "")), None);
    }
}
