//! From a publisher's packets to a viewer's line: what is parsed once, kept, rewritten and repeated.
//!
//! A publisher's packet is opened and parsed once ([`Packet`], [`codec`]), kept for a second in each worker that has
//! viewers of it ([`History`]), and drawn from there by each viewer's leg of the track ([`Outlet`]), which writes it on
//! the viewer's own continuous line ([`Splice`]). Everything here is told the bytes and the time and answers with values;
//! nothing here knows a socket or a clock.

mod assembler;
mod block;
pub mod codec;
mod delay;
mod elements;
mod frames;
mod header;
mod history;
mod holdback;
mod keyframe;
mod outlet;
mod packet;
mod resend;
mod sent;
mod splice;

pub use assembler::{KeyframeAssembler, SetsSource};
pub use block::{ExtensionIds, LONGEST_MID};
pub use delay::Delay;
pub use elements::{Elements, Steady};
pub use history::{Get, History, HistoryLimits, PictureLimits, Pictures};
pub use holdback::{Glide, Holdback};
pub use keyframe::{ANSWER_TIME, KeyframeGate, REQUEST_INTERVAL};
pub use outlet::{Counts, FirstNumbers, Leg, Negotiated, Outlet, OutletConfig, Resend, Written, catch_up_time};
pub use packet::{Epoch, LayerId, Packet, Source, SourceIndex, epoch};
pub use resend::{BURST_OCTETS, RESENDS_PER_PACKET};
pub use splice::{Labels, Origin, Place, Splice, Start};
