//! SCTP packets by hand, right or wrong (RFC 9260 3).

pub(crate) const DATA: u8 = 0;
pub(crate) const INIT: u8 = 1;
pub(crate) const INIT_ACK: u8 = 2;
pub(crate) const SACK: u8 = 3;
pub(crate) const HEARTBEAT: u8 = 4;
pub(crate) const ABORT: u8 = 6;
pub(crate) const SHUTDOWN: u8 = 7;
pub(crate) const ERROR: u8 = 9;
pub(crate) const COOKIE_ECHO: u8 = 10;
pub(crate) const COOKIE_ACK: u8 = 11;
pub(crate) const RE_CONFIG: u8 = 130;
pub(crate) const FORWARD_TSN: u8 = 192;

pub(crate) const WHOLE: u8 = 0b11;
pub(crate) const BEGINS: u8 = 0b10;
pub(crate) const ENDS: u8 = 0b01;
pub(crate) const UNORDERED: u8 = 0b100;

pub(crate) const DCEP: u32 = 50;
pub(crate) const TEXT: u32 = 51;

/// A packet with a valid checksum.
pub(crate) fn packet(tag: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = vec![0x13, 0x88, 0x13, 0x88];
    packet.extend(tag.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(chunks.concat());
    seal(packet)
}

/// Sets the checksum.
pub(crate) fn seal(mut packet: Vec<u8>) -> Vec<u8> {
    packet[8..12].fill(0);
    let checksum = crc32c::crc32c(&packet).to_le_bytes();
    packet[8..12].copy_from_slice(&checksum);
    packet
}

pub(crate) fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let mut chunk = vec![kind, flags];
    chunk.extend((4 + value.len() as u16).to_be_bytes());
    chunk.extend(value);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

/// A chunk whose length says something else.
pub(crate) fn claiming(length: u16, mut chunk: Vec<u8>) -> Vec<u8> {
    chunk[2..4].copy_from_slice(&length.to_be_bytes());
    chunk
}

pub(crate) fn data(flags: u8, tsn: u32, stream: u16, sequence: u16, ppid: u32, payload: &[u8]) -> Vec<u8> {
    let head = [&tsn.to_be_bytes()[..], &stream.to_be_bytes(), &sequence.to_be_bytes(), &ppid.to_be_bytes()].concat();
    chunk(DATA, flags, &[&head, payload].concat())
}

pub(crate) fn open(kind: u8, label: &[u8]) -> Vec<u8> {
    let head = [3, kind, 1, 0, 0, 0, 0, 0];
    [&head[..], &(label.len() as u16).to_be_bytes(), &[0, 0], label].concat()
}

pub(crate) fn init(kind: u8, tag: u32, tsn: u32, parameters: &[Vec<u8>]) -> Vec<u8> {
    let head = [&tag.to_be_bytes()[..], &0x10_0000u32.to_be_bytes(), &[1, 0, 1, 0], &tsn.to_be_bytes()].concat();
    chunk(kind, 0, &[&head[..], &parameters.concat()].concat())
}

pub(crate) fn parameter(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut parameter = kind.to_be_bytes().to_vec();
    parameter.extend((4 + value.len() as u16).to_be_bytes());
    parameter.extend(value);
    parameter.resize(parameter.len().next_multiple_of(4), 0);
    parameter
}

pub(crate) fn supports_forward_tsn() -> Vec<u8> {
    parameter(0x8008, &[RE_CONFIG, FORWARD_TSN])
}

pub(crate) fn sack(cumulative: u32, gaps: &[(u16, u16)]) -> Vec<u8> {
    let counts = [(gaps.len() as u16).to_be_bytes(), [0, 0]].concat();
    let blocks: Vec<u8> = gaps.iter().flat_map(|(from, to)| [from.to_be_bytes(), to.to_be_bytes()].concat()).collect();
    chunk(SACK, 0, &[&cumulative.to_be_bytes()[..], &0x10_0000u32.to_be_bytes(), &counts, &blocks].concat())
}

pub(crate) fn forward_tsn(cumulative: u32, streams: &[(u16, u16)]) -> Vec<u8> {
    let streams: Vec<u8> =
        streams.iter().flat_map(|(id, number)| [id.to_be_bytes(), number.to_be_bytes()].concat()).collect();
    chunk(FORWARD_TSN, 0, &[&cumulative.to_be_bytes()[..], &streams].concat())
}

pub(crate) fn reset(number: u32, last_tsn: u32, streams: &[u16]) -> Vec<u8> {
    let streams: Vec<u8> = streams.iter().flat_map(|stream| stream.to_be_bytes()).collect();
    let head = [&number.to_be_bytes()[..], &[0; 4], &last_tsn.to_be_bytes()].concat();
    chunk(RE_CONFIG, 0, &unpadded(13, &[&head[..], &streams].concat()))
}

pub(crate) fn reset_done(number: u32) -> Vec<u8> {
    chunk(RE_CONFIG, 0, &parameter(16, &[number.to_be_bytes(), 1u32.to_be_bytes()].concat()))
}

/// The last parameter of a chunk, whose padding is the chunk's.
fn unpadded(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut parameter = parameter(kind, value);
    parameter.truncate(4 + value.len());
    parameter
}

/// The type of each chunk, and its value.
pub(crate) fn chunks(packet: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut chunks = Vec::new();
    let mut rest = packet.get(12..).unwrap_or_default();
    while let [kind, _, high, low, ..] = *rest {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some(value) = rest.get(4..length) else { break };
        chunks.push((kind, value.to_vec()));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    chunks
}
