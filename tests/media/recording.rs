//! Reads the recordings of this directory: each packet behind its length in two octets (RFC 4571), with RTP headers of
//! twelve octets, as FFmpeg writes them.

use std::fs;
use std::path::Path;

/// One RTP packet of a recording.
#[derive(Clone)]
pub(crate) struct Recorded {
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: Vec<u8>,
}

/// The packets of a recording.
pub(crate) fn recording(name: &str) -> Vec<Recorded> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media").join(format!("{name}.rtp"));
    let bytes = fs::read(path).expect("a readable recording");
    let (mut rest, mut packets) = (&bytes[..], Vec::new());
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let (packet, behind) = behind.split_at(u16::from_be_bytes(*length).into());
        let timestamp = u32::from_be_bytes(packet[4..8].try_into().expect("four octets"));
        packets.push(Recorded { timestamp, marker: packet[1] & 0x80 != 0, payload: packet[12..].to_vec() });
        rest = behind;
    }
    packets
}
