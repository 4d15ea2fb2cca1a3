//! From a publisher's packets to a viewer's RTP stream: what is parsed once, stored, rewritten and resent.
//!
//! A publisher's packet is decrypted and parsed once ([`Packet`], [`codec`]) and kept for about a second in each worker
//! that has viewers of it ([`History`]). Each viewer's [`OutboundTrack`] reads packets from there and writes them into
//! the viewer's own continuous RTP stream ([`Splice`]). This module gets the bytes and the time as arguments and
//! returns values; it uses no socket and no clock.

pub mod codec;
mod header_extensions;
mod history;
mod keyframes;
mod outbound_track;
mod packet;
mod playout_delay;
mod repair_delay;
mod rtp_header;
mod source;
mod splice;

pub use header_extensions::{ExtensionIds, HeaderExtensions, LONGEST_MID, PersistentExtensions};
pub use history::{CacheLimits, CachedFrames, Get, History, HistoryLimits};
pub use keyframes::{ANSWER_TIME, KeyframeAssembler, KeyframeGate, REQUEST_INTERVAL, SetsSource};
pub use outbound_track::{
    BURST_OCTETS, Counts, FirstNumbers, Negotiated, OutboundTrack, OutboundTrackConfig, RESENDS_PER_PACKET, Resend,
    TrackState, Written, catch_up_time,
};
pub use packet::Packet;
pub use playout_delay::{DelayRamp, PlayoutDelay};
pub use repair_delay::RepairBuffer;
pub use source::{Epoch, LayerId, Source, SourceIndex, epoch};
pub use splice::{Labels, Origin, Place, Splice, Start};
