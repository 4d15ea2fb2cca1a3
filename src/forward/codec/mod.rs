//! What the relay must know of a codec: its name on the wire, whether two formats can be decoded as one, and where a
//! keyframe starts. One file per codec that has something to parse. Payloads come from strangers: every parser here
//! takes any bytes and answers, it never fails and never panics.

mod format;
mod h264;
mod keyframes;
mod vp8;

pub use format::{Fit, Format};
pub use h264::Profile as H264Profile;
pub use keyframes::KeyframeFinder;

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

impl Codec {
    /// Whether it codes sound or pictures.
    pub fn kind(self) -> Kind {
        match self {
            Self::H264 | Self::Vp8 => Kind::Video,
            Self::Opus => Kind::Audio,
        }
    }
}

/// True when this payload, by itself, begins a picture that decodes without any earlier one; always true for audio
/// that has a payload. An H.264 picture may begin in several packets (parameter sets, then slices):
/// [`KeyframeFinder`] marks only the first of them, this function each.
pub fn is_keyframe_start(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::H264 => h264::Start::of(payload) != h264::Start::None,
        Codec::Vp8 => vp8::is_keyframe_start(payload),
        Codec::Opus => !payload.is_empty(),
    }
}
