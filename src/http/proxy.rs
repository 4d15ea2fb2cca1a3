//! Who a request comes from when a proxy stands in front. A proxy appends the address that it sees to
//! `X-Forwarded-For`; whatever stands left of what trusted proxies wrote may be the client's own invention. So the list
//! is read from its right end, and the first address that is no trusted proxy's is the client's.

use std::net::IpAddr;
use std::str::FromStr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::Response;

use super::Shared;
use super::base_path::BasePath;
use super::request::Connection;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Proxies that one request may pass; whoever claims more is not read further.
const MAX_HOPS: usize = 16;

/// A network of proxies that are believed, such as `10.0.0.0/8` or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// No network.
#[derive(Debug, thiserror::Error)]
#[error("write an address or a network, for example 127.0.0.1 or 10.0.0.0/8")]
pub struct NetworkError;

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), str::parse).map_err(|_| NetworkError)?;
        let network = Self { address, prefix };
        // Bits behind the prefix are a typing mistake, and the wrong network would be believed.
        if prefix > most || bits(address) & !network.mask() != 0 { Err(NetworkError) } else { Ok(network) }
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && bits(address) & self.mask() == bits(self.address)
    }

    /// The prefix as bits; IPv4 addresses are the last 32.
    fn mask(&self) -> u128 {
        let width = if self.address.is_ipv4() { 32 } else { 128 };
        let ones = if width == 32 { u128::from(u32::MAX) } else { u128::MAX };
        ones & ones.checked_shl(width - self.prefix.min(width)).unwrap_or(0)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Replaces the address of a trusted proxy by that of its client, for everything that comes after.
pub(super) async fn layer(
    State(shared): State<Shared>,
    connection: Connection,
    mut request: Request,
    next: Next,
) -> Response {
    let is_trusted = shared.trusted_proxies.iter().any(|network| network.contains(connection.remote.ip()));
    let forwarded = is_trusted.then(|| BasePath::forwarded(request.headers())).flatten();
    request.extensions_mut().insert(forwarded.unwrap_or_else(|| shared.base_path.clone()));
    let client = client(&shared.trusted_proxies, connection.remote.ip(), request.headers());
    if client != connection.remote.ip() {
        // Its port is not known.
        request.extensions_mut().insert(Connection { remote: (client, 0).into(), ..connection });
    }
    next.run(request).await
}

/// The client's address, as far as it is known from somebody who is believed.
fn client(trusted: &[Network], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut known = peer;
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for entry in entries.take(MAX_HOPS) {
        if !is_trusted(known) {
            break;
        }
        let Some(address) = address(entry) else { break };
        // Loopback is exempt from limits; what another machine calls loopback is not this one.
        if address.is_loopback() && !peer.is_loopback() {
            break;
        }
        known = address;
    }
    known
}

/// One entry: an address, alone or with a port, IPv6 in brackets or not.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?.trim();
    let bracketed = || text.strip_prefix('[')?.split_once(']')?.0.parse().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let address: IpAddr = text.parse().ok().or_else(with_port).or_else(bracketed)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn networks(list: &str) -> Vec<Network> {
        list.split_whitespace().map(|text| text.parse().unwrap()).collect()
    }

    fn client_of(trusted: &str, peer: &str, lines: &[&[u8]]) -> String {
        let lines = lines.iter().map(|line| (FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        client(&networks(trusted), peer.parse().unwrap(), &headers).to_string()
    }

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
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{outside}");
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0.1/8", "::/129", "10.0.0.0/-1", "10.0.0.0/", "proxy", "10.0.0.0/8/8"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_right_most_address_that_is_no_trusted_proxys_is_the_clients() {
        let trusted = "10.0.0.0/8 127.0.0.1 2001:db8::/64";
        for (peer, lines, client) in [
            ("10.0.0.1", vec![&b"203.0.113.7"[..]], "203.0.113.7"),
            ("10.0.0.1", vec![b"203.0.113.7, 10.0.0.2"], "203.0.113.7"),
            ("10.0.0.1", vec![b"203.0.113.7:4711"], "203.0.113.7"),
            ("10.0.0.1", vec![b"[2001:db8:9::1]:4711"], "2001:db8:9::1"),
            ("10.0.0.1", vec![b"[2001:db8:9::1]"], "2001:db8:9::1"),
            ("10.0.0.1", vec![b"::ffff:203.0.113.7"], "203.0.113.7"),
            ("127.0.0.1", vec![b"203.0.113.7"], "203.0.113.7"),
            ("127.0.0.1", vec![b"127.0.0.1"], "127.0.0.1"),
            ("2001:db8::1", vec![b"198.51.100.1 "], "198.51.100.1"),
            // Without a header, and from within, it is the proxy itself.
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec![b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // Several lines are one list.
            ("10.0.0.1", vec![b"198.51.100.9", b"203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        ] {
            assert_eq!(client_of(trusted, peer, &lines), client, "{peer} {lines:?}");
        }
    }

    #[test]
    fn what_a_client_invents_is_not_believed() {
        let trusted = "10.0.0.0/8";
        for (peer, lines, client) in [
            // Nobody trusted wrote it.
            ("203.0.113.7", vec![&b"192.0.2.1"[..]], "203.0.113.7"),
            ("203.0.113.7", vec![b"127.0.0.1"], "203.0.113.7"),
            // Left of what the proxy wrote.
            ("10.0.0.1", vec![b"192.0.2.1, 203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", vec![b"192.0.2.1", b"203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", vec![b"10.0.0.9, 203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", vec![b"\xff\xfe, 203.0.113.7"], "203.0.113.7"),
            // This machine is exempt from limits: nobody becomes it from outside.
            ("10.0.0.1", vec![b"127.0.0.1"], "10.0.0.1"),
            ("10.0.0.1", vec![b"::1"], "10.0.0.1"),
            ("10.0.0.1", vec![b"::ffff:127.0.0.1"], "10.0.0.1"),
            // Nonsense ends the reading at the last that made sense.
            ("10.0.0.1", vec![b"203.0.113.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", vec![b"203.0.113.7, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", vec![b""], "10.0.0.1"),
            ("10.0.0.1", vec![b",,,,"], "10.0.0.1"),
            ("10.0.0.1", vec![b"203.0.113.7,"], "10.0.0.1"),
            ("10.0.0.1", vec![b"[203.0.113.7"], "10.0.0.1"),
            ("10.0.0.1", vec![b"\xf0\x9f\x92\xa9"], "10.0.0.1"),
            ("10.0.0.1", vec![b"999.1.1.1"], "10.0.0.1"),
        ] {
            assert_eq!(client_of(trusted, peer, &lines), client, "{peer} {lines:?}");
        }
        let many = "10.0.0.2,".repeat(3000) + "10.0.0.2";
        assert_eq!(client_of(trusted, "10.0.0.1", &[many.as_bytes()]), "10.0.0.2");
        assert_eq!(client_of("", "10.0.0.1", &[b"203.0.113.7"]), "10.0.0.1", "nobody is trusted unless named");
    }
}
