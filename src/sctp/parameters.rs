//! Chunks that consist of parameters: INIT and INIT ACK, HEARTBEAT, RE-CONFIG (RFC 9260 3.2.1, RFC 6525 4).
//!
//! Everything is read as webrtc-rs reads it: it advances by the length that it understood, so it would read the rest of
//! a parameter that contains more as another parameter or chunk.

use super::bytes::{half, word};

const HEADER: usize = 4;

const HEARTBEAT_INFO: u16 = 1;
const STATE_COOKIE: u16 = 7;
const OUTGOING_RESET: u16 = 13;
const RESET_RESPONSE: u16 = 16;
const HMAC_ALGORITHMS: u16 = 0x8004;
const FORWARD_TSN_SUPPORTED: u16 = 0xc000;

/// The least receive window of an INIT (RFC 9260 3.3.2).
const LEAST_WINDOW: u32 = 1500;

/// An INIT or INIT ACK chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Init<'a> {
    pub(super) tag: u32,
    pub(super) tsn: u32,
    pub(super) cookie: Option<&'a [u8]>,
}

impl<'a> Init<'a> {
    pub(super) fn read(value: &'a [u8]) -> Option<Self> {
        let (tag, window, tsn) = (word(value, 0)?, word(value, 4)?, word(value, 12)?);
        let (outbound, inbound) = (half(value, 8)?, half(value, 10)?);
        if tag == 0 || window < LEAST_WINDOW || outbound == 0 || inbound == 0 {
            return None;
        }
        let mut cookie = None;
        let mut rest = &value[16..];
        // webrtc-rs leaves a last parameter without a value unread.
        while rest.len() > HEADER {
            let (parameter, length) = parameter(rest)?;
            match parameter.0 {
                STATE_COOKIE => cookie = Some(parameter.1),
                HMAC_ALGORITHMS if !parameter.1.len().is_multiple_of(2) => return None,
                FORWARD_TSN_SUPPORTED if !parameter.1.is_empty() => return None,
                _ => {}
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        rest.is_empty().then_some(Self { tag, tsn, cookie })
    }
}

/// Whether the value of a HEARTBEAT is its one parameter, which is echoed.
pub(super) fn is_heartbeat(value: &[u8]) -> bool {
    parameter(value).is_some_and(|((kind, _), length)| kind == HEARTBEAT_INFO && length == value.len())
}

/// A RE-CONFIG chunk with what WebRTC clients send: one or two of a request and a response.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reconfiguration<'a> {
    pub(super) request: Option<ResetRequest<'a>>,
    pub(super) response: Option<ResetResponse>,
}

/// An Outgoing SSN Reset Request: its sender closes its direction of these streams (RFC 6525 4.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct ResetRequest<'a> {
    pub(super) number: u32,
    pub(super) last_tsn: u32,
    streams: &'a [u8],
}

/// A Re-configuration Response (RFC 6525 4.4).
#[derive(Clone, Copy, Debug)]
pub(super) struct ResetResponse {
    pub(super) number: u32,
    pub(super) result: u32,
}

impl ResetResponse {
    /// True if the request was carried out or there was nothing to do.
    pub(super) fn is_success(self) -> bool {
        self.result <= 1
    }
}

impl ResetRequest<'_> {
    pub(super) fn streams(&self) -> impl Iterator<Item = u16> {
        self.streams.chunks_exact(2).filter_map(|stream| half(stream, 0))
    }
}

impl<'a> Reconfiguration<'a> {
    pub(super) fn read(value: &'a [u8]) -> Option<Self> {
        let mut read = Self::default();
        let mut rest = value;
        while !rest.is_empty() {
            let ((kind, value), length) = parameter(rest)?;
            match kind {
                OUTGOING_RESET if read.request.is_none() => {
                    let streams = value.get(12..).filter(|streams| streams.len().is_multiple_of(2))?;
                    read.request = Some(ResetRequest { number: word(value, 0)?, last_tsn: word(value, 8)?, streams });
                }
                RESET_RESPONSE if read.response.is_none() && value.len() == 8 => {
                    read.response = Some(ResetResponse { number: word(value, 0)?, result: word(value, 4)? });
                }
                _ => return None,
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        (read.request.is_some() || read.response.is_some()).then_some(read)
    }
}

/// Type and value of the first parameter, and its length without padding.
fn parameter(bytes: &[u8]) -> Option<((u16, &[u8]), usize)> {
    let (kind, length) = (half(bytes, 0)?, usize::from(half(bytes, 2)?));
    Some(((kind, bytes.get(HEADER..length)?), length))
}
