//! Requests and indications of TURN clients, and the answers to them (RFC 8656 17 and 18, RFC 8489 14).

use std::net::SocketAddr;
use std::ops::Range;

use ring::hmac;

use crate::ice::stun::{self, StunMessage, Transaction};

/// The requests and indications that a client sends, by method and class.
pub(super) const BINDING: u16 = 0x0001;
pub(super) const ALLOCATE: u16 = 0x0003;
pub(super) const REFRESH: u16 = 0x0004;
pub(super) const CREATE_PERMISSION: u16 = 0x0008;
pub(super) const CHANNEL_BIND: u16 = 0x0009;
pub(super) const SEND: u16 = 0x0016;

/// The indication that carries a datagram to the client.
const DATA_INDICATION: u16 = 0x0017;

/// The bits of classes (RFC 8489 5).
const CLASS: u16 = 0x0110;
const REQUEST: u16 = 0x0000;
const SUCCESS: u16 = 0x0100;
const ERROR: u16 = 0x0110;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const CHANNEL_NUMBER: u16 = 0x000c;
const LIFETIME: u16 = 0x000d;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const DATA: u16 = 0x0013;
const REALM: u16 = 0x0014;
const NONCE: u16 = 0x0015;
const XOR_RELAYED_ADDRESS: u16 = 0x0016;
const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
const REQUESTED_TRANSPORT: u16 = 0x0019;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// Attributes from here on may be ignored.
const OPTIONAL: u16 = 0x8000;

/// REQUESTED-TRANSPORT for UDP.
pub(super) const UDP: u8 = 17;

/// Why a request is refused, as ERROR-CODE says it (RFC 8656 18, RFC 8489 14.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    BadRequest,
    Unauthenticated,
    Forbidden,
    UnknownAttribute,
    AllocationMismatch,
    StaleNonce,
    AddressFamilyNotSupported,
    WrongCredentials,
    UnsupportedTransport,
    PeerAddressFamilyMismatch,
    AllocationQuotaReached,
    InsufficientCapacity,
}

/// What a message carries beside what every STUN message has.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    pub(super) realm: Option<&'a [u8]>,
    pub(super) nonce: Option<&'a [u8]>,
    pub(super) peers: Vec<SocketAddr>,
    pub(super) lifetime: Option<u32>,
    pub(super) channel: Option<u16>,
    pub(super) transport: Option<u8>,
    pub(super) family: Option<u8>,
    /// Where DATA is in the message.
    pub(super) data: Option<Range<usize>>,
    /// Attributes that must be understood and are not.
    pub(super) unknown: Vec<u16>,
    /// An attribute has a length or a value that it cannot have.
    pub(super) is_malformed: bool,
}

impl<'a> Attributes<'a> {
    pub(super) fn read(message: &StunMessage<'a>) -> Self {
        let mut read = Self::default();
        for attribute in message.attributes() {
            let value = attribute.value;
            let mut malformed = false;
            match attribute.kind {
                REALM => read.realm = Some(value),
                NONCE => read.nonce = Some(value),
                XOR_PEER_ADDRESS => match stun::read_xor_address(value, &message.transaction) {
                    Some(peer) => read.peers.push(peer),
                    None => malformed = true,
                },
                DATA => read.data = Some(attribute.start..attribute.start + value.len()),
                LIFETIME => match value.try_into() {
                    Ok(octets) => read.lifetime = Some(u32::from_be_bytes(octets)),
                    Err(_) => malformed = true,
                },
                CHANNEL_NUMBER => match value {
                    [high, low, _, _] => read.channel = Some(u16::from_be_bytes([*high, *low])),
                    _ => malformed = true,
                },
                REQUESTED_TRANSPORT => match value {
                    [transport, _, _, _] => read.transport = Some(*transport),
                    _ => malformed = true,
                },
                REQUESTED_ADDRESS_FAMILY => match value {
                    [family, _, _, _] => read.family = Some(*family),
                    _ => malformed = true,
                },
                USERNAME | MESSAGE_INTEGRITY => {}
                unknown if unknown < OPTIONAL => read.unknown.push(unknown),
                _ => {}
            }
            read.is_malformed |= malformed;
        }
        read
    }
}

/// Whether a message asks for an answer.
pub(super) fn is_request(kind: u16) -> bool {
    kind & CLASS == REQUEST
}

/// An answer that is being written.
pub(super) struct Answer(Vec<u8>);

impl Answer {
    /// A success answer to a request.
    pub(super) fn success(request: &StunMessage<'_>) -> Self {
        Self(stun::begin(request.kind | SUCCESS, &request.transaction))
    }

    /// An error answer to a request.
    pub(super) fn refusal(request: &StunMessage<'_>, refusal: Refusal) -> Self {
        let mut answer = stun::begin(request.kind | ERROR, &request.transaction);
        let (code, reason) = refusal.code();
        let mut value = vec![0, 0, (code / 100) as u8, (code % 100) as u8];
        value.extend_from_slice(reason.as_bytes());
        stun::write_attribute(&mut answer, ERROR_CODE, &value);
        Self(answer)
    }

    pub(super) fn challenge(mut self, realm: &str, nonce: &str) -> Self {
        stun::write_attribute(&mut self.0, REALM, realm.as_bytes());
        stun::write_attribute(&mut self.0, NONCE, nonce.as_bytes());
        self
    }

    pub(super) fn unknown(mut self, attributes: &[u16]) -> Self {
        let value: Vec<u8> = attributes.iter().flat_map(|attribute| attribute.to_be_bytes()).collect();
        stun::write_attribute(&mut self.0, UNKNOWN_ATTRIBUTES, &value);
        self
    }

    pub(super) fn mapped(mut self, address: SocketAddr) -> Self {
        stun::write_xor_address(&mut self.0, XOR_MAPPED_ADDRESS, address);
        self
    }

    pub(super) fn relayed(mut self, address: SocketAddr) -> Self {
        stun::write_xor_address(&mut self.0, XOR_RELAYED_ADDRESS, address);
        self
    }

    pub(super) fn lifetime(mut self, seconds: u32) -> Self {
        stun::write_attribute(&mut self.0, LIFETIME, &seconds.to_be_bytes());
        self
    }

    /// The answer with MESSAGE-INTEGRITY, to a client that is known by its key.
    pub(super) fn signed(self, key: &hmac::Key) -> Vec<u8> {
        stun::finish(self.0, key)
    }

    /// The answer to a client that is not known.
    pub(super) fn unsigned(self) -> Vec<u8> {
        stun::finish_unsigned(self.0)
    }
}

/// A Data indication with a datagram from `peer` (RFC 8656 11.6). Indications are not signed.
pub(super) fn data_indication(peer: SocketAddr, datagram: &[u8], transaction: &Transaction) -> Vec<u8> {
    let mut message = stun::begin(DATA_INDICATION, transaction);
    stun::write_xor_address(&mut message, XOR_PEER_ADDRESS, peer);
    stun::write_attribute(&mut message, DATA, datagram);
    stun::finish_unsigned(message)
}

impl Refusal {
    fn code(self) -> (u16, &'static str) {
        match self {
            Self::BadRequest => (400, "Bad Request"),
            Self::Unauthenticated => (401, "Unauthenticated"),
            Self::Forbidden => (403, "Forbidden"),
            Self::UnknownAttribute => (420, "Unknown Attribute"),
            Self::AllocationMismatch => (437, "Allocation Mismatch"),
            Self::StaleNonce => (438, "Stale Nonce"),
            Self::AddressFamilyNotSupported => (440, "Address Family not Supported"),
            Self::WrongCredentials => (441, "Wrong Credentials"),
            Self::UnsupportedTransport => (442, "Unsupported Transport Protocol"),
            Self::PeerAddressFamilyMismatch => (443, "Peer Address Family Mismatch"),
            Self::AllocationQuotaReached => (486, "Allocation Quota Reached"),
            Self::InsufficientCapacity => (508, "Insufficient Capacity"),
        }
    }
}
