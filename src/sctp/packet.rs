//! An SCTP packet as bytes: ports, verification tag, checksum and chunks (RFC 9260 3).

use std::ops::Range;

use super::bytes::{half, word};
use super::dcep::{self, Dcep};
use super::parameters::{self, Init, Reconfiguration};
use super::violation::Violation;
use crate::reason::DropReason;

/// How every packet begins: port 5000, which is the `a=sctp-port` of both sides, twice.
const PORTS: [u8; 4] = [0x13, 0x88, 0x13, 0x88];

const COMMON_HEADER: usize = 12;
const CHUNK_HEADER: usize = 4;
const DATA_HEADER: usize = 16;

/// The longest packet in octets. WebRTC clients send about 1,200 octets; webrtc-rs keeps the whole packet in memory
/// with each of its chunks.
pub(super) const MAX_PACKET: usize = 1500;

const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const SACK: u8 = 3;
const HEARTBEAT: u8 = 4;
const HEARTBEAT_ACK: u8 = 5;
const ABORT: u8 = 6;
const SHUTDOWN: u8 = 7;
const SHUTDOWN_ACK: u8 = 8;
const ERROR: u8 = 9;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;
const SHUTDOWN_COMPLETE: u8 = 14;
const RE_CONFIG: u8 = 130;
const FORWARD_TSN: u8 = 192;

/// The payload protocol identifiers of RFC 8831 8; the deprecated ones for parts of messages (52, 54) are not among
/// them.
const PPID_DCEP: u32 = 50;
const PPIDS_OF_USERS: [u32; 4] = [51, 53, 56, 57];

const UNORDERED: u8 = 0b100;
const BEGINS: u8 = 0b10;
const ENDS: u8 = 0b1;

/// A packet whose checksum and shape hold.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) tag: u32,
    /// The range of each chunk with its padding, and the chunk.
    pub(super) chunks: Vec<(Range<usize>, Chunk<'a>)>,
    /// Padding of a single chunk that is not zero. A receiver must ignore that (RFC 9260 3.2), but webrtc-rs does not.
    pub(super) padding: Option<Range<usize>>,
}

/// One chunk.
#[derive(Debug)]
pub(super) enum Chunk<'a> {
    Data(Data<'a>),
    Init(Init<'a>),
    InitAck(Init<'a>),
    Sack(Sack<'a>),
    Heartbeat,
    HeartbeatAck,
    Abort,
    Error,
    CookieEcho(&'a [u8]),
    CookieAck,
    Shutdown,
    ShutdownAck,
    ShutdownComplete,
    Reconfiguration(Reconfiguration<'a>),
    ForwardTsn(ForwardTsn<'a>),
    /// A RE-CONFIG that asks for more than the end of streams; webrtc-rs drops the whole packet for it.
    Unsupported,
    /// A type that webrtc-rs does not know. `stops`: the chunks behind it must not be read either (RFC 9260 3.2).
    Unknown {
        stops: bool,
    },
}

/// A DATA chunk (RFC 9260 3.3.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Data<'a> {
    pub(super) tsn: u32,
    pub(super) stream: u16,
    pub(super) sequence: u16,
    pub(super) unordered: bool,
    pub(super) begins: bool,
    pub(super) ends: bool,
    ppid: u32,
    pub(super) payload: &'a [u8],
}

/// A SACK chunk (RFC 9260 3.3.4).
#[derive(Clone, Copy, Debug)]
pub(super) struct Sack<'a> {
    pub(super) cumulative: u32,
    gaps: &'a [u8],
}

/// A FORWARD-TSN chunk (RFC 3758 3.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct ForwardTsn<'a> {
    pub(super) cumulative: u32,
    streams: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet.
    ///
    /// # Errors
    /// [`DropReason::SctpMalformed`] when the checksum or a length does not hold.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, DropReason> {
        if bytes.len() > MAX_PACKET || !bytes.starts_with(&PORTS) || !has_checksum(bytes) {
            return Err(DropReason::SctpMalformed);
        }
        Self::read_chunks(bytes).ok_or(DropReason::SctpMalformed)
    }

    /// Reads a packet of webrtc-rs, without checking the checksum.
    pub(super) fn read_own(bytes: &'a [u8]) -> Option<Self> {
        bytes.starts_with(&PORTS).then_some(())?;
        Self::read_chunks(bytes)
    }

    fn read_chunks(bytes: &'a [u8]) -> Option<Self> {
        let tag = word(bytes, 4)?;
        let mut chunks = Vec::new();
        let mut padding = None;
        let mut at = COMMON_HEADER;
        while at < bytes.len() {
            let length = usize::from(half(bytes, at + 2)?);
            let end = at + length.next_multiple_of(4);
            if length < CHUNK_HEADER || end > bytes.len() {
                return None;
            }
            chunks.push((at..end, Chunk::read(&bytes[at..at + length])?));
            padding = Some(at + length..end).filter(|padding| bytes[padding.clone()].iter().any(|octet| *octet != 0));
            at = end;
        }
        // An INIT is the only chunk of its packet, and only its packet has no tag (RFC 9260 3.3.2, 8.5.1).
        let inits = chunks.iter().filter(|(_, chunk)| matches!(chunk, Chunk::Init(_))).count();
        let alone = chunks.iter().any(|(_, chunk)| matches!(chunk, Chunk::Init(_) | Chunk::InitAck(_)));
        let holds = !chunks.is_empty() && (!alone || chunks.len() == 1) && (inits == 1) == (tag == 0);
        let padding = padding.filter(|_| chunks.len() == 1);
        holds.then_some(Self { tag, chunks, padding })
    }
}

impl<'a> Chunk<'a> {
    /// `None` if a length does not hold, or if webrtc-rs would read the chunk as shorter than it is.
    fn read(chunk: &'a [u8]) -> Option<Self> {
        let (header, value) = chunk.split_at(CHUNK_HEADER);
        let exactly = |length: usize| (value.len() == length).then_some(());
        Some(match header[0] {
            DATA => Self::Data(Data::read(chunk)?),
            INIT => Self::Init(Init::read(value).filter(|_| header[1] == 0)?),
            INIT_ACK => Self::InitAck(Init::read(value).filter(|init| header[1] == 0 && init.cookie.is_some())?),
            SACK => Self::Sack(Sack::read(value)?),
            HEARTBEAT => parameters::is_heartbeat(value).then_some(Self::Heartbeat)?,
            HEARTBEAT_ACK => Self::HeartbeatAck,
            ABORT => Self::Abort,
            ERROR => Self::Error,
            COOKIE_ECHO => Self::CookieEcho(value),
            COOKIE_ACK => exactly(0).map(|()| Self::CookieAck)?,
            SHUTDOWN => exactly(4).map(|()| Self::Shutdown)?,
            SHUTDOWN_ACK => exactly(0).map(|()| Self::ShutdownAck)?,
            SHUTDOWN_COMPLETE => exactly(0).map(|()| Self::ShutdownComplete)?,
            RE_CONFIG => Reconfiguration::read(value).map_or(Self::Unsupported, Self::Reconfiguration),
            FORWARD_TSN => Self::ForwardTsn(ForwardTsn::read(value)?),
            other => Self::Unknown { stops: other & 0x80 == 0 },
        })
    }
}

impl<'a> Data<'a> {
    fn read(chunk: &'a [u8]) -> Option<Self> {
        let (header, payload) = chunk.split_at_checked(DATA_HEADER).filter(|(_, payload)| !payload.is_empty())?;
        let flags = header[1];
        Some(Self {
            tsn: word(header, 4)?,
            stream: half(header, 8)?,
            sequence: half(header, 10)?,
            unordered: flags & UNORDERED != 0,
            begins: flags & BEGINS != 0,
            ends: flags & ENDS != 0,
            ppid: word(header, 12)?,
            payload,
        })
    }

    /// The DCEP message in it; `None` for a message of a user.
    ///
    /// # Errors
    /// [`Violation`] for DCEP of a wrong shape, and for other payloads.
    pub(super) fn dcep(&self) -> Result<Option<Dcep>, Violation> {
        match self.ppid {
            PPID_DCEP if self.begins && self.ends && !self.unordered => {
                dcep::read(self.payload).map(Some).ok_or(Violation::Dcep)
            }
            PPID_DCEP => Err(Violation::Dcep),
            ppid if PPIDS_OF_USERS.contains(&ppid) => Ok(None),
            _ => Err(Violation::UnknownPayload),
        }
    }
}

impl<'a> Sack<'a> {
    fn read(value: &'a [u8]) -> Option<Self> {
        let (gaps, duplicates) = (usize::from(half(value, 8)?), usize::from(half(value, 10)?));
        let gaps = value.get(12..12 + 4 * gaps)?;
        (value.len() == 12 + gaps.len() + 4 * duplicates).then_some(())?;
        Some(Self { cumulative: word(value, 0)?, gaps })
    }

    /// The last TSN that it acknowledges; `None` if its gap blocks do not ascend.
    pub(super) fn last(&self) -> Option<u32> {
        let mut last = 0;
        for block in self.gaps.chunks_exact(4) {
            let (start, end) = (half(block, 0)?, half(block, 2)?);
            if start <= last || end < start {
                return None;
            }
            last = end;
        }
        Some(self.cumulative.wrapping_add(u32::from(last)))
    }
}

impl<'a> ForwardTsn<'a> {
    fn read(value: &'a [u8]) -> Option<Self> {
        value.len().is_multiple_of(4).then_some(())?;
        Some(Self { cumulative: word(value, 0)?, streams: value.get(4..)? })
    }

    /// Ordered streams and the highest sequence number that is skipped on each.
    pub(super) fn streams(&self) -> impl Iterator<Item = (u16, u16)> + 'a {
        self.streams.chunks_exact(4).filter_map(|pair| Some((half(pair, 0)?, half(pair, 2)?)))
    }
}

/// Replaces a chunk by one that webrtc-rs ignores: a COOKIE ECHO with a cookie that it never made.
pub(super) fn blank(packet: &mut [u8], chunk: Range<usize>) {
    let length = chunk.len() as u16;
    let chunk = &mut packet[chunk];
    chunk.fill(0);
    chunk[0] = COOKIE_ECHO;
    chunk[2..4].copy_from_slice(&length.to_be_bytes());
}

/// Gives an ABORT one cause that spans it, "user initiated" (RFC 9260 3.3.10.12): webrtc-rs reads the causes of others
/// by lengths that it does not check, and ends the association by either.
pub(super) fn simplify_abort(packet: &mut [u8], chunk: Range<usize>) {
    let chunk = &mut packet[chunk];
    let length = (chunk.len() as u16).to_be_bytes();
    chunk[2..4].copy_from_slice(&length);
    if let Some(cause) = chunk.get_mut(CHUNK_HEADER..).filter(|cause| !cause.is_empty()) {
        let length = (cause.len() as u16).to_be_bytes();
        cause.fill(0);
        cause[1] = 12;
        cause[2..4].copy_from_slice(&length);
    }
}

/// Sets the checksum after a change.
pub(super) fn seal(packet: &mut [u8]) {
    let checksum = checksum(packet).to_le_bytes();
    packet[8..COMMON_HEADER].copy_from_slice(&checksum);
}

fn has_checksum(packet: &[u8]) -> bool {
    packet.len() >= COMMON_HEADER && packet[8..COMMON_HEADER] == checksum(packet).to_le_bytes()
}

/// CRC32c with zeros in place of the checksum (RFC 9260 6.8, appendix A).
fn checksum(packet: &[u8]) -> u32 {
    let head = crc32c::crc32c_append(crc32c::crc32c(&packet[..8]), &[0; 4]);
    crc32c::crc32c_append(head, &packet[COMMON_HEADER..])
}
