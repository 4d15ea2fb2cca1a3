//! A proxy that passes on TCP connections with a header of the PROXY protocol, versions 1 and 2.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::time::Duration;

use sluice::config::Config;
use sluice::http::Limit;
use socket2::{Domain, Socket, Type};

use crate::connections::rest;
use crate::relay::Relay;

/// A POST that is refused as no offer (400), or for its limit (429).
const POST: &str = "POST /whip/cam HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nContent-Length: 1\r\n\
                    Connection: close\r\n\r\nx";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const PROXY: [u8; 4] = [127, 0, 0, 1];
const STRANGER: [u8; 4] = [127, 0, 0, 2];

/// A relay that limits each client to two requests, behind a proxy at [`PROXY`]; health and metrics are apart.
fn behind(change: impl FnOnce(&mut Config)) -> Relay {
    Relay::with(|config| {
        config.http.proxy_protocol = true;
        config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.http.admin = Some(([127, 0, 0, 1], 0).into());
        let [per_second, burst] = [1, 2].map(|number| NonZeroU32::new(number).unwrap());
        config.http.limit = Some(Limit { per_second, burst, loopback: false });
        change(config);
    })
}

fn version_1(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 192.0.2.1 4711 443\r\n").into_bytes()
}

/// Version 2 with this command (0 is LOCAL, 1 is PROXY).
fn version_2(command: u8, client: [u8; 4]) -> Vec<u8> {
    let addresses = [&client[..], &[192, 0, 2, 1, 0x12, 0x67, 1, 0xbb]].concat();
    [SIGNATURE, &[0x20 | command, 0x11, 0, 12], &addresses].concat()
}

fn connect(relay: &Relay, from: [u8; 4]) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&relay.addresses.http.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// The status of the answer; `None` if the relay closes without one.
fn status(stream: TcpStream) -> Option<u16> {
    rest(stream).split(' ').nth(1)?.parse().ok()
}

fn ask(relay: &Relay, from: [u8; 4], parts: &[&[u8]]) -> Option<u16> {
    let mut stream = connect(relay, from);
    for part in parts {
        // The relay may have closed it.
        let _ = stream.write_all(part);
    }
    status(stream)
}

fn refused(relay: &Relay) -> u32 {
    let metrics =
        crate::relay::request(&format!("http://{}/metrics", relay.addresses.admin.unwrap()), "GET", &[], "").body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("sluice_http_closed_total{reason=\"proxy_header\"} "));
    line.unwrap().parse().unwrap()
}

#[test]
fn each_client_that_a_proxy_header_names_has_a_limit_of_its_own() {
    for header in [version_1, |client: &str| version_2(1, client.parse::<std::net::Ipv4Addr>().unwrap().octets())] {
        let relay = behind(|_| {});
        let post = |client: &str| ask(&relay, PROXY, &[&header(client), POST.as_bytes()]);
        assert_eq!([(); 3].map(|()| post("203.0.113.7")), [Some(400), Some(400), Some(429)]);
        assert_eq!(post("203.0.113.8"), Some(400), "another client is not held back");
        assert_eq!(refused(&relay), 0);
    }
}

#[test]
fn a_header_in_two_segments_is_read_whole() {
    let relay = behind(|_| {});
    for header in [version_1("203.0.113.7"), version_2(1, [203, 0, 113, 8])] {
        for cut in [1, 5, 12, 13, 15, 17, header.len() - 1] {
            let mut stream = connect(&relay, PROXY);
            stream.write_all(&header[..cut]).unwrap();
            // The kernel of the relay has the first part alone, once the admin address has answered meanwhile.
            refused(&relay);
            stream.write_all(&header[cut..]).unwrap();
            stream.write_all(POST.as_bytes()).unwrap();
            assert!(matches!(status(stream), Some(400 | 429)), "cut at {cut}");
        }
    }
    assert_eq!(refused(&relay), 0);
}

#[test]
fn a_proxy_connects_for_itself_by_the_local_command() {
    let relay = behind(|_| {});
    let get = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let local = [SIGNATURE, &[0x20, 0x00, 0, 0]].concat();
    for header in [local, version_2(0, [203, 0, 113, 7])] {
        assert_eq!(ask(&relay, PROXY, &[&header, get]), Some(200));
        let statuses = [(); 4].map(|()| ask(&relay, PROXY, &[&header, POST.as_bytes()]));
        assert_eq!(statuses, [Some(400); 4], "the proxy is on this machine, which is exempt from limits");
    }
}

#[test]
fn a_program_on_this_machine_is_served_if_it_names_no_client() {
    let relay = behind(|config| config.http.trusted_proxies = vec!["127.0.0.2".parse().unwrap()]);
    let get = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let here = [127, 0, 0, 1];
    assert_eq!(ask(&relay, here, &[&version_2(0, [203, 0, 113, 7]), get]), Some(200));
    for header in [&version_1("203.0.113.7")[..], &version_2(1, [203, 0, 113, 7]), b"PROXY UNKNOWN\r\n", b""] {
        assert_eq!(ask(&relay, here, &[header, get]), None, "{}", String::from_utf8_lossy(header));
    }
    assert_eq!(refused(&relay), 4);
}

#[test]
fn a_client_that_is_named_unreadably_is_never_this_machine() {
    let relay = behind(|_| {});
    let headers =
        [b"PROXY UNKNOWN\r\n".to_vec(), version_1("127.0.0.1"), version_2(1, [127, 0, 0, 1]), version_1("0.0.0.0")];
    let statuses = headers.map(|header| ask(&relay, PROXY, &[&header, POST.as_bytes()]));
    assert_eq!(statuses, [Some(400), Some(400), Some(429), Some(429)], "they share one limit");
}

#[test]
fn a_client_that_is_not_named_cannot_name_itself_by_a_header_of_http() {
    for field in ["X-Forwarded-For: 203.0.113.", "Forwarded: for=203.0.113.", "X-Real-IP: 203.0.113."] {
        let relay = behind(|_| {});
        let statuses = [7, 8, 9].map(|client| {
            let request = POST.replacen("Host: x\r\n", &format!("Host: x\r\n{field}{client}\r\n"), 1);
            ask(&relay, PROXY, &[b"PROXY UNKNOWN\r\n", request.as_bytes()])
        });
        assert_eq!(statuses, [Some(400), Some(400), Some(429)], "{field}");
    }
}

#[test]
fn a_relay_that_stops_does_not_wait_for_headers() {
    let relay = behind(|_| {});
    let mut waiting = connect(&relay, PROXY);
    waiting.write_all(b"PROXY TCP4 ").unwrap();
    refused(&relay);
    let begin = std::time::Instant::now();
    drop(relay);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[test]
fn a_proxy_without_the_header_is_not_served() {
    let relay = behind(|_| {});
    let far = [SIGNATURE, &[0x21, 0x11, 0xff, 0xff]].concat();
    let wrong: [&[u8]; 5] = [
        POST.as_bytes(),
        b"PROXY TCP4 203.0.113.7 192.0.2.1 4711\r\n",
        b"PROXY TCP9 203.0.113.7 192.0.2.1 4711 443\r\n",
        &[SIGNATURE, &[0x21, 0x11, 0, 4, 1, 2, 3, 4]].concat(),
        &far,
    ];
    for header in wrong {
        assert_eq!(ask(&relay, PROXY, &[header, POST.as_bytes()]), None, "{}", String::from_utf8_lossy(header));
    }
    let endless = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 4096]].concat();
    assert_eq!(ask(&relay, PROXY, &[&endless]), None);
    assert_eq!(refused(&relay), 6);
}

#[test]
fn a_connection_of_anyone_else_is_not_served_with_or_without_the_header() {
    let relay = behind(|_| {});
    assert_eq!(ask(&relay, STRANGER, &[POST.as_bytes()]), None);
    assert_eq!(ask(&relay, STRANGER, &[&version_1("203.0.113.7"), POST.as_bytes()]), None);
    assert_eq!(ask(&relay, STRANGER, &[&version_2(0, [203, 0, 113, 7]), POST.as_bytes()]), None);
    assert_eq!(refused(&relay), 3);
    let usual = Relay::start();
    assert_eq!(ask(&usual, PROXY, &[&version_1("203.0.113.7"), POST.as_bytes()]), Some(400), "it is no HTTP");
}

#[test]
fn a_client_behind_a_proxy_has_its_share_of_connections_and_no_more() {
    let relay = behind(|config| config.http.connections.requests_per_client = Some(2));
    let open = |client: &str| {
        let mut stream = connect(&relay, PROXY);
        let head = "POST /whip/cam HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nExpect: 100-continue\r\n";
        let request = format!("{head}Content-Length: 9\r\n\r\n");
        stream.write_all(&[&version_1(client), request.as_bytes()].concat()).unwrap();
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).unwrap();
        stream
    };
    let busy = [open("203.0.113.7"), open("203.0.113.7")];
    assert_eq!(ask(&relay, PROXY, &[&version_1("203.0.113.7"), POST.as_bytes()]), None);
    assert_eq!(ask(&relay, PROXY, &[&version_1("203.0.113.8"), POST.as_bytes()]), Some(400));
    drop(busy);
}
