//! From a publisher's packets to a viewer's RTP stream: what is parsed once, stored, rewritten and resent.
//!
//! A publisher's packet is decrypted and parsed once ([`Packet`], [`codec`]) and kept for about a second in each worker
//! that has viewers of it ([`History`]). Each viewer's [`OutboundTrack`] reads packets from there and writes them into
//! the viewer's own continuous RTP stream ([`Splice`](splice::Splice)). This module gets the bytes and the time as
//! arguments and returns values; it uses no socket and no clock.

pub mod codec;
mod header_extensions;
mod history;
mod keyframes;
mod layer_clocks;
mod outbound_track;
mod packet;
mod playout_delay;
mod repair_delay;
mod rtp_header;
mod source;
mod splice;

pub use header_extensions::{ExtensionIds, HeaderExtensions};
pub(crate) use header_extensions::{LONGEST_MID, PersistentExtensions};
pub use history::{CacheLimits, History, HistoryLimits};
pub(crate) use history::{CachedFrames, Get};
pub use keyframes::KeyframeAssembler;
pub(crate) use keyframes::{ANSWER_TIME, KeyframeGate, SetsSource};
pub(crate) use layer_clocks::LayerClocks;
pub use outbound_track::{BURST_OCTETS, FirstNumbers, NegotiatedFormat, OutboundTrack, OutboundTrackConfig, Written};
pub(crate) use outbound_track::{Counts, FrameLimit, Histories, TrackState, catch_up_time};
pub use packet::Packet;
pub(crate) use playout_delay::{DelayRamp, PlayoutDelay};
pub(crate) use repair_delay::RepairBuffer;
pub use source::{Epoch, Generation, LayerId};
pub(crate) use source::{LayerSet, Source};
