//! The client that requests, connections and sessions are counted for, and whether it is on this machine.

use std::net::{IpAddr, Ipv6Addr};

/// How the address of a request's client is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientSource {
    /// The client itself has connected.
    Direct,
    /// A proxy has connected: this is the nearest address that can be trusted.
    Proxied,
    /// A trusted proxy has connected and does not name its client readably.
    Unreadable,
}

impl ClientSource {
    /// The group that a request from `address` counts for.
    pub(crate) fn client(self, address: IpAddr) -> ClientGroup {
        match self {
            Self::Direct | Self::Proxied => ClientGroup::of(address),
            Self::Unreadable => ClientGroup::Unreadable,
        }
    }

    /// Whether a request from `address` comes from this machine itself, and not through a proxy here.
    pub(crate) fn is_this_machine(self, address: IpAddr) -> bool {
        self == Self::Direct && address.to_canonical().is_loopback()
    }
}

/// Clients whose requests, connections and sessions count together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ClientGroup {
    /// An IPv4 address, or an IPv6 network.
    Network(IpAddr),
    /// All clients whose address a trusted proxy does not name readably.
    Unreadable,
}

impl ClientGroup {
    /// One IPv6 client has at least a /64 of addresses.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self::Network(network(address, 64))
    }

    /// The IPv6 network of a site, which may have 65,536 of those; `None` for all others.
    pub(crate) fn site(self) -> Option<Self> {
        match self {
            Self::Network(address @ IpAddr::V6(_)) => Some(Self::Network(network(address, 48))),
            _ => None,
        }
    }
}

/// Whether a trusted proxy names a client readably by this address. This machine is exempt from limits, so no client
/// becomes it by a header.
pub(crate) fn is_readable(address: IpAddr) -> bool {
    let address = address.to_canonical();
    !address.is_loopback() && !address.is_unspecified() && !address.is_multicast()
}

/// The first `prefix` bits of an IPv6 address; IPv4 addresses, mapped into IPv6 or not, as they are.
fn network(address: IpAddr, prefix: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << (128 - prefix))).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network_within_its_site() {
        let of = |text: &str| ClientGroup::of(text.parse().unwrap());
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:0:0:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("2001:db8::1").site(), of("2001:db8:0:ffff::1").site());
        assert_ne!(of("2001:db8::1").site(), of("2001:db8:1::1").site());
        assert_eq!((of("192.0.2.1").site(), ClientGroup::Unreadable.site()), (None, None));
    }

    #[test]
    fn only_a_client_that_connects_from_loopback_itself_is_this_machine() {
        let [here, there] = ["127.0.0.1", "192.0.2.1"].map(|text| text.parse::<IpAddr>().unwrap());
        assert!(ClientSource::Direct.is_this_machine(here) && !ClientSource::Direct.is_this_machine(there));
        assert!([ClientSource::Proxied, ClientSource::Unreadable].iter().all(|source| !source.is_this_machine(here)));
    }
}
