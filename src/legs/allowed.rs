//! Which addresses a leg may use: a server's name, its redirects and the candidates of its answer are other people's text,
//! and must not lead to this machine, to its link, or to the server of its cloud that hands out credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

/// Addresses at which clouds serve credentials of a machine, besides link-local ones.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// One entry of the list: the addresses of a network, or all that a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A network.
    Network(IpNet),
    /// A name in lower case.
    Name(String),
}

/// What may be used besides ordinary addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed(pub Vec<Entry>);

impl Allowed {
    /// Whether a leg may use this address, to which the name in its URL has led; candidates have no name.
    pub(super) fn admits(&self, host: Option<&str>, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_listed = |entry: &Entry| match entry {
            Entry::Network(network) => network.contains(&address),
            Entry::Name(name) => host.is_some_and(|host| host.trim_end_matches('.').eq_ignore_ascii_case(name)),
        };
        !is_special(address) || self.0.iter().any(is_listed)
    }

    /// Those of a server's candidates that may be dialled.
    pub(super) fn candidates(&self, host: Option<&str>, offered: &[SocketAddr]) -> Vec<SocketAddr> {
        offered.iter().copied().filter(|address| self.admits(host, address.ip())).collect()
    }
}

impl FromStr for Entry {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match network {
            Ok(network) if network.trunc() == network => return Ok(Self::Network(network)),
            Ok(_) => return Err("has bits behind its prefix: write a network such as 10.0.0.0/8"),
            Err(_) => {}
        }
        let is_name = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        match text.split('.').all(is_name) && !text.ends_with(|last: char| last.is_ascii_digit()) {
            true => Ok(Self::Name(text.to_ascii_lowercase())),
            false => Err("write an address, a network such as 10.0.0.0/8, or a name"),
        }
    }
}

impl FromStr for Allowed {
    type Err = &'static str;

    /// Entries between commas.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// Whether an address is this machine's own, of its link, of no single machine, or one of metadata.
fn is_special(address: IpAddr) -> bool {
    let is_of_link = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => translated(v6).is_some_and(|v4| is_special(v4.into())) || v6.is_unicast_link_local(),
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
    use super::*;

    fn admits(list: &str, host: &str, address: &str) -> bool {
        let entries = list.split_whitespace().map(|entry| entry.parse().unwrap()).collect();
        Allowed(entries).admits(Some(host), address.parse().unwrap())
    }

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
    fn ordinary_addresses_are_used_and_special_ones_only_where_listed() {
        for address in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00::1"] {
            assert!(admits("", "server", address), "{address}");
        }
        for address in SPECIAL {
            assert!(!admits("", "server", address), "{address}");
            assert!(!admits("10.0.0.0/8 other", "server", address), "{address}");
            assert!(admits("server", "Server.", address), "{address}");
        }
        assert!(admits("127.0.0.0/8", "server", "127.0.0.1"));
        assert!(admits("127.0.0.0/8", "server", "::ffff:127.0.0.1"));
        assert!(!admits("127.0.0.1", "server", "127.0.0.2"));
    }

    #[test]
    fn a_candidate_has_no_name_unless_it_is_the_servers_own() {
        let allowed = Allowed(vec!["localhost".parse().unwrap()]);
        let offered = ["127.0.0.1:5000".parse().unwrap(), "192.0.2.1:5000".parse().unwrap()];
        assert_eq!(allowed.candidates(None, &offered), offered[1..]);
        assert_eq!(allowed.candidates(Some("localhost"), &offered), offered);
    }

    #[test]
    fn an_entry_is_a_network_or_a_name() {
        for wrong in ["", ".", "a..b", "http://a", "a/8", "10.0.0.1/8", "a:80", "1.2.3", "*.example.org"] {
            assert!(wrong.parse::<Entry>().is_err(), "{wrong}");
        }
    }
}
