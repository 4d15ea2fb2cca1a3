//! ICE candidates in SDP (RFC 8839 5.1): the relay's own addresses, and those of a server that the relay calls.

use std::net::{IpAddr, SocketAddr};

/// The preference of host candidates by UDP: they come before all others (RFC 8445 5.1.2.2).
const UDP_PREFERENCE: u32 = 126;

/// The preference of host candidates by TCP: they come after all by UDP (RFC 6544 4.2), as in libwebrtc.
const TCP_PREFERENCE: u32 = 90;

/// The preference of the passive side among host candidates by TCP, above the place of the address (RFC 6544 4.2).
const PASSIVE: u32 = 4 << 13;

/// Maximum candidates of one answer: FFmpeg accepts no answer above 8 KiB.
const MAX_CANDIDATES: usize = 32;

/// The relay's addresses for a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Where datagrams are received, best first: FFmpeg reads only the first.
    pub udp: Vec<SocketAddr>,
    /// Where TCP connections are accepted (RFC 6544), best first.
    pub tcp: Vec<SocketAddr>,
}

impl Candidates {
    /// The values of `a=candidate` (RFC 8839 5.1), best first. All are of component 1, since RTP and RTCP share it.
    pub(crate) fn values(&self) -> impl Iterator<Item = String> {
        let udp = (0..).zip(&self.udp).map(|(place, address)| udp(place, *address));
        let tcp = (0..).zip(&self.tcp).map(|(place, address)| tcp(place, *address));
        udp.chain(tcp).take(MAX_CANDIDATES)
    }
}

/// The candidate for UDP of the address at this place of the order.
fn udp(place: u16, address: SocketAddr) -> String {
    let priority = priority(UDP_PREFERENCE, u32::from(u16::MAX - place));
    let foundation = u32::from(place) + 1;
    format!("{foundation} 1 udp {priority} {} {} typ host", address.ip().to_canonical(), address.port())
}

/// The candidate for TCP of the address at this place of the order: the client connects.
fn tcp(place: u16, address: SocketAddr) -> String {
    let priority = priority(TCP_PREFERENCE, PASSIVE + 0x1fff_u32.saturating_sub(place.into()));
    let foundation = u32::from(place) + 1_001;
    let (ip, port) = (address.ip().to_canonical(), address.port());
    format!("{foundation} 1 tcp {priority} {ip} {port} typ host tcptype passive")
}

/// RFC 8445 5.1.2.1.
fn priority(type_preference: u32, local_preference: u32) -> u32 {
    (type_preference << 24) | (local_preference << 8) | 255
}

/// The addresses for UDP in an answer, by descending priority, each once. A name instead of an address is left out, as
/// is a candidate that is no valid one: it may be of a kind that is not known yet.
pub(super) fn read(answer: &str) -> Vec<SocketAddr> {
    let values = answer.lines().filter_map(|line| line.trim_end().strip_prefix("a=candidate:"));
    let mut found: Vec<(u32, SocketAddr)> = values.filter_map(read_one).collect();
    // The sort is stable: among equals the answer's order is kept.
    found.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for (_, address) in found {
        if addresses.len() < MAX_CANDIDATES && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// The priority and the address of a candidate for UDP, of the component that RTP and RTCP share.
fn read_one(value: &str) -> Option<(u32, SocketAddr)> {
    let mut words = value.split_ascii_whitespace().skip(1);
    let (component, transport) = (words.next()?, words.next()?);
    let (priority, address, port) = (words.next()?, words.next()?, words.next()?);
    if component != "1" || !transport.eq_ignore_ascii_case("udp") || words.next()? != "typ" {
        return None;
    }
    let ip: IpAddr = address.parse().ok()?;
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    Some((priority.parse().ok()?, SocketAddr::new(ip.to_canonical(), port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_an_answer_are_read_by_their_priority() {
        let answer = "v=0\r\na=candidate:1 1 udp 100 192.0.2.1 5000 typ host\r\n\
            a=candidate:2 1 UDP 300 192.0.2.2 5000 typ srflx raddr 10.0.0.1 rport 9 generation 0\r\n\
            a=candidate:3 2 udp 400 192.0.2.3 5001 typ host\r\n\
            a=candidate:4 1 tcp 500 192.0.2.4 9 typ host tcptype active\r\n\
            a=candidate:5 1 udp 600 7e3f.local 5000 typ host\r\n\
            a=candidate:6 1 udp 200 2001:db8::1 5000 typ host\r\n\
            a=candidate:7 1 udp 200 ::ffff:192.0.2.1 5000 typ host\r\n\
            a=candidate:8 1 udp 700 192.0.2.5 0 typ host\r\na=candidate:9 1 udp 700 192.0.2.5\r\na=candidate:\r\n\
            a=candidate:10 1 udp 4294967296 192.0.2.6 5000 typ host\r\n";
        let expected = ["192.0.2.2:5000", "[2001:db8::1]:5000", "192.0.2.1:5000"];
        assert_eq!(read(answer), expected.map(|address| address.parse::<SocketAddr>().unwrap()));
        let many: String = (1..=40).map(|n| format!("a=candidate:1 1 udp 1 192.0.2.{n} 5 typ host\r\n")).collect();
        assert_eq!(read(&many).len(), MAX_CANDIDATES);
    }

    fn values(udp: &[&str], tcp: &[&str]) -> Vec<String> {
        let read = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Candidates { udp: read(udp), tcp: read(tcp) }.values().collect()
    }

    #[test]
    fn the_first_address_has_the_highest_priority_of_all() {
        assert_eq!(
            values(&["192.0.2.1:8081", "192.0.2.2:8081"], &[]),
            ["1 1 udp 2130706431 192.0.2.1 8081 typ host", "2 1 udp 2130706175 192.0.2.2 8081 typ host"]
        );
    }

    #[test]
    fn all_candidates_by_udp_come_before_those_by_tcp() {
        assert_eq!(
            values(&["192.0.2.1:8081", "[2001:db8::1]:8081"], &["192.0.2.1:8081", "192.0.2.1:443"]),
            [
                "1 1 udp 2130706431 192.0.2.1 8081 typ host",
                "2 1 udp 2130706175 2001:db8::1 8081 typ host",
                "1001 1 tcp 1520435199 192.0.2.1 8081 typ host tcptype passive",
                "1002 1 tcp 1520434943 192.0.2.1 443 typ host tcptype passive"
            ]
        );
    }

    #[test]
    fn an_ipv6_address_stands_without_brackets_and_a_mapped_one_as_ipv4() {
        let addresses = ["[2001:db8::1]:8081", "[::ffff:192.0.2.1]:8081"];
        let values = values(&addresses, &addresses);
        assert!(values.iter().step_by(2).all(|value| value.contains(" 2001:db8::1 8081 typ host")), "{values:?}");
        assert!(values.iter().skip(1).step_by(2).all(|value| value.contains(" 192.0.2.1 8081 typ host")), "{values:?}");
    }

    #[test]
    fn candidates_beyond_the_limit_are_left_out() {
        assert_eq!(values(&["192.0.2.1:8081"; 20], &["192.0.2.1:8081"; 20]).len(), MAX_CANDIDATES);
    }
}
