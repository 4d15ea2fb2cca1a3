//! Where datagrams come from and go to: a path, never a bare address, because an answer must leave from the address
//! that received the request, and by the same protocol.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

/// The transport protocol of a path.
#[derive(Copy, Clone, Eq, Hash, PartialEq, Debug)]
pub enum Protocol {
    /// Plain UDP.
    Udp,
    /// Frames on a TCP connection (RFC 6544).
    Tcp,
    /// TURN on a TCP connection: the remote address is the relayed one of the client's allocation.
    Turn,
}

impl Protocol {
    /// Every protocol.
    pub(crate) const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Turn];

    /// Its name for people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Turn => "turn",
        }
    }

    /// Whether the datagrams go on a TCP connection.
    pub(crate) fn is_by_tcp(self) -> bool {
        self != Self::Udp
    }
}

/// A 5-tuple: the protocol, the address that received and the address that sent.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct FiveTuple {
    /// The relay's own address, on which the datagram arrived and from which answers leave.
    pub local: SocketAddr,
    /// The client's address as the relay sees it.
    pub remote: SocketAddr,
    /// The transport protocol.
    pub protocol: Protocol,
}

impl Hash for FiveTuple {
    /// One write for IPv4, two for IPv6: this runs once for each datagram. The local address hardly varies, so only
    /// its port takes part; equality still compares everything.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ports = u64::from(self.remote.port()) << 16 | u64::from(self.local.port());
        match self.remote.ip() {
            IpAddr::V4(ip) => state.write_u64(u64::from(ip.to_bits()) << 32 | ports),
            IpAddr::V6(ip) => {
                state.write_u128(ip.to_bits());
                state.write_u64(ports);
            }
        }
    }
}

/// The address as it is compared everywhere: a dual-stack socket shows IPv4 addresses as IPv6 ones.
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether the Internet has no route to an address: private, shared, link-local and loopback ones (RFC 1918, 6598,
/// 3927, 4193).
pub(crate) fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_link_local() || v4.is_loopback() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    }
}

/// The addresses with commas between them, for a sentence.
pub(crate) fn listed(addresses: &[SocketAddr]) -> String {
    let shown: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    shown.join(", ")
}
