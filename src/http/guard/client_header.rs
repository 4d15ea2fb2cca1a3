//! Reads the headers in which a trusted proxy names its client.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName};

use crate::session::is_readable;

/// Proxies that one request may pass; a longer list is not read.
const MAX_HOPS: usize = 16;

/// A header in which proxies name their client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientHeader {
    /// A list to which each proxy appends the address that it sees.
    ForwardedFor,
    /// The same with names for its parts (RFC 7239).
    Forwarded,
    /// One address.
    RealIp,
}

impl ClientHeader {
    /// All that are known.
    pub(crate) const ALL: [Self; 3] = [Self::ForwardedFor, Self::Forwarded, Self::RealIp];

    fn name(self) -> HeaderName {
        match self {
            Self::ForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Self::Forwarded => axum::http::header::FORWARDED,
            Self::RealIp => HeaderName::from_static("x-real-ip"),
        }
    }
}

impl FromStr for ClientHeader {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let header = Self::ALL.into_iter().find(|header| text.eq_ignore_ascii_case(header.name().as_str()));
        header.ok_or("write x-forwarded-for, forwarded or x-real-ip, whichever the proxy sets")
    }
}

impl fmt::Display for ClientHeader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name().as_str())
    }
}

/// The client that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Claim {
    /// Nothing.
    Absent,
    /// Its address.
    Address(IpAddr),
    /// An unreadable value, or values that contradict each other.
    Unreadable,
}

/// Whether a request has any header in which proxies name their client.
pub(in crate::http) fn is_forwarded(headers: &HeaderMap) -> bool {
    ClientHeader::ALL.iter().any(|header| headers.contains_key(header.name()))
}

/// Whether the only headers that name a client are ones that are not `read`.
pub(in crate::http) fn is_unread(headers: &HeaderMap, read: &[ClientHeader]) -> bool {
    is_forwarded(headers) && !read.iter().any(|header| headers.contains_key(header.name()))
}

/// The client that `peer`, a trusted proxy, names in the headers of `read` that it sends. They must agree: a proxy
/// passes on headers that it does not set, and the client may have invented those.
pub(in crate::http) fn claim(
    headers: &HeaderMap,
    read: &[ClientHeader],
    peer: IpAddr,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Claim {
    let mut agreed = Claim::Absent;
    for header in read {
        let claimed = match header {
            ClientHeader::RealIp => real_ip(headers),
            _ => nearest_stranger(headers, *header, peer, &is_trusted),
        };
        // Among several proxies each names the one before it there.
        let names_proxy = |claimed| matches!(claimed, Claim::Address(address) if is_trusted(address));
        agreed = match (agreed, claimed) {
            (one, Claim::Absent) => one,
            (Claim::Absent, one) => one,
            (one, other) if one == other => one,
            (one, other) if *header == ClientHeader::RealIp && names_proxy(other) => one,
            _ => Claim::Unreadable,
        };
    }
    match agreed {
        Claim::Address(address) if !is_readable(address) => Claim::Unreadable,
        // It asks for a client that it does not name readably.
        Claim::Absent if is_unread(headers, read) => Claim::Unreadable,
        claim => claim,
    }
}

/// The right-most address of a list that is not a trusted proxy's.
fn nearest_stranger(
    headers: &HeaderMap,
    header: ClientHeader,
    peer: IpAddr,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Claim {
    // A comma within quotes would part an element too; no address has one, so that its parts make no sense.
    let lines = headers.get_all(header.name()).iter().rev();
    let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let mut claim = Claim::Absent;
    for (hop, entry) in entries.enumerate() {
        let text = str::from_utf8(entry).ok().map(str::trim);
        let node =
            text.and_then(|text| if header == ClientHeader::Forwarded { forwarded_for(text) } else { Some(text) });
        let Some(address) = node.and_then(address).filter(|_| hop < MAX_HOPS) else { return Claim::Unreadable };
        claim = Claim::Address(address);
        // What another machine calls loopback is not this one.
        if !is_trusted(address) || (address.is_loopback() && !peer.is_loopback()) {
            break;
        }
    }
    claim
}

fn real_ip(headers: &HeaderMap) -> Claim {
    let mut lines = headers.get_all(ClientHeader::RealIp.name()).iter();
    let Some(line) = lines.next() else { return Claim::Absent };
    let address = line.to_str().ok().map(str::trim).and_then(address);
    match (address, lines.next()) {
        (Some(address), None) => Claim::Address(address),
        _ => Claim::Unreadable,
    }
}

/// The node of the one `for=` of an element (RFC 7239 4), without its quotes.
fn forwarded_for(element: &str) -> Option<&str> {
    let pairs = element.split(';').map(|pair| pair.trim().split_once('='));
    let mut found = None;
    for pair in pairs {
        let (name, value) = pair?;
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
    }
    let value = found?;
    let node = value.strip_prefix('"').map_or(Some(value), |quoted| quoted.strip_suffix('"'))?;
    (!node.contains(['"', '\\'])).then_some(node)
}

/// An address alone or with a port, IPv6 in brackets or not. A port may be hidden (RFC 7239 6.3), an address not.
fn address(node: &str) -> Option<IpAddr> {
    let is_port = |text: &str| {
        let hidden = text.strip_prefix('_').is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_graphic()));
        hidden || text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
    };
    let with_port = |text: &str| match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            let has_port = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
            address.parse().ok().map(IpAddr::V6).filter(|_| has_port)
        }
        None => {
            let (address, port) = text.split_once(':')?;
            address.parse().ok().map(IpAddr::V4).filter(|_| is_port(port))
        }
    };
    let address: IpAddr = node.parse().ok().or_else(|| with_port(node))?;
    Some(address.to_canonical())
}
