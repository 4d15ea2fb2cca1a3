//! Addresses to which text from outside must not lead: those of this machine, of its link, and of the servers of its cloud
//! that hand out credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses at which clouds serve credentials of a machine, besides link-local ones.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Whether an address is this machine's own, of its link, of no single machine, or one of metadata.
pub(crate) fn is_special(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let is_of_link = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => match translated(v6) {
            Some(v4) => is_special(v4.into()),
            None => v6.is_unicast_link_local(),
        },
    };
    let is_no_host = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    is_no_host || is_of_link || METADATA.contains(&address)
}

/// The IPv4 address that an IPv6 network translates this one to (RFC 6052 2.1).
fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() else { return None };
    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use crate::setting::Network;

    const SPECIAL: [&str; 19] = [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "169.254.169.254",
        "fe80::1",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
    ];

    #[test]
    fn ordinary_addresses_are_admitted_and_special_ones_only_where_a_network_has_them() {
        let admit = |list: &[&str], address: &str| {
            let networks: Vec<Network> = list.iter().map(|network| network.parse().unwrap()).collect();
            Network::admit(&networks, address.parse().unwrap())
        };
        for address in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00::1"] {
            assert!(admit(&[], address) && admit(&["127.0.0.0/8"], address), "{address}");
        }
        for address in SPECIAL {
            assert!(!admit(&[], address) && !admit(&["10.0.0.0/8"], address), "{address}");
        }
        assert!(admit(&["127.0.0.0/8"], "127.0.0.1") && admit(&["127.0.0.0/8"], "::ffff:127.0.0.1"));
        assert!(!admit(&["127.0.0.1"], "127.0.0.2"));
    }
}
