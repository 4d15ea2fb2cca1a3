//! Messages of a TURN client (RFC 8656), written without the relay's own codec.

use std::io::Read;

use ring::hmac;

pub(crate) const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
pub(crate) const TRANSACTION: [u8; 12] = [9; 12];

/// An attribute with its padding.
pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut octets = [&kind.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value].concat();
    octets.resize(octets.len().next_multiple_of(4), 0);
    octets
}

/// A message of this type with these attributes, signed if there is a key.
pub(crate) fn message(kind: u16, attributes: &[(u16, &[u8])], key: Option<&hmac::Key>) -> Vec<u8> {
    let body: Vec<u8> = attributes.iter().flat_map(|(kind, value)| attribute(*kind, value)).collect();
    whole(kind, &body, key)
}

/// A message of this type with this body, signed if there is a key.
pub(crate) fn whole(kind: u16, body: &[u8], key: Option<&hmac::Key>) -> Vec<u8> {
    let length = body.len() + if key.is_some() { 24 } else { 0 };
    let mut message = [&kind.to_be_bytes()[..], &(length as u16).to_be_bytes(), &COOKIE, &TRANSACTION, body].concat();
    if let Some(key) = key {
        let tag = hmac::sign(key, &message);
        message.extend(attribute(0x0008, tag.as_ref()));
    }
    message
}

/// XOR-PEER-ADDRESS with an IPv4 address.
pub(crate) fn peer(ip: std::net::Ipv4Addr, port: u16) -> Vec<u8> {
    let ip: Vec<u8> = ip.octets().iter().zip(COOKIE).map(|(octet, mask)| octet ^ mask).collect();
    [&[0, 1], &(port ^ 0x2112).to_be_bytes()[..], &ip].concat()
}

/// The next message: its type and its attributes.
pub(crate) fn read(stream: &mut impl Read) -> (u16, Vec<(u16, Vec<u8>)>) {
    let mut header = [0; 20];
    stream.read_exact(&mut header).expect("a message");
    let mut body = vec![0; u16::from_be_bytes([header[2], header[3]]).into()];
    stream.read_exact(&mut body).expect("the whole message");
    let (mut rest, mut attributes) = (&body[..], Vec::new());
    while let [a, b, c, d, ..] = rest {
        let length = usize::from(u16::from_be_bytes([*c, *d]));
        attributes.push((u16::from_be_bytes([*a, *b]), rest[4..4 + length].to_vec()));
        rest = &rest[4 + length.next_multiple_of(4)..];
    }
    (u16::from_be_bytes([header[0], header[1]]), attributes)
}

/// The value of the attribute of this type.
pub(crate) fn found(attributes: &[(u16, Vec<u8>)], kind: u16) -> Vec<u8> {
    attributes.iter().find(|(other, _)| *other == kind).expect("the attribute is there").1.clone()
}
