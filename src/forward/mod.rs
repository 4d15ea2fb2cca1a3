//! From a publisher's packets to a viewer's line: what is parsed once, kept, rewritten and repeated.
//!
//! A publisher's packet is opened and parsed once ([`Packet`], [`codec`]), kept for a second in each worker that has
//! viewers of it ([`History`]), and drawn from there by each viewer's leg of the track ([`OutboundTrack`]), which writes it on
//! the viewer's own continuous line ([`Splice`]). Everything here is told the bytes and the time and answers with values;
//! nothing here knows a socket or a clock.

mod assembler;
pub mod codec;
mod frames;
mod header;
pub(crate) mod header_extensions;
mod history;
mod keyframe;
mod outbound_track;
mod packet;
mod playout_delay;
mod repair_delay;
mod resend;
mod sent;
mod splice;

pub use crate::forward::header_extensions::read::{HeaderExtensions, Steady};
pub use crate::forward::header_extensions::write::{ExtensionIds, LONGEST_MID};
pub use crate::forward::history::{PictureLimits, Pictures};
pub use crate::forward::outbound_track::{FirstNumbers, Negotiated, OutboundTrackConfig, catch_up_time};
pub use assembler::{KeyframeAssembler, SetsSource};
pub use history::{Get, History, HistoryLimits};
pub use keyframe::{ANSWER_TIME, KeyframeGate, REQUEST_INTERVAL};
pub use outbound_track::{Counts, OutboundTrack, Resend, TrackState, Written};
pub use packet::{Epoch, LayerId, Packet, Source, SourceIndex, epoch};
pub use playout_delay::{Glide, PlayoutDelay};
pub use repair_delay::RepairBuffer;
pub use resend::{BURST_OCTETS, RESENDS_PER_PACKET};
pub use splice::{Labels, Origin, Place, Splice, Start};
