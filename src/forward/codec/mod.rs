//! What the relay must know of a codec: its name in SDP, whether a viewer's decoder can take what a publisher sends,
//! where a keyframe starts, how large a frame is. Payloads come from the network: every parser here accepts any bytes
//! and never panics.
//!
//! To add a codec, name it in `kind.rs`, write a file here with what is particular to it (`vp9.rs` is an example), and
//! let `dispatch.rs`, where this folder chooses by codec, ask that file. The compiler lists each `match` to complete
//! here. Outside, `sdp/payload.rs` says how many channels an audio codec may have (one that it does not name is
//! refused) and `sdp/narrow.rs` which of a codec's payload types an answer keeps; `worker/publishing/track.rs` says
//! which codecs have parameter sets; `peer/client/media.rs` publishes it in tests.

mod av1;
mod bits;
mod codec_match;
mod dependency_structure;
mod descriptor;
mod dispatch;
mod format;
mod frame_layer;
mod frame_layers;
mod frame_size;
mod h264;
mod h265;
mod keyframe_finder;
mod kind;
mod nal;
mod parameter_sets;
mod part;
mod red;
mod sequence_header;
mod vp8;
mod vp9;

pub use descriptor::{Descriptor, PictureIds};
pub(crate) use dispatch::CodecProfile;
pub use dispatch::may_begin;
pub use format::Format;
pub use frame_layer::FrameLayer;
pub use frame_layers::FrameLayers;
pub use frame_size::FrameSize;
pub(crate) use h264::H264Profile;
pub use keyframe_finder::KeyframeFinder;
pub use kind::{Codec, Kind};
pub(crate) use parameter_sets::Lacking;
pub use parameter_sets::ParameterSets;
pub use part::Part;
pub use red::Redundancy;
