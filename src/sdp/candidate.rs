//! The relay's own addresses as ICE candidates.

use std::net::SocketAddr;

/// RFC 8445 5.1.2.2: host candidates come before all others.
const HOST_PREFERENCE: u32 = 126;

/// The value of `a=candidate` for the relay's `index`-th address (from 0, best first): a UDP host candidate of
/// component 1, since RTP and RTCP share it (RFC 8839 5.1, priority by RFC 8445 5.1.2.1).
pub(crate) fn host_candidate(index: u16, address: SocketAddr) -> String {
    let local_preference = u32::from(u16::MAX - index);
    let priority = (HOST_PREFERENCE << 24) | (local_preference << 8) | 255;
    let foundation = u32::from(index) + 1;
    format!("{foundation} 1 udp {priority} {} {} typ host", address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_has_the_highest_priority_of_all() {
        let address = "192.0.2.1:8081".parse().unwrap();
        assert_eq!(host_candidate(0, address), "1 1 udp 2130706431 192.0.2.1 8081 typ host");
        assert_eq!(host_candidate(1, address), "2 1 udp 2130706175 192.0.2.1 8081 typ host");
    }

    #[test]
    fn an_ipv6_address_stands_without_brackets_and_a_mapped_one_as_ipv4() {
        let ipv6 = host_candidate(0, "[2001:db8::1]:8081".parse().unwrap());
        assert!(ipv6.ends_with(" 2001:db8::1 8081 typ host"), "{ipv6}");
        let mapped = host_candidate(0, "[::ffff:192.0.2.1]:8081".parse().unwrap());
        assert!(mapped.ends_with(" 192.0.2.1 8081 typ host"), "{mapped}");
    }
}
