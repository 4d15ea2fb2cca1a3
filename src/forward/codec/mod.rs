//! What the relay must know of a codec: its name on the wire, whether two formats can be decoded as one, and where a
//! keyframe starts. One file per codec that has something to parse. Payloads come from strangers: every parser here
//! takes any bytes and answers, it never fails and never panics.

mod av1;
mod bits;
mod codec_match;
mod descriptor;
mod format;
mod h264;
mod h265;
mod keyframes;
mod kind;
mod part;
mod red;
mod sequence;
mod sets;
mod size;
mod vp8;
mod vp9;

pub use av1::Av1Profile;
pub use codec_match::Fit;
pub use descriptor::{Descriptor, PictureNumbers};
pub use format::{CodecProfile, Format};
pub use h264::H264Profile;
pub use h265::H265Profile;
pub use keyframes::KeyframeFinder;
pub use kind::{Codec, Kind, may_begin};
pub use part::Part;
pub use red::Redundancy;
pub use sets::{Lacking, ParameterSets};
pub use size::FrameSize;
