//! RTP header extensions (RFC 8285): read once where a packet arrives, written for each viewer.

pub(crate) mod read;
pub(crate) mod write;
