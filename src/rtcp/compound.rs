//! What one RTCP datagram carries.

/// The packets of one compound RTCP datagram (RFC 3550 6.1).
pub type Compound = Vec<Box<dyn ::rtcp::packet::Packet>>;
