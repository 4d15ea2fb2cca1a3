//! Networks of addresses.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

use super::special::is_special;

/// A network, such as `10.0.0.0/8` or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

/// The text is not a network.
#[derive(Debug, thiserror::Error)]
#[error("write an address or a network, for example 127.0.0.1 or 10.0.0.0/8")]
pub struct NetworkError;

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let written = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| NetworkError)?;
        // IPv4 written as IPv6 is IPv4: that is how all addresses are compared.
        let network = match (written.addr().to_canonical(), written) {
            (IpAddr::V4(plain), IpNet::V6(mapped)) if mapped.prefix_len() >= 96 => {
                Ipv4Net::new(plain, mapped.prefix_len() - 96).map_err(|_| NetworkError)?.into()
            }
            _ => written,
        };
        // Bits behind the prefix are a typing mistake, and the wrong network would be trusted.
        if network.trunc() == network { Ok(Self(network)) } else { Err(NetworkError) }
    }
}

impl Network {
    /// Whether an address that text from outside names may be used: one of these networks has it, or it is no special one.
    pub(crate) fn admit(networks: &[Self], address: IpAddr) -> bool {
        Self::any_has(networks, address) || !is_special(address)
    }

    /// Whether one of these networks has this address.
    pub(crate) fn any_has(networks: &[Self], address: IpAddr) -> bool {
        networks.iter().any(|network| network.0.contains(&address.to_canonical()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_an_address_with_a_prefix_or_without() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "203.0.113.7", "::1"),
            ("2001:db8::/32", "2001:db8:1::1", "2001:db9::"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("::1", "::1", "::2"),
            ("10.1.2.0/23", "10.1.3.255", "10.1.4.0"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.0.contains(&inside.parse::<IpAddr>().unwrap()), "{inside}");
            assert!(!network.0.contains(&outside.parse::<IpAddr>().unwrap()), "{outside}");
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0.1/8", "::/129", "10.0.0.0/-1", "10.0.0.0/", "proxy", "10.0.0.0/8/8"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
