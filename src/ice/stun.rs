//! STUN on the wire, as far as ICE connectivity checks need it (RFC 8489, RFC 8445 7): Binding requests and their
//! answers, MESSAGE-INTEGRITY by HMAC-SHA1 and FINGERPRINT by CRC-32.
//!
//! It is written by hand because every client sends a request every 2 to 5 s, and an attacker can send many more: a
//! message is read in place, nothing is allocated before its integrity is checked, and hostile bytes cannot cause a
//! panic.

use std::net::{IpAddr, SocketAddr};

use ring::hmac;

use super::credentials::is_ice_text;

pub(crate) const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// What a port is masked with: the first half of the magic cookie (RFC 8489 14.2).
const PORT_MASK: u16 = 0x2112;
pub(crate) const HEADER: usize = 20;
pub(super) const BINDING_REQUEST: u16 = 0x0001;
pub(super) const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
/// From here on a receiver may skip attributes that it does not know.
const COMPREHENSION_OPTIONAL: u16 = 0x8000;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;
const INTEGRITY_LENGTH: usize = 20;
const FINGERPRINT_MASK: u32 = 0x5354_554e;

/// The longest message in bytes; RFC 8489 6.1 keeps STUN over UDP below the path MTU.
const MAX_LENGTH: usize = 1_500;

/// The error code of a role conflict (RFC 8445 7.3.1.1): class 4, number 87.
const ROLE_CONFLICT: [u8; 4] = [0, 0, 4, 87];

/// The 96 bits that pair an answer with its request.
pub(crate) type Transaction = [u8; 12];

/// What a message is, as far as the relay acts on it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Class {
    /// A Binding request: a client checks a path.
    Request,
    /// A Binding success answer to a request of ours.
    Success,
    /// A Binding error answer to a request of ours.
    Error,
    /// An indication or another method: nothing the relay acts on.
    Other,
}

/// What a check says about the role of the agent that sends it (RFC 8445 7.1).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum CheckRole {
    /// ICE-CONTROLLED.
    Controlled,
    /// ICE-CONTROLLING.
    Controlling,
    /// ICE-CONTROLLING, and USE-CANDIDATE for the path that it takes.
    Nominating,
}

/// One attribute of a message.
#[derive(Debug)]
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
    /// Where the value begins in the message.
    pub(crate) start: usize,
}

/// A well-formed message, borrowed from the datagram. Nothing in it may be trusted before `is_authentic`.
#[derive(Debug)]
pub struct StunMessage<'a> {
    datagram: &'a [u8],
    /// Request, success answer or other.
    pub class: Class,
    /// Method and class (RFC 8489 5).
    pub(crate) kind: u16,
    /// Pairs an answer with its request.
    pub transaction: Transaction,
    /// USERNAME: the receiver's ufrag and the sender's, `local:remote` for a request to the relay.
    pub username: Option<&'a [u8]>,
    /// USE-CANDIDATE: the controlling side nominates this path.
    pub use_candidate: bool,
    integrity: Option<usize>,
}

impl<'a> StunMessage<'a> {
    /// Reads a message; `None` when it is malformed or its FINGERPRINT is wrong. What follows MESSAGE-INTEGRITY is
    /// not covered by it and therefore not read (RFC 8489 14.5).
    pub fn parse(datagram: &'a [u8]) -> Option<StunMessage<'a>> {
        let header = datagram.first_chunk::<HEADER>()?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header[0] > 3 || header[4..8] != MAGIC_COOKIE || datagram.len() > MAX_LENGTH {
            return None;
        }
        if length % 4 != 0 || HEADER + length != datagram.len() {
            return None;
        }
        let mut transaction = [0; 12];
        transaction.copy_from_slice(&header[8..20]);
        let kind = u16::from_be_bytes([header[0], header[1]]);
        let class = match kind {
            BINDING_REQUEST => Class::Request,
            BINDING_SUCCESS => Class::Success,
            BINDING_ERROR => Class::Error,
            _ => Class::Other,
        };
        let mut message =
            StunMessage { datagram, class, kind, transaction, username: None, use_candidate: false, integrity: None };
        message.read_attributes()?;
        Some(message)
    }

    fn read_attributes(&mut self) -> Option<()> {
        let mut position = HEADER;
        while position < self.datagram.len() {
            let header = self.datagram.get(position..)?.first_chunk::<4>()?;
            let kind = u16::from_be_bytes([header[0], header[1]]);
            let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let value = self.datagram.get(position + 4..position + 4 + length)?;
            let end = position + 4 + length.next_multiple_of(4);
            match kind {
                FINGERPRINT => {
                    let claimed = u32::from_be_bytes(value.try_into().ok()?);
                    // RFC 8489 14.7: it is the last attribute, so nothing can hide behind it.
                    let holds = end == self.datagram.len() && claimed == fingerprint(&self.datagram[..position]);
                    return holds.then_some(());
                }
                _ if self.integrity.is_some() => {}
                MESSAGE_INTEGRITY if length == INTEGRITY_LENGTH => self.integrity = Some(position),
                MESSAGE_INTEGRITY => return None,
                USERNAME if self.username.is_none() => self.username = Some(value),
                USE_CANDIDATE => self.use_candidate = true,
                _ => {}
            }
            position = end;
        }
        (position == self.datagram.len()).then_some(())
    }

    /// The relay's ufrag in the USERNAME, `local:remote`; `None` if the message has no MESSAGE-INTEGRITY at all or if
    /// the ufrag is not 4 to 256 ICE characters (RFC 8445 5.3). Whether the integrity holds is not checked.
    pub(crate) fn local_ufrag(&self) -> Option<&'a str> {
        let username = std::str::from_utf8(self.username.filter(|_| self.is_signed())?).ok()?;
        let (local, _remote) = username.split_once(':')?;
        is_ice_text(local, 4).then_some(local)
    }

    /// Whether it has neither credentials nor anything else that its receiver must understand (RFC 8489 14).
    pub(crate) fn is_plain(&self) -> bool {
        !self.is_signed() && self.attributes().all(|attribute| attribute.kind >= COMPREHENSION_OPTIONAL)
    }

    /// The attributes up to MESSAGE-INTEGRITY, which covers them, or all of a message without one.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let covered = &self.datagram[..self.integrity.unwrap_or(self.datagram.len())];
        let mut position = HEADER;
        std::iter::from_fn(move || {
            let header = covered.get(position..)?.first_chunk::<4>()?;
            let (kind, start) = (u16::from_be_bytes([header[0], header[1]]), position + 4);
            let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let value = covered.get(start..start + length)?;
            position = start + length.next_multiple_of(4);
            (kind != FINGERPRINT).then_some(Attribute { kind, value, start })
        })
    }

    /// The tie-breaker of a request whose sender is the controlling agent (RFC 8445 7.1.3).
    pub(crate) fn controlling(&self) -> Option<u64> {
        let attribute = self.attributes().find(|attribute| attribute.kind == ICE_CONTROLLING)?;
        attribute.value.try_into().ok().map(u64::from_be_bytes)
    }

    /// Whether it is the error answer to a check whose receiver has the same role and keeps it (RFC 8445 7.2.5.1).
    pub(crate) fn is_role_conflict(&self) -> bool {
        let is_conflict = |attribute: &Attribute<'_>| attribute.value.get(2..4) == Some(&ROLE_CONFLICT[2..]);
        self.attributes().find(|attribute| attribute.kind == ERROR_CODE).is_some_and(|code| is_conflict(&code))
    }

    /// Whether the message carries a MESSAGE-INTEGRITY at all.
    pub fn is_signed(&self) -> bool {
        self.integrity.is_some()
    }

    /// Whether MESSAGE-INTEGRITY holds under `key` (RFC 8489 14.5): the sender knows the password. That proves which
    /// client sent the message, not that it owns the address that the message came from.
    pub fn is_authentic(&self, key: &hmac::Key) -> bool {
        let Some(position) = self.integrity else {
            return false;
        };
        let mut covered = [0; MAX_LENGTH];
        let covered = &mut covered[..position];
        covered.copy_from_slice(&self.datagram[..position]);
        write_length(covered, position + 4 + INTEGRITY_LENGTH);
        let tag = &self.datagram[position + 4..position + 4 + INTEGRITY_LENGTH];
        hmac::verify(key, covered, tag).is_ok()
    }
}

/// A password as the key that both directions of its MESSAGE-INTEGRITY use; set up once for each session.
pub fn key(password: &str) -> hmac::Key {
    key_of(password.as_bytes())
}

/// The same of a key that is no password.
pub(crate) fn key_of(octets: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, octets)
}

/// The success answer to an authentic request: the sender's address as the relay sees it (RFC 8445 7.3.1).
pub fn answer(transaction: &Transaction, remote: SocketAddr, key: &hmac::Key) -> Vec<u8> {
    let mut message = begin(BINDING_SUCCESS, transaction);
    write_xor_address(&mut message, XOR_MAPPED_ADDRESS, remote);
    finish(message, key)
}

/// The error answer to an authentic request of an agent with the same role (RFC 8445 7.3.1.1).
pub(crate) fn role_conflict(transaction: &Transaction, key: &hmac::Key) -> Vec<u8> {
    let mut message = begin(BINDING_ERROR, transaction);
    write_attribute(&mut message, ERROR_CODE, &ROLE_CONFLICT);
    finish(message, key)
}

/// A check of ours: a Binding request from the controlled side (RFC 8445 7.2.2). `username` is `remote:local`.
pub fn request(transaction: &Transaction, username: &str, tie_breaker: u64, key: &hmac::Key) -> Vec<u8> {
    check(transaction, username, (CheckRole::Controlled, tie_breaker), key)
}

/// A check of ours in this role, with the tie-breaker for it.
pub(crate) fn check(
    transaction: &Transaction,
    username: &str,
    (role, tie_breaker): (CheckRole, u64),
    key: &hmac::Key,
) -> Vec<u8> {
    // A peer-reflexive candidate of component 1 (RFC 8445 5.1.2): the type preference 110 and the rest at their most.
    const PEER_REFLEXIVE_PRIORITY: u32 = 110 << 24 | 0xffff << 8 | 0xff;
    let mut message = begin(BINDING_REQUEST, transaction);
    write_attribute(&mut message, USERNAME, username.as_bytes());
    write_attribute(&mut message, PRIORITY, &PEER_REFLEXIVE_PRIORITY.to_be_bytes());
    let kind = if role == CheckRole::Controlled { ICE_CONTROLLED } else { ICE_CONTROLLING };
    write_attribute(&mut message, kind, &tie_breaker.to_be_bytes());
    if role == CheckRole::Nominating {
        write_attribute(&mut message, USE_CANDIDATE, &[]);
    }
    finish(message, key)
}

/// A message without attributes.
pub(crate) fn begin(kind: u16, transaction: &Transaction) -> Vec<u8> {
    let mut message = Vec::with_capacity(160);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 0]);
    message.extend_from_slice(&MAGIC_COOKIE);
    message.extend_from_slice(transaction);
    message
}

/// The message with MESSAGE-INTEGRITY and FINGERPRINT.
pub(crate) fn finish(mut message: Vec<u8>, key: &hmac::Key) -> Vec<u8> {
    let signed = message.len() + 4 + INTEGRITY_LENGTH;
    write_length(&mut message, signed);
    let tag = hmac::sign(key, &message);
    write_attribute(&mut message, MESSAGE_INTEGRITY, tag.as_ref());
    write_length(&mut message, signed + 8);
    let checksum = fingerprint(&message);
    write_attribute(&mut message, FINGERPRINT, &checksum.to_be_bytes());
    message
}

/// Appends an address (RFC 8489 14.2).
pub(crate) fn write_xor_address(message: &mut Vec<u8>, kind: u16, address: SocketAddr) {
    let mut mask = [0; 16];
    mask.copy_from_slice(&message[4..HEADER]);
    let masked = |octets: &[u8]| octets.iter().zip(mask).map(|(octet, mask)| octet ^ mask).collect::<Vec<u8>>();
    // A dual-stack socket shows IPv4 clients as mapped IPv6 addresses; the client expects its IPv4 address.
    let (family, ip) = match address.ip().to_canonical() {
        IpAddr::V4(ip) => (1, masked(&ip.octets())),
        IpAddr::V6(ip) => (2, masked(&ip.octets())),
    };
    let port = (address.port() ^ PORT_MASK).to_be_bytes();
    write_attribute(message, kind, &[&[0, family], &port[..], &ip].concat());
}

/// Reads an address in a message with this transaction (RFC 8489 14.2).
pub(crate) fn read_xor_address(value: &[u8], transaction: &Transaction) -> Option<SocketAddr> {
    let (&[_, family, high, low], masked) = value.split_first_chunk::<4>()?;
    let mask = MAGIC_COOKIE.iter().chain(transaction);
    let octets: Vec<u8> = masked.iter().zip(mask).map(|(octet, mask)| octet ^ mask).collect();
    let ip = match family {
        1 if masked.len() == 4 => IpAddr::from(<[u8; 4]>::try_from(octets).ok()?),
        2 if masked.len() == 16 => IpAddr::from(<[u8; 16]>::try_from(octets).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), u16::from_be_bytes([high, low]) ^ PORT_MASK))
}

/// The message without MESSAGE-INTEGRITY.
pub(crate) fn finish_unsigned(mut message: Vec<u8>) -> Vec<u8> {
    let end = message.len();
    write_length(&mut message, end);
    message
}

/// Appends an attribute with its padding.
pub(crate) fn write_attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&(value.len() as u16).to_be_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

/// Writes the length field as if the message ended at `end`.
fn write_length(message: &mut [u8], end: usize) {
    message[2..4].copy_from_slice(&((end - HEADER) as u16).to_be_bytes());
}

/// FINGERPRINT over everything before it (RFC 8489 14.7).
fn fingerprint(covered: &[u8]) -> u32 {
    crc32fast::hash(covered) ^ FINGERPRINT_MASK
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtc::stun::message::{Getter, Message as Reference};
    use rtc::stun::xoraddr::XorMappedAddress;

    use super::*;

    /// RFC 5769 2.1.
    const SAMPLE_REQUEST: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
        \x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
        \x00\x06\x00\x09\x65\x76\x74\x6a\x3a\x68\x36\x76\x59\x20\x20\x20\
        \x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
        \x80\x28\x00\x04\xe5\x7a\x3b\xcf";
    const SAMPLE_PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

    #[test]
    fn reads_the_sample_request_of_rfc_5769() {
        let message = StunMessage::parse(SAMPLE_REQUEST).unwrap();
        assert_eq!((message.class, message.use_candidate), (Class::Request, false));
        assert_eq!(message.username, Some(&b"evtj:h6vY"[..]));
        assert!(message.is_authentic(&key(SAMPLE_PASSWORD)));
        assert!(!message.is_authentic(&key("another")));
    }

    #[test]
    fn attributes_behind_the_integrity_are_not_read() {
        let mut message = request(&[3; 12], "a:b", 1, &key("secret"));
        message.truncate(message.len() - 8);
        write_attribute(&mut message, USE_CANDIDATE, &[]);
        let end = message.len();
        write_length(&mut message, end);
        let message = StunMessage::parse(&message).unwrap();
        assert!(message.is_authentic(&key("secret")) && !message.use_candidate);
    }

    #[test]
    fn an_answer_has_the_address_of_each_family_and_mapped_ipv4_as_ipv4() {
        for (seen, expected) in [
            ("[2001:db8::7]:9", "[2001:db8::7]:9"),
            ("192.0.2.3:65535", "192.0.2.3:65535"),
            ("[::ffff:192.0.2.3]:1", "192.0.2.3:1"),
        ] {
            let mut reference = Reference::new();
            reference.unmarshal_binary(&answer(&[5; 12], seen.parse().unwrap(), &key("secret"))).unwrap();
            let mut address = XorMappedAddress::default();
            address.get_from(&reference).unwrap();
            assert_eq!(SocketAddr::from((address.ip, address.port)).to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_behind_a_header_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let mut message = begin(BINDING_REQUEST, &[1; 12]);
            message.extend_from_slice(&bytes);
            let end = message.len();
            write_length(&mut message, end);
            if let Some(message) = StunMessage::parse(&message) {
                prop_assert!(!message.is_authentic(&key("secret")));
            }
        }
    }
}
