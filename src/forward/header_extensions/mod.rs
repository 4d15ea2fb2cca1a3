//! RTP header extensions (RFC 8285): read once where a packet arrives, written for each viewer.

mod frame_numbers;
mod read;
mod write;

pub use read::HeaderExtensions;
pub(crate) use read::PersistentExtensions;
pub(crate) use write::ExtensionBlocks;
pub use write::ExtensionIds;
pub(crate) use write::LONGEST_MID;
