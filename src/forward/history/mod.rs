//! The recent packets of one layer of a track, from which each viewer is served, and how much is kept since the newest
//! keyframe.

mod ring;
mod rtp_stream;
mod since_keyframe;

pub(crate) use ring::Get;
pub use ring::{History, HistoryLimits};
pub use since_keyframe::CacheLimits;
pub(crate) use since_keyframe::CachedFrames;
