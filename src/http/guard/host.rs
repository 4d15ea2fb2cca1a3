//! Under which names the relay answers. While no admin token is set, any client sees and ends sessions; a web page must
//! not do so by letting its own name point to the relay's address (DNS rebinding), for browsers then take relay and
//! page for one origin. So `/api` is served only under names that no stranger can have: an IP address, localhost, a
//! name without dots, one below `.local`, or one of `--allow-host`; and not to pages of another origin. WHIP, WHEP and
//! sessions keep to `--allow-origin` where that lists origins.
//!
//! Host is parsed here, because `url` rewrites hosts (`0x7f.1` to 127.0.0.1, IDNA names to ASCII) that must be refused
//! as they are, and `headers::Host` accepts every authority of a URI, such as `user@host`.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Uri, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::cors::Origins;
use crate::auth::Access;
use crate::http::error::Problem;

const OTHER_PAGE: &str = "no admin token is set, so this is for the relay's own pages only: open those, name their host with \
                          --allow-host, or set --admin-token";
const UNLISTED_PAGE: &str = "this page's origin is not listed: name it with --allow-origin, or its host with --allow-host if the \
                             page is the relay's own";

/// A host without its port: an address, or a name in lower case without a dot at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An IPv4 or IPv6 address.
    Address(IpAddr),
    /// A name; empty where a request has none.
    Name(String),
}

impl FromStr for Host {
    type Err = &'static str;

    /// Reads a setting: a host alone.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        match parse(text) {
            Some((host, None)) if !text.is_empty() && !text.ends_with(':') && !text.contains('*') => Ok(host),
            _ if text.contains('*') => Err("* stands for no names here: write each host's whole name"),
            _ => Err("write a host's name without scheme and port, for example relay.example.org"),
        }
    }
}

impl Host {
    /// Whether no stranger can let this name point here.
    fn is_ours(&self, allowed: &[Self]) -> bool {
        let is_local = match self {
            Self::Address(_) => true,
            Self::Name(name) if name.is_empty() => false,
            Self::Name(name) => !name.contains('.') || name.ends_with(".localhost") || name.ends_with(".local"),
        };
        is_local || allowed.contains(self)
    }
}

/// Which hosts and pages the relay serves while no token protects it.
pub(in crate::http) struct HostRules {
    access: Arc<Access>,
    origins: Origins,
    allowed: Vec<Host>,
}

impl HostRules {
    pub(in crate::http) fn new(access: Arc<Access>, origins: Origins, allowed: Vec<Host>) -> Self {
        Self { access, origins, allowed }
    }
}

/// Refuses requests that do not say readably which host they are for (RFC 9112 3.2).
pub(in crate::http) async fn layer(request: Request, next: Next) -> Response {
    let lines = request.headers().get_all(HOST).iter().count();
    let is_missing = lines == 0 && request.version() == Version::HTTP_11 && request.uri().authority().is_none();
    let problem = if is_missing {
        "the Host header is missing: HTTP/1.1 requests have one"
    } else if lines > 1 {
        "there are several Host headers: send one"
    } else if asked_host(request.uri(), request.headers()).is_none() {
        "the Host header is not a host: send a name or an address, with a port if it has one"
    } else {
        return next.run(request).await;
    };
    Problem::Malformed(problem.to_owned()).into_response()
}

/// Refuses requests of foreign web pages while no token protects the relay.
pub(in crate::http) async fn guard(State(rules): State<Arc<HostRules>>, request: Request, next: Next) -> Response {
    match check(&rules, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(rules: &HostRules, request: &Request) -> Result<(), Problem> {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    // Not the metrics: Prometheus asks under whatever name it was given, and they end nothing.
    let is_for_operators = path.starts_with("/api/");
    let is_media = ["/whip/", "/whep/", "/session/"].iter().any(|prefix| path.starts_with(prefix));
    // `layer` has refused what is not a host.
    let Some((host, port)) = asked_host(request.uri(), request.headers()) else { return Ok(()) };
    let allowed = &rules.allowed;
    let asking = Asking { headers: request.headers(), host: &host, port, allowed };
    if is_for_operators && rules.access.is_open() {
        if !host.is_ours(allowed) {
            return Err(Problem::ForeignHost);
        }
        if !asking.is_own() {
            return Err(Problem::ForeignOrigin(OTHER_PAGE));
        }
    }
    if is_media && rules.access.is_open() {
        let is_listed = request.headers().get(ORIGIN).is_none_or(|origin| rules.origins.lists(origin));
        let is_own = asking.is_own() && host.is_ours(allowed);
        if !is_listed && !is_own {
            return Err(Problem::ForeignOrigin(UNLISTED_PAGE));
        }
    }
    Ok(())
}

/// A request of a web page, if it has an origin.
struct Asking<'a> {
    headers: &'a HeaderMap,
    host: &'a Host,
    port: Option<u16>,
    allowed: &'a [Host],
}

impl Asking<'_> {
    /// Whether it comes from a page of this host and port, or of a host that is ours by configuration, or from none.
    fn is_own(&self) -> bool {
        let mut origins = self.headers.get_all(ORIGIN).iter();
        let (origin, more) = (origins.next(), origins.next());
        let Some(origin) = origin else { return true };
        if more.is_some() {
            return false;
        }
        let Some((default_port, host, port)) = parse_origin(origin) else { return false };
        let is_same = host == *self.host && port.unwrap_or(default_port) == self.port.unwrap_or(default_port);
        // A proxy may ask under another name than its clients do.
        is_same || self.allowed.contains(&host)
    }
}

/// The host and port that a request is for: its target's if that has them, else the Host header's; an empty name where
/// neither is there.
pub(in crate::http) fn asked_host(uri: &Uri, headers: &HeaderMap) -> Option<(Host, Option<u16>)> {
    let target = uri.authority().map(|authority| authority.as_str());
    match (target, headers.get(HOST)) {
        (Some(target), _) => parse(target),
        (None, Some(host)) => parse(host.to_str().ok()?),
        (None, None) => Some((Host::Name(String::new()), None)),
    }
}

/// An origin's default port, its host and its port.
fn parse_origin(origin: &HeaderValue) -> Option<(u16, Host, Option<u16>)> {
    let text = origin.to_str().ok()?;
    let (default_port, rest) = match text.split_once("://")? {
        (scheme, rest) if scheme.eq_ignore_ascii_case("https") => (443, rest),
        (scheme, rest) if scheme.eq_ignore_ascii_case("http") => (80, rest),
        _ => return None,
    };
    let (host, port) = parse(rest)?;
    Some((default_port, host, port))
}

/// Reads a host and its port (RFC 3986 3.2.2, without user).
fn parse(text: &str) -> Option<(Host, Option<u16>)> {
    let end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    let (host, port) = text.split_at(end);
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return None,
        Some("") => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
    };
    if let Some(address) = host.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some((Host::Address(address.into()), port));
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
    if !host.bytes().all(is_plain) {
        return None;
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let host = name.parse().map_or(Host::Name(name), |address: std::net::Ipv4Addr| Host::Address(address.into()));
    Some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        parse(text).unwrap().0
    }

    #[test]
    fn a_name_that_no_stranger_can_have_is_ours() {
        let allowed = ["relay.example.org".parse().unwrap()];
        for ours in [
            "127.0.0.1",
            "192.0.2.7:8080",
            "127.0.0.1.",
            "[::1]",
            "[2001:db8::1]:8080",
            "localhost",
            "LOCALHOST:1",
            "localhost.",
            "a.localhost",
            "relay",
            "relay:8080",
            "studio.local",
            "Studio.Local.:80",
            "relay.example.org",
            "RELAY.example.org.:443",
        ] {
            assert!(host(ours).is_ours(&allowed), "{ours}");
        }
        for foreign in [
            "",
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "local.evil.example",
            "a.relay.example.org",
            "relay.example.org.evil",
            "evillocal.com",
            "0x7f.1",
            "127.1",
            "a%2elocal.com",
        ] {
            assert!(!host(foreign).is_ours(&allowed), "{foreign}");
        }
    }

    #[test]
    fn requests_without_a_readable_host_are_distinguished() {
        for wrong in [
            "user@host",
            "a b",
            "http://a",
            "a/b",
            "[::1",
            "[nonsense]",
            "::1",
            "a:b",
            "a:99999",
            "a:1:2",
            "[::1]x",
            "\u{e4}",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(parse("a:"), Some((Host::Name("a".to_owned()), None)), "an empty port is none (RFC 3986 3.2.3)");
        assert!(
            "a:80".parse::<Host>().is_err() && "".parse::<Host>().is_err() && "https://a.b".parse::<Host>().is_err()
        );
        for pattern in ["*", "*.example.org"] {
            assert!(pattern.parse::<Host>().unwrap_err().contains("whole name"), "a pattern would allow no host");
        }
    }

    #[test]
    fn a_page_is_our_own_if_it_has_our_host_and_port_or_a_configured_host() {
        let is_own = |asked: &str, origin: &'static str| {
            let (host, port) = parse(asked).unwrap();
            let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))]);
            Asking { headers: &headers, host: &host, port, allowed: &["relay.example".parse().unwrap()] }.is_own()
        };
        for (asked, origin) in [
            ("localhost:8080", "http://localhost:8080"),
            ("LOCALHOST.:8080", "http://localhost:8080"),
            ("relay", "http://relay"),
            ("relay", "https://relay"),
            ("relay:443", "https://relay"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("127.0.0.1:8080", "https://relay.example"),
        ] {
            assert!(is_own(asked, origin), "{asked} {origin}");
        }
        for (asked, origin) in [
            ("localhost:8080", "http://localhost:3000"),
            ("localhost:8080", "http://127.0.0.1:8080"),
            ("localhost", "http://localhost.evil"),
            ("localhost", "null"),
            ("localhost", ""),
            ("localhost", "ftp://localhost"),
            ("localhost", "http://localhost/x"),
        ] {
            assert!(!is_own(asked, origin), "{asked} {origin}");
        }
    }
}
