//! Audio and video, and the codecs that sluice forwards.

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Audio.
    Audio,
    /// Video.
    Video,
}

impl Kind {
    /// The name in SDP media lines, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }
}

/// A codec that sluice forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// ITU-T H.264, packetised by RFC 6184.
    H264,
    /// ITU-T H.265, packetised by RFC 7798.
    H265,
    /// VP8, packetised by RFC 7741.
    Vp8,
    /// VP9, packetised by RFC 9628.
    Vp9,
    /// AV1, packetised by the AV1 RTP specification of the Alliance for Open Media.
    Av1,
    /// Opus with one or two channels, packetised by RFC 7587.
    Opus,
    /// Opus with several streams in a packet (RFC 7845 5.1.1), as Chromium sends surround sound.
    Multiopus,
    /// ITU-T G.711, mu-law (RFC 3551 4.5.14).
    Pcmu,
    /// ITU-T G.711, A-law (RFC 3551 4.5.14).
    Pcma,
    /// ITU-T G.722 (RFC 3551 4.5.2).
    G722,
}

impl Codec {
    /// All codecs, video first.
    pub const ALL: [Self; 10] = [
        Self::H264,
        Self::H265,
        Self::Vp8,
        Self::Vp9,
        Self::Av1,
        Self::Opus,
        Self::Multiopus,
        Self::Pcmu,
        Self::Pcma,
        Self::G722,
    ];

    /// Whether it codes audio or video.
    pub fn kind(self) -> Kind {
        match self {
            Self::H264 | Self::H265 | Self::Vp8 | Self::Vp9 | Self::Av1 => Kind::Video,
            Self::Opus | Self::Multiopus | Self::Pcmu | Self::Pcma | Self::G722 => Kind::Audio,
        }
    }

    /// The encoding name of its RTP payload format, as in `a=rtpmap`.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::H265 => "H265",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::Av1 => "AV1",
            Self::Opus => "opus",
            Self::Multiopus => "multiopus",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
        }
    }

    /// The codec with this encoding name, compared without case (RFC 4855 3).
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// Its RTP clock in hertz. G.722 samples at 16 kHz but its clock counts at 8 kHz (RFC 3551 4.5.2).
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::H264 | Self::H265 | Self::Vp8 | Self::Vp9 | Self::Av1 => 90_000,
            Self::Opus | Self::Multiopus => 48_000,
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_is_found_by_its_name_whatever_the_case() {
        for codec in Codec::ALL {
            assert_eq!(Codec::named(codec.name()), Some(codec));
            assert_eq!(Codec::named(&codec.name().to_ascii_lowercase()), Some(codec));
        }
        assert_eq!(Codec::named("rtx"), None);
        assert_eq!(Codec::named(""), None);
    }
}
