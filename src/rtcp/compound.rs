//! Compound RTCP packets (RFC 3550 6.1).

/// The packets of one RTCP datagram.
pub type Compound = Vec<Box<dyn ::rtcp::packet::Packet>>;

/// The source description that a compound packet must carry (RFC 3550 6.1).
pub(crate) fn description(ssrc: u32, cname: &str) -> Box<dyn ::rtcp::Packet> {
    use ::rtcp::source_description::{SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem};
    let cname = SourceDescriptionItem { sdes_type: SdesType::SdesCname, text: cname.to_owned().into() };
    Box::new(SourceDescription { chunks: vec![SourceDescriptionChunk { source: ssrc, items: vec![cname] }] })
}
