//! From a publisher's packets to a viewer's line: what is parsed once, kept, rewritten and repeated.
//!
//! Everything here is told the bytes and the time and answers with values; nothing here knows a socket or a clock.

pub mod codec;
mod packet;

pub use packet::{LayerId, Packet, SourceIndex};
