//! The values of `--advertise` and `--stun-server`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;

/// The port of STUN (RFC 8489 18.6).
const STUN_PORT: NonZeroU16 = NonZeroU16::new(3478).expect("it is not 0");

/// The longest name in DNS, in octets (RFC 1035 2.3.4).
const LONGEST_NAME: usize = 253;

/// One value of `--advertise`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertise {
    pub(super) source: Source,
    /// The public port, where it differs from the media port.
    pub(super) port: Option<NonZeroU16>,
}

/// Where an advertised address comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Address(IpAddr),
    Name(String),
    /// STUN servers report it.
    Auto,
}

/// One value of `--stun-server`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StunServer {
    /// A name or an IP address.
    pub(super) host: String,
    pub(super) port: NonZeroU16,
}

/// A public address of the media port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PublicAddress {
    pub(crate) ip: IpAddr,
    /// The public port, where it differs from the media port.
    pub(crate) port: Option<NonZeroU16>,
}

impl Advertise {
    /// Whether STUN servers report the address.
    pub(crate) fn is_auto(&self) -> bool {
        self.source == Source::Auto
    }

    /// The address, if it is written and clients cannot reach it.
    pub(crate) fn unreachable(&self) -> Option<IpAddr> {
        let Source::Address(ip) = self.source else { return None };
        (!is_reachable(&ip)).then_some(ip)
    }
}

impl FromStr for Advertise {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = host_and_port(text).ok_or_else(|| {
            "write an IP address, a name or auto, with the public port behind it if it differs from the media port: \
             for example 203.0.113.7, relay.example.org, [2001:db8::7]:30081 or auto:30081"
                .to_owned()
        })?;
        let source = match host.parse() {
            Ok(ip) => Source::Address(ip),
            Err(_) if host == "auto" => Source::Auto,
            Err(_) => Source::Name(host),
        };
        Ok(Self { source, port })
    }
}

impl fmt::Display for Advertise {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.source, self.port) {
            (Source::Address(IpAddr::V6(ip)), Some(port)) => return write!(formatter, "[{ip}]:{port}"),
            (Source::Address(ip), _) => write!(formatter, "{ip}")?,
            (Source::Name(name), _) => formatter.write_str(name)?,
            (Source::Auto, _) => formatter.write_str("auto")?,
        }
        self.port.map_or(Ok(()), |port| write!(formatter, ":{port}"))
    }
}

impl FromStr for StunServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match host_and_port(text) {
            Some((host, port)) if host != "auto" => Ok(Self { host, port: port.unwrap_or(STUN_PORT) }),
            _ => Err("write a name or an IP address, and the port if it is not 3478: for example \
                      stun.example.org:3478"
                .to_owned()),
        }
    }
}

impl fmt::Display for StunServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(formatter, "[{host}]:{port}") } else { write!(formatter, "{host}:{port}") }
    }
}

impl PublicAddress {
    /// Its candidate; `media_port` is the relay's own.
    pub(crate) fn candidate(self, media_port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.map_or(media_port, NonZeroU16::get))
    }
}

/// Whether a machine can send to it. Link-local addresses need a scope, which a candidate cannot carry.
pub(super) fn is_reachable(ip: &IpAddr) -> bool {
    let is_of_no_host = ip.is_unspecified() || ip.is_multicast();
    !is_of_no_host
        && match ip {
            IpAddr::V4(v4) => !v4.is_broadcast(),
            IpAddr::V6(v6) => !v6.is_unicast_link_local(),
        }
}

/// Separates a host, which is a name or an IP address, from its port.
fn host_and_port(text: &str) -> Option<(String, Option<NonZeroU16>)> {
    if text.parse::<IpAddr>().is_ok() {
        return Some((text.to_owned(), None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (v6, rest) = rest.split_once(']')?;
        v6.parse::<std::net::Ipv6Addr>().ok()?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?.parse().ok()?) };
        return Some((v6.to_owned(), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (text, None),
    };
    let is_host = host.parse::<IpAddr>().is_ok() || is_name(host);
    is_host.then(|| (host.to_owned(), port))
}

/// Whether it can be a name in DNS; one whose last label is a number is a mistyped address (RFC 1123 2.1).
fn is_name(text: &str) -> bool {
    let labels = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    labels.len() <= LONGEST_NAME
        && labels.split('.').all(is_label)
        && labels.rsplit('.').next().is_some_and(|last| !is_number(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_a_name_and_auto_may_have_a_port_and_are_shown_as_written() {
        for text in [
            "203.0.113.7",
            "203.0.113.7:30081",
            "2001:db8::7",
            "[2001:db8::7]:30081",
            "relay.example.org",
            "relay.example.org:30081",
            "my-relay",
            "auto",
            "auto:30081",
        ] {
            assert_eq!(text.parse::<Advertise>().unwrap().to_string(), text);
        }
        assert!("auto:1".parse::<Advertise>().unwrap().is_auto());
        assert_eq!("[2001:db8::7]".parse::<Advertise>().unwrap().to_string(), "2001:db8::7");
    }

    #[test]
    fn a_mistyped_address_is_no_name() {
        let label = "a".repeat(64);
        for wrong in [
            "",
            "203.0.113",
            "203.0.113.256",
            "203.0.113.7:0",
            "203.0.113.7:99999",
            "203.0.113.7:",
            "[2001:db8::7",
            "[2001:db8::7]30081",
            "[203.0.113.7]:1",
            "2001:db8::g",
            "https://relay.example.org",
            "relay example",
            "relay..example",
            ".example",
            "relay.example.org/24",
            "rélay.example",
            &label,
        ] {
            let advice = wrong.parse::<Advertise>().expect_err(wrong);
            assert!(advice.contains("for example 203.0.113.7"), "{advice}");
            assert!(wrong.parse::<StunServer>().unwrap_err().contains("stun.example.org:3478"), "{wrong}");
        }
    }

    #[test]
    fn the_port_of_a_stun_server_is_3478_unless_it_is_written() {
        for (text, shown) in [
            ("stun.example.org", "stun.example.org:3478"),
            ("192.0.2.1:19302", "192.0.2.1:19302"),
            ("2001:db8::1", "[2001:db8::1]:3478"),
        ] {
            assert_eq!(text.parse::<StunServer>().unwrap().to_string(), shown);
        }
        assert!("auto".parse::<StunServer>().is_err());
    }

    #[test]
    fn addresses_of_no_host_are_unreachable() {
        for wrong in ["0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "fe80::1", "ff02::1"] {
            assert!(wrong.parse::<Advertise>().unwrap().unreachable().is_some(), "{wrong}");
        }
        for right in ["127.0.0.1", "10.0.0.1", "2001:db8::1", "auto", "relay.example.org"] {
            assert!(right.parse::<Advertise>().unwrap().unreachable().is_none(), "{right}");
        }
    }
}
