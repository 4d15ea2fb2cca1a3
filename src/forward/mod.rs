//! From a publisher's packets to a viewer's line: what is parsed once, kept, rewritten and repeated.
//!
//! A publisher's packet is opened and parsed once ([`Packet`], [`codec`]), kept for a second in each worker that has
//! viewers of it ([`History`]), and drawn from there by each viewer's leg of the track ([`OutboundTrack`]), which writes it on
//! the viewer's own continuous line ([`Splice`]). Everything here is told the bytes and the time and answers with values;
//! nothing here knows a socket or a clock.

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

pub use header_extensions::{ExtensionIds, HeaderExtensions, LONGEST_MID, Steady};
pub use history::{Get, History, HistoryLimits, PictureLimits, Pictures};
pub use keyframes::{ANSWER_TIME, KeyframeAssembler, KeyframeGate, REQUEST_INTERVAL, SetsSource};
pub use outbound_track::{
    BURST_OCTETS, Counts, FirstNumbers, Negotiated, OutboundTrack, OutboundTrackConfig, RESENDS_PER_PACKET, Resend,
    TrackState, Written, catch_up_time,
};
pub use packet::Packet;
pub use playout_delay::{Glide, PlayoutDelay};
pub use repair_delay::RepairBuffer;
pub use source::{Epoch, LayerId, Source, SourceIndex, epoch};
pub use splice::{Labels, Origin, Place, Splice, Start};
