//! The client of a request when a proxy stands in front. A proxy appends the address that it sees to `X-Forwarded-For`
//! or `Forwarded`; whatever stands left of what trusted proxies wrote may be the client's own invention. So a list is
//! read from its right end, and the first address that is not a trusted proxy's is the client's. Clients whose address
//! a trusted proxy does not name readably count as one, and none of them as this machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::warn;

use super::client_header::{Claim, ClientHeader, claim, is_forwarded, is_unread};
use super::client_scheme::scheme;
use crate::http::base_path::BasePath;
use crate::http::listener::accept::is_for_operators;
use crate::http::listener::place::Place;
use crate::http::request::connection::Connection;
use crate::session::ClientSource;
use crate::setting::Network;

const UNTRUSTED: &str = "a proxy on this machine names its clients and is not trusted, so all of them share one limit: \
                         trust it with --trusted-proxy 127.0.0.1,::1";
const UNREAD: &str = "a trusted proxy names its clients in a header that is not read, so all of them share one limit: name \
                      that header with --client-header";

/// The proxies that are believed, and what has been logged about others.
pub(in crate::http) struct Proxies {
    trusted: Vec<Network>,
    client_headers: Vec<ClientHeader>,
    base_path: BasePath,
    has_warned_of_untrusted: AtomicBool,
    has_warned_of_unread: AtomicBool,
}

impl Proxies {
    pub(in crate::http) fn new(trusted: Vec<Network>, client_headers: Vec<ClientHeader>, base_path: BasePath) -> Self {
        let (has_warned_of_untrusted, has_warned_of_unread) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { trusted, client_headers, base_path, has_warned_of_untrusted, has_warned_of_unread }
    }

    pub(in crate::http) fn trusted(&self) -> &[Network] {
        &self.trusted
    }
}

/// Replaces the address of a trusted proxy by that of its client, for everything that comes after.
pub(in crate::http) async fn layer(
    State(proxies): State<Arc<Proxies>>,
    connection: Connection,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = connection.remote.ip();
    let is_trusted = |address| Network::any_has(&proxies.trusted, address);
    // If a PROXY header does not name the client, `peer` is the proxy's address, but the headers are the client's own:
    // such a proxy passes on the client's requests and adds nothing to them.
    let is_believed = connection.source != ClientSource::Unreadable && is_trusted(peer);
    let base_path = if is_believed { BasePath::forwarded(request.headers()) } else { None };
    request.extensions_mut().insert(base_path.unwrap_or_else(|| proxies.base_path.clone()));
    if !is_believed {
        if connection.source == ClientSource::Direct && is_forwarded(request.headers()) {
            if peer.is_loopback() && !proxies.has_warned_of_untrusted.swap(true, Ordering::Relaxed) {
                warn!("{UNTRUSTED}");
            }
            request.extensions_mut().insert(Connection { source: ClientSource::Proxied, ..connection });
        }
        return next.run(request).await;
    }
    let connection = Connection { scheme: scheme(request.headers()).unwrap_or(connection.scheme), ..connection };
    request.extensions_mut().insert(connection);
    let connection = match claim(request.headers(), &proxies.client_headers, peer, is_trusted) {
        Claim::Absent => return next.run(request).await,
        // Its port is not known.
        Claim::Address(client) => {
            Connection { remote: (client, 0).into(), source: ClientSource::Proxied, ..connection }
        }
        Claim::Unreadable => {
            if is_unread(request.headers(), &proxies.client_headers)
                && !proxies.has_warned_of_unread.swap(true, Ordering::Relaxed)
            {
                warn!(proxy = %peer, "{UNREAD}");
            }
            Connection { source: ClientSource::Unreadable, ..connection }
        }
    };
    // Whatever else a client has open, it may ask how the relay is.
    if !is_for_operators(&request, &proxies.base_path)
        && let Some(Err(problem)) = request.extensions().get::<Place>().map(|place| place.ask_for(connection.client()))
    {
        return problem.into_response();
    }
    request.extensions_mut().insert(connection);
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    fn networks(list: &str) -> Vec<Network> {
        list.split_whitespace().map(|text| text.parse().unwrap()).collect()
    }

    /// The client that `peer` names in lines of `header`, or "unreadable" or "absent".
    fn named(trusted: &str, peer: &str, header: &'static str, lines: &[&[u8]]) -> String {
        let trusted = networks(trusted);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header, HeaderValue::from_bytes(line).unwrap());
        }
        text(claim(&headers, &ClientHeader::ALL, peer.parse().unwrap(), |address| Network::any_has(&trusted, address)))
    }

    fn text(claim: Claim) -> String {
        match claim {
            Claim::Absent => "absent".to_owned(),
            Claim::Unreadable => "unreadable".to_owned(),
            Claim::Address(address) => address.to_string(),
        }
    }

    #[test]
    fn the_right_most_address_that_is_not_a_trusted_proxys_is_the_clients() {
        let trusted = "10.0.0.0/8 127.0.0.1 2001:db8::/64";
        for (peer, lines, client) in [
            ("10.0.0.1", vec![&b"203.0.113.7"[..]], "203.0.113.7"),
            ("10.0.0.1", vec![b"203.0.113.7, 10.0.0.2"], "203.0.113.7"),
            ("10.0.0.1", vec![b"203.0.113.7:4711"], "203.0.113.7"),
            ("10.0.0.1", vec![b"[2001:db8:9::1]:4711"], "2001:db8:9::1"),
            ("10.0.0.1", vec![b"[2001:db8:9::1]"], "2001:db8:9::1"),
            ("10.0.0.1", vec![b"::ffff:203.0.113.7"], "203.0.113.7"),
            ("127.0.0.1", vec![b"203.0.113.7"], "203.0.113.7"),
            ("127.0.0.1", vec![b"203.0.113.7, 127.0.0.1"], "203.0.113.7"),
            ("2001:db8::1", vec![b"198.51.100.1 "], "198.51.100.1"),
            // From within, it is the proxy itself.
            ("10.0.0.1", vec![b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", vec![], "absent"),
            // Several lines are one list.
            ("10.0.0.1", vec![b"198.51.100.9", b"203.0.113.7, 10.0.0.2"], "203.0.113.7"),
            // Left of what the proxy wrote.
            ("10.0.0.1", vec![b"192.0.2.1, 203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", vec![b"192.0.2.1", b"203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", vec![b"10.0.0.9, 203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", vec![b"\xff\xfe, 203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", vec![b",,unknown,203.0.113.7"], "203.0.113.7"),
        ] {
            assert_eq!(named(trusted, peer, "x-forwarded-for", &lines), client, "{peer} {lines:?}");
        }
    }

    #[test]
    fn what_a_proxy_cannot_have_meant_is_unreadable() {
        let trusted = "10.0.0.0/8 127.0.0.1";
        for (peer, line) in [
            ("10.0.0.1", &b"127.0.0.1"[..]),
            ("10.0.0.1", b"203.0.113.7, 127.0.0.1"),
            ("10.0.0.1", b"::1"),
            ("10.0.0.1", b"[::1]:80"),
            ("10.0.0.1", b"::ffff:127.0.0.1"),
            ("10.0.0.1", b"0.0.0.0"),
            ("10.0.0.1", b"::"),
            ("10.0.0.1", b"ff02::1"),
            ("127.0.0.1", b"127.0.0.1"),
            ("127.0.0.1", b"127.8.8.8"),
            ("10.0.0.1", b"203.0.113.7, unknown"),
            ("10.0.0.1", b"203.0.113.7, nonsense, 10.0.0.2"),
            ("10.0.0.1", b""),
            ("10.0.0.1", b" "),
            ("10.0.0.1", b",,,,"),
            ("10.0.0.1", b"203.0.113.7,"),
            ("10.0.0.1", b"[203.0.113.7"),
            ("10.0.0.1", b"[2001:db8::1]x"),
            ("10.0.0.1", b"[2001:db8::1]:"),
            ("10.0.0.1", b"203.0.113.7:99999"),
            ("10.0.0.1", b"203.0.113.7:"),
            ("10.0.0.1", b"203.0.113.7:+80"),
            ("10.0.0.1", b"_hidden"),
            ("10.0.0.1", b"\"203.0.113.7\""),
            ("10.0.0.1", b"\xf0\x9f\x92\xa9"),
            ("10.0.0.1", b"999.1.1.1"),
        ] {
            assert_eq!(named(trusted, peer, "x-forwarded-for", &[line]), "unreadable", "{line:?}");
        }
        let many = "10.0.0.2,".repeat(1000) + "10.0.0.2";
        assert_eq!(named(trusted, "10.0.0.1", "x-forwarded-for", &[many.as_bytes()]), "unreadable");
        let many = "unknown,".repeat(1000) + "203.0.113.7";
        assert_eq!(named(trusted, "10.0.0.1", "x-forwarded-for", &[many.as_bytes()]), "203.0.113.7");
    }

    #[test]
    fn the_standard_header_is_read_by_its_names() {
        for (line, client) in [
            ("for=203.0.113.7", "203.0.113.7"),
            ("For=203.0.113.7;proto=https;by=10.0.0.1", "203.0.113.7"),
            ("proto=https; FOR=\"203.0.113.7:4711\"", "203.0.113.7"),
            ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=\"[2001:db8::1]\"", "2001:db8::1"),
            ("for=\"203.0.113.7:_port\"", "203.0.113.7"),
            ("for=192.0.2.1, for=203.0.113.7, for=10.0.0.2", "203.0.113.7"),
            ("for=\"evil, for=203.0.113.7", "203.0.113.7"),
            ("for=unknown", "unreadable"),
            ("for=_hidden", "unreadable"),
            ("for=\"_gazonk\"", "unreadable"),
            ("for=127.0.0.1", "unreadable"),
            ("proto=https", "unreadable"),
            ("for=203.0.113.7;for=192.0.2.1", "unreadable"),
            ("for=\"203.0.113.7", "unreadable"),
            ("203.0.113.7", "unreadable"),
            ("", "unreadable"),
            ("for=", "unreadable"),
        ] {
            assert_eq!(named("10.0.0.0/8", "10.0.0.1", "forwarded", &[line.as_bytes()]), client, "{line}");
        }
    }

    #[test]
    fn one_address_alone_is_read_once() {
        for (lines, client) in [
            (vec![&b"203.0.113.7"[..]], "203.0.113.7"),
            (vec![b" 2001:db8::1 "], "2001:db8::1"),
            (vec![b"203.0.113.7", b"203.0.113.7"], "unreadable"),
            (vec![b"203.0.113.7, 203.0.113.8"], "unreadable"),
            (vec![b"127.0.0.1"], "unreadable"),
            (vec![b"unknown"], "unreadable"),
        ] {
            assert_eq!(named("10.0.0.0/8", "10.0.0.1", "x-real-ip", &lines), client, "{lines:?}");
        }
    }

    #[test]
    fn headers_that_disagree_are_unreadable_unless_one_of_them_is_not_read() {
        let trusted = networks("10.0.0.0/8");
        let ask = |pairs: &[(&'static str, &'static str)], read: &[ClientHeader]| {
            let headers =
                pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let peer = IpAddr::from([10, 0, 0, 1]);
            text(claim(&headers.collect(), read, peer, |address| Network::any_has(&trusted, address)))
        };
        let all = &ClientHeader::ALL;
        assert_eq!(ask(&[("x-forwarded-for", "192.0.2.1"), ("x-real-ip", "192.0.2.1")], all), "192.0.2.1");
        assert_eq!(ask(&[("x-forwarded-for", "192.0.2.1"), ("x-real-ip", "10.0.0.2")], all), "192.0.2.1");
        let differ = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.9")];
        assert_eq!(ask(&differ, all), "unreadable");
        assert_eq!(ask(&differ, &[ClientHeader::Forwarded]), "192.0.2.9");
        assert_eq!(ask(&differ, &[ClientHeader::ForwardedFor]), "192.0.2.1");
        assert_eq!(ask(&[("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=unknown")], all), "unreadable");
    }
}
