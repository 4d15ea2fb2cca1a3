//! The PROXY protocol, versions 1 and 2: a proxy that passes on TCP connections names the client in a header before the
//! client's octets.
//!
//! The relay never guesses whether a connection begins with the header. With `--proxy-protocol`, each connection of a
//! trusted proxy must, and others are not served, because anyone could write such a header. A program on this machine may
//! connect too (`sluice healthcheck`), with a header that names no client. No octet after the header is read here.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ppp::{v1, v2};
use tokio::net::TcpStream;

use crate::five_tuple::plain;
use crate::http::request::connection::Connection;
use crate::session::{ClientSource, is_readable};

/// How long the header may take; a proxy sends it at once.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// The length of what version 2 begins with.
const SIGNATURE: usize = v2::PROTOCOL_PREFIX.len();
/// The length of the fixed part of version 2, which ends with the length of the rest.
const FIXED: usize = SIGNATURE + 4;
/// Version 2 with the command LOCAL.
const LOCAL: u8 = 0x20;
/// The longest rest of version 2 that is read: addresses and extensions of any real proxy.
const REST: usize = 4096;
/// The longest line of version 1, with its end.
const LINE: usize = 107;

/// Which client a header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Client(SocketAddr),
    /// The proxy has connected for itself, such as for a health check.
    Proxy,
    /// The header gives no IP address of the client.
    Unknown,
}

/// Reads the header, and returns the connection as that of the client that it names.
///
/// # Errors
/// If the connection does not begin with a valid header, fails, or ends before.
pub(super) async fn read(stream: &TcpStream, connection: Connection) -> io::Result<Connection> {
    let mut header = vec![0; SIGNATURE];
    fill(stream, &mut header).await?;
    let named = if header == v2::PROTOCOL_PREFIX {
        header.resize(FIXED, 0);
        fill(stream, &mut header[SIGNATURE..]).await?;
        let rest = usize::from(u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]));
        if rest > REST {
            return Err(invalid());
        }
        header.resize(FIXED + rest, 0);
        fill(stream, &mut header[FIXED..]).await?;
        version_2(&header)
    } else if header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        // What follows the line belongs to the client, so the line is read octet by octet.
        while !header.ends_with(b"\r\n") && header.len() < LINE {
            let mut octet = [0];
            fill(stream, &mut octet).await?;
            header.push(octet[0]);
        }
        version_1(&header)
    } else {
        None
    };
    Ok(connection_of(named.ok_or_else(invalid)?, connection))
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it does not begin with a valid PROXY header")
}

async fn fill(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        stream.readable().await?;
        match stream.try_read(&mut buffer[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn version_1(header: &[u8]) -> Option<Named> {
    match v1::Header::try_from(header).ok()?.addresses {
        v1::Addresses::Unknown => Some(Named::Unknown),
        v1::Addresses::Tcp4(ip) => Some(Named::Client((ip.source_address, ip.source_port).into())),
        v1::Addresses::Tcp6(ip) => Some(Named::Client((ip.source_address, ip.source_port).into())),
    }
}

fn version_2(header: &[u8]) -> Option<Named> {
    // With this command, all that follows is ignored, the address family too.
    if header.get(SIGNATURE) == Some(&LOCAL) {
        return Some(Named::Proxy);
    }
    let header = v2::Header::try_from(header).ok()?;
    if header.protocol == v2::Protocol::Datagram {
        return None;
    }
    match header.addresses {
        v2::Addresses::IPv4(ip) => Some(Named::Client((ip.source_address, ip.source_port).into())),
        v2::Addresses::IPv6(ip) => Some(Named::Client((ip.source_address, ip.source_port).into())),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => Some(Named::Unknown),
    }
}

fn connection_of(named: Named, connection: Connection) -> Connection {
    match named {
        Named::Proxy => connection,
        Named::Client(client) if is_readable(client.ip()) => {
            Connection { remote: plain(client), source: ClientSource::Proxied, ..connection }
        }
        Named::Client(_) | Named::Unknown => Connection { source: ClientSource::Unreadable, ..connection },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Version 2 with this command, family and rest.
    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[0x20 | command, family], &length, rest].concat()
    }

    /// 203.0.113.7:4711 to 192.0.2.1:443.
    const IPV4: [u8; 12] = [203, 0, 113, 7, 192, 0, 2, 1, 0x12, 0x67, 1, 0xbb];

    #[test]
    fn each_version_names_its_client() {
        let client = Some(Named::Client("203.0.113.7:4711".parse().unwrap()));
        assert_eq!(version_1(b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"), client);
        assert_eq!(version_2(&binary(1, 0x11, &IPV4)), client);
        let with_extension = [&IPV4[..], &[0x04, 0, 1, 0]].concat();
        assert_eq!(version_2(&binary(1, 0x11, &with_extension)), client);
        let v6 = Some(Named::Client("[2001:db8::7]:4711".parse().unwrap()));
        assert_eq!(version_1(b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n"), v6);
        assert_eq!(version_1(b"PROXY UNKNOWN\r\n"), Some(Named::Unknown));
        assert_eq!(version_1(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), Some(Named::Unknown));
        assert_eq!(version_2(&binary(1, 0x00, &[])), Some(Named::Unknown));
        assert_eq!(version_2(&binary(1, 0x31, &[0; 216])), Some(Named::Unknown), "a Unix socket");
        for local in [binary(0, 0x00, &[]), binary(0, 0x11, &IPV4), binary(0, 0x41, &[1]), binary(0, 0x11, &[1])] {
            assert_eq!(version_2(&local), Some(Named::Proxy));
        }
    }

    #[test]
    fn an_invalid_header_names_no_client() {
        for line in [
            &b"PROXY TCP4 203.0.113.7 192.0.2.1 4711\r\n"[..],
            b"PROXY TCP4 2001:db8::7 2001:db8::1 4711 443\r\n",
            b"PROXY TCP4 203.0.113.7 192.0.2.1 99999 443\r\n",
            b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\n\n",
            b"PROXY UDP4 203.0.113.7 192.0.2.1 4711 443\r\n",
            b"PROXY TCP4 203.0.113.007 192.0.2.1 4711 443\r\n",
            b"PROXY \xff\xfe\r\n",
        ] {
            assert_eq!(version_1(line), None, "{:?}", String::from_utf8_lossy(line));
        }
        for header in [
            binary(2, 0x11, &IPV4),
            binary(1, 0x12, &IPV4),
            binary(1, 0x11, &IPV4[..11]),
            binary(1, 0x21, &IPV4),
            binary(1, 0x41, &IPV4),
        ] {
            assert_eq!(version_2(&header), None, "{header:?}");
        }
    }

    #[test]
    fn no_header_makes_a_client_this_machine() {
        let proxy = Connection::direct(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        for address in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "0.0.0.0:1", "224.0.0.1:1"] {
            let named = connection_of(Named::Client(address.parse().unwrap()), proxy);
            assert_eq!(named.source, ClientSource::Unreadable, "{address}");
        }
        assert!(!connection_of(Named::Unknown, proxy).is_from_this_machine());
        assert!(connection_of(Named::Proxy, proxy).is_from_this_machine(), "its own health check");
        let client = connection_of(Named::Client("[::ffff:203.0.113.7]:9".parse().unwrap()), proxy);
        assert_eq!((client.remote, client.source), ("203.0.113.7:9".parse().unwrap(), ClientSource::Proxied));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            rest in proptest::collection::vec(any::<u8>(), 0..300),
            head in any::<[u8; 4]>(),
        ) {
            let _ = version_1(&[b"PROXY ", &rest[..]].concat());
            let _ = version_2(&[v2::PROTOCOL_PREFIX, &head, &rest].concat());
            let _ = version_2(&binary(head[0] & 1, head[1], &rest));
        }
    }
}
