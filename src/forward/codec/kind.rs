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

/// Declares [`Codec`] from one row for each codec: documentation, variant, encoding name, RTP clock rate in hertz, kind.
macro_rules! codecs {
    ($($(#[$doc:meta])* $codec:ident = $name:literal / $clock_rate:literal $kind:ident,)+) => {
        /// A codec that sluice forwards.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Codec { $($(#[$doc])* $codec,)+ }

        impl Codec {
            /// All codecs, video first.
            pub const ALL: &'static [Self] = &[$(Self::$codec,)+];

            /// Whether it codes audio or video.
            pub fn kind(self) -> Kind {
                match self { $(Self::$codec => Kind::$kind,)+ }
            }

            /// The encoding name of its RTP payload format, as in `a=rtpmap`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$codec => $name,)+ }
            }

            /// Its RTP clock rate in hertz.
            pub fn clock_rate(self) -> u32 {
                match self { $(Self::$codec => $clock_rate,)+ }
            }
        }
    };
}

codecs! {
    /// ITU-T H.264, packetised by RFC 6184.
    H264 = "H264" / 90_000 Video,
    /// ITU-T H.265, packetised by RFC 7798.
    H265 = "H265" / 90_000 Video,
    /// VP8, packetised by RFC 7741.
    Vp8 = "VP8" / 90_000 Video,
    /// VP9, packetised by RFC 9628.
    Vp9 = "VP9" / 90_000 Video,
    /// AV1, packetised by the AV1 RTP specification of the Alliance for Open Media.
    Av1 = "AV1" / 90_000 Video,
    /// Opus with one or two channels, packetised by RFC 7587.
    Opus = "opus" / 48_000 Audio,
    /// Opus with several streams in a packet (RFC 7845 5.1.1), as Chromium sends surround sound.
    Multiopus = "multiopus" / 48_000 Audio,
    /// ITU-T G.711, mu-law (RFC 3551 4.5.14).
    Pcmu = "PCMU" / 8_000 Audio,
    /// ITU-T G.711, A-law (RFC 3551 4.5.14).
    Pcma = "PCMA" / 8_000 Audio,
    /// ITU-T G.722 (RFC 3551 4.5.2). It samples at 16 kHz, but its clock counts at 8 kHz.
    G722 = "G722" / 8_000 Audio,
}

impl Codec {
    /// The codec with this encoding name, compared without case (RFC 4855 3).
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_is_found_by_its_name_whatever_the_case() {
        for &codec in Codec::ALL {
            assert_eq!(Codec::named(codec.name()), Some(codec));
            assert_eq!(Codec::named(&codec.name().to_ascii_lowercase()), Some(codec));
        }
        assert_eq!(Codec::named("rtx"), None);
        assert_eq!(Codec::named(""), None);
    }
}
