//! Reads the relay's ICE credentials and candidates from its answer.

use std::net::{IpAddr, SocketAddr};

use crate::five_tuple::Protocol;

/// The most candidates that are tried: more than a relay names, for an answer may come from any server.
const MOST: usize = 32;

/// The relay's credentials and candidates.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) ufrag: String,
    pub(super) pwd: String,
    /// Best first.
    pub(super) candidates: Vec<(Protocol, SocketAddr)>,
}

impl Answer {
    /// Reads an SDP answer; `None` without credentials. Candidates that cannot be tried are left out, and so are those
    /// after the first [`MOST`].
    pub(super) fn parse(sdp: &str) -> Option<Self> {
        let value = |name: &str| sdp.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let candidates = sdp.lines().filter_map(|line| candidate(line.strip_prefix("a=candidate:")?)).take(MOST);
        Some(Self { ufrag: value("a=ice-ufrag:")?, pwd: value("a=ice-pwd:")?, candidates: candidates.collect() })
    }
}

/// Reads the value of `a=candidate` (RFC 8839 5.1).
fn candidate(value: &str) -> Option<(Protocol, SocketAddr)> {
    let mut words = value.split_whitespace();
    let protocol = words.nth(2)?;
    let (ip, port) = (words.nth(1)?.parse::<IpAddr>().ok()?, words.next()?.parse().ok()?);
    let protocol =
        [Protocol::Udp, Protocol::Tcp].into_iter().find(|known| known.as_str().eq_ignore_ascii_case(protocol))?;
    Some((protocol, SocketAddr::new(ip, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_candidates_are_read_and_what_cannot_be_tried_is_left_out() {
        let sdp = "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:secret\r\n\
            a=candidate:1 1 udp 2130706431 203.0.113.7 8081 typ host\r\n\
            a=candidate:2 1 udp 2130706430 f00d.local 8081 typ host\r\n\
            a=candidate:1001 1 tcp 1520435199 2001:db8::7 8081 typ host tcptype passive\r\na=candidate:3\r\n";
        let answer = Answer::parse(sdp).unwrap();
        assert_eq!((answer.ufrag.as_str(), answer.pwd.as_str()), ("abcd", "secret"));
        let expected = [(Protocol::Udp, "203.0.113.7:8081"), (Protocol::Tcp, "[2001:db8::7]:8081")];
        assert_eq!(answer.candidates, expected.map(|(protocol, address)| (protocol, address.parse().unwrap())));
        assert_eq!(Answer::parse("v=0\r\na=ice-ufrag:abcd\r\n"), None);
    }

    #[test]
    fn few_of_many_candidates_are_tried() {
        let candidates = "a=candidate:1 1 udp 2130706431 203.0.113.7 8081 typ host\r\n".repeat(1_000);
        let answer = Answer::parse(&format!("a=ice-ufrag:abcd\r\na=ice-pwd:secret\r\n{candidates}")).unwrap();
        assert_eq!(answer.candidates.len(), MOST);
    }
}
