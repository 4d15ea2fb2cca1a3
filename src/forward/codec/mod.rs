//! What the relay must know of a codec: its name on the wire, whether two formats can be decoded as one, and where a
//! keyframe starts. One file per codec that has something to parse.

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Pictures.
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
    /// VP8, packetised by RFC 7741.
    Vp8,
    /// Opus, packetised by RFC 7587.
    Opus,
}

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
