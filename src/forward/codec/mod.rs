//! What the relay must know of a codec: its name in SDP, whether a viewer's decoder can take what a publisher sends,
//! where a keyframe starts, how large a frame is. Payloads come from the network: every parser here accepts any bytes
//! and never panics.
//!
//! # To add a codec
//!
//! Add its row to `kind.rs` and a file here with what is particular to it (`vp9.rs` is an example). The compiler then
//! lists each `match` to complete: `dispatch.rs`, which asks that file; `codec_match.rs`; `peer/client/media.rs`, which
//! publishes it in tests; `tests/fuzz/codecs.rs`, which needs an example of a payload.
//!
//! The compiler does not find these: `sdp/payload.rs` says how many channels an audio codec may have (one that it does
//! not name is refused) and which payload types need no `a=rtpmap`; `sdp/narrow.rs` says which of its payload types an
//! answer keeps; the error texts in `sdp/section.rs` and README.md list the codecs; in `http/pages/assets`, `words.js`
//! has its name and `encoder.js` lets Chromium begin with a high bitrate.

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
pub use dispatch::may_begin;
pub(crate) use dispatch::{CodecProfile, NalCodec};
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
