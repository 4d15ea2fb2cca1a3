//! STUN and TURN servers that are announced with the 201 (RFC 9725 4.6): the relay's own TURN server, and others that the
//! operator names. The credentials of those are valid for a limited time, computed from a secret that the
//! relay shares with the TURN server (the "REST API" of draft-uberti-behave-turn-rest, `use-auth-secret` of coturn).

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::header::LINK;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use super::request::connection::Scheme;

/// How long credentials are valid. TURN servers check them at each refresh too, so a session lasts no longer over TURN.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// What stands behind the time in a user name.
const USER: &str = "sluice";

/// The servers, and the secret of those that need credentials.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct IceServers {
    urls: Vec<String>,
    secret: Option<String>,
}

/// Why the servers are refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IceServerError {
    /// TURN servers require credentials.
    #[error("{0} needs --turn-secret, the secret that it shares with the relay (static-auth-secret of coturn)")]
    NoSecret(String),
    /// The secret has no use.
    #[error("turn-secret is set, but no TURN server: name one with --ice-server turn:HOST")]
    NoTurnServer,
    /// An empty secret protects nothing.
    #[error("turn-secret is empty: give it a value or leave it out")]
    EmptySecret,
}

impl IceServers {
    /// Joins servers (each one that `url` takes) with their secret.
    ///
    /// # Errors
    /// [`IceServerError`], if one needs the other.
    pub fn new(urls: Vec<String>, secret: Option<String>) -> Result<Self, IceServerError> {
        match (urls.iter().find(|url| is_turn(url)), &secret) {
            (Some(turn), None) => return Err(IceServerError::NoSecret(turn.clone())),
            (None, Some(_)) => return Err(IceServerError::NoTurnServer),
            (_, Some(secret)) if secret.is_empty() => return Err(IceServerError::EmptySecret),
            _ => {}
        }
        Ok(Self { urls, secret })
    }

    /// Adds a Link header for each server.
    pub(in crate::http) fn announce(&self, headers: &mut HeaderMap, now: SystemTime) {
        for url in &self.urls {
            let secret = self.secret.as_ref().filter(|_| is_turn(url));
            headers.append(LINK, link(url, secret.map(|secret| credentials(secret, now + LIFETIME))));
        }
    }
}

impl fmt::Debug for IceServers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("IceServers").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// The link of a server (RFC 9725 4.6), with user name and password where it needs them.
pub(in crate::http) fn link(url: &str, credentials: Option<(String, String)>) -> HeaderValue {
    let mut link = format!("<{url}>; rel=\"ice-server\"");
    if let Some((username, credential)) = credentials {
        link += &format!("; username=\"{username}\"; credential=\"{credential}\"; credential-type=\"password\"");
    }
    HeaderValue::try_from(link).expect("a URL and base64 are visible ASCII")
}

/// The URL of the relay's own TURN server on the port of HTTP, under the name by which the client has reached that
/// (its `Host`): a certificate is valid for that name, and a mapped port is in it.
pub(in crate::http) fn turn_on_http(host: &str, scheme: Scheme) -> Option<String> {
    let (turn, port) = match scheme {
        Scheme::Http => ("turn", 80),
        Scheme::Https => ("turns", 443),
    };
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let host = if has_port { host.to_owned() } else { format!("{host}:{port}") };
    url(&format!("{turn}:{host}?transport=tcp")).ok()
}

/// The same on the media port.
pub(in crate::http) fn turn_on_media_port(address: SocketAddr) -> String {
    format!("turn:{address}?transport=tcp")
}

/// A user name and password that are valid for TURN until `expiry`.
fn credentials(secret: &str, expiry: SystemTime) -> (String, String) {
    let seconds = expiry.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let username = format!("{seconds}:{USER}");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    let credential = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
    (username, credential)
}

fn is_turn(url: &str) -> bool {
    url.starts_with("turn")
}

/// Reads the URL of a server (RFC 7064, RFC 7065): scheme, host, and perhaps port and transport.
pub(in crate::http) fn url(text: &str) -> Result<String, String> {
    let scheme = ["stun:", "stuns:", "turn:", "turns:"].into_iter().find(|scheme| text.starts_with(scheme));
    let place = &text[scheme.map_or(0, str::len)..];
    let (place, query) = place.split_once('?').map_or((place, None), |(place, query)| (place, Some(query)));
    let transport = query.is_none_or(|query| is_turn(text) && ["transport=udp", "transport=tcp"].contains(&query));
    let host = match place.strip_prefix('[') {
        Some(v6) => v6.split_once(']').filter(|(v6, _)| v6.parse::<std::net::Ipv6Addr>().is_ok()).map(|(_, port)| port),
        None => {
            let host = place.split(':').next().unwrap_or_default();
            let named =
                !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
            named.then(|| &place[host.len()..])
        }
    };
    let port = host.is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
    });
    if scheme.is_some() && transport && port {
        return Ok(text.to_owned());
    }
    Err("write it like stun:stun.example.org or turn:turn.example.org:3478?transport=udp".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(urls: &[&str], secret: Option<&str>, now: u64) -> Vec<String> {
        let urls = urls.iter().map(|&url| url.to_owned()).collect();
        let servers = IceServers::new(urls, secret.map(str::to_owned)).unwrap();
        let mut headers = HeaderMap::new();
        servers.announce(&mut headers, UNIX_EPOCH + Duration::from_secs(now));
        headers.get_all(LINK).iter().map(|link| link.to_str().unwrap().to_owned()).collect()
    }

    /// What `printf 1700086400:sluice | openssl dgst -sha1 -hmac north -binary | base64` says.
    #[test]
    fn turn_credentials_are_the_hmac_of_their_end_under_the_shared_secret() {
        assert_eq!(
            links(&["stun:a.example", "turn:b.example:3478?transport=udp"], Some("north"), 1_700_000_000),
            [
                "<stun:a.example>; rel=\"ice-server\"",
                "<turn:b.example:3478?transport=udp>; rel=\"ice-server\"; username=\"1700086400:sluice\"; \
                 credential=\"smAIWgDrxwe9mIPjWGkI2tQSSwA=\"; credential-type=\"password\"",
            ]
        );
        assert_eq!(links(&["stun:a.example"], None, 0), ["<stun:a.example>; rel=\"ice-server\""]);
        assert!(links(&[], None, 0).is_empty());
    }

    #[test]
    fn the_own_server_has_the_name_and_port_by_which_the_client_has_reached_http() {
        for (host, scheme, expected) in [
            ("live.example.org", Scheme::Https, Some("turns:live.example.org:443?transport=tcp")),
            ("live.example.org:8443", Scheme::Https, Some("turns:live.example.org:8443?transport=tcp")),
            ("[2001:db8::1]", Scheme::Http, Some("turn:[2001:db8::1]:80?transport=tcp")),
            ("192.0.2.1:8080", Scheme::Http, Some("turn:192.0.2.1:8080?transport=tcp")),
            ("a>; rel=x", Scheme::Http, None),
            ("", Scheme::Https, None),
        ] {
            assert_eq!(turn_on_http(host, scheme).as_deref(), expected, "{host}");
        }
        assert_eq!(turn_on_media_port("192.0.2.1:8081".parse().unwrap()), "turn:192.0.2.1:8081?transport=tcp");
    }

    #[test]
    fn a_secret_and_turn_servers_need_each_other() {
        let new = |url: &str, secret: Option<&str>| IceServers::new(vec![url.to_owned()], secret.map(str::to_owned));
        assert_eq!(new("turns:a.example", None), Err(IceServerError::NoSecret("turns:a.example".to_owned())));
        assert_eq!(new("stun:a.example", Some("s")), Err(IceServerError::NoTurnServer));
        assert_eq!(new("turn:a.example", Some("")), Err(IceServerError::EmptySecret));
        let debug = format!("{:?}", new("turn:a.example", Some("hunter2")).unwrap());
        assert!(!debug.contains("hunter2"), "{debug}");
    }

    #[test]
    fn a_server_is_scheme_host_port_and_transport() {
        for good in [
            "stun:stun.example.org",
            "stuns:192.0.2.1:5349",
            "turn:[2001:db8::1]:3478",
            "turn:[2001:db8::1]",
            "turns:turn.example.org?transport=tcp",
        ] {
            assert_eq!(url(good).as_deref(), Ok(good));
        }
        for wrong in [
            "",
            "stun:",
            "example.org",
            "http://a",
            "turn:a b",
            "turn:a>; rel=x",
            "stun:a?transport=udp",
            "turn:a:0",
            "turn:a?transport=sctp",
            "turn:[::g]",
            "turn:a:99999",
            "turn://a",
            "turn:ä",
            "turn:a\r\nX: y",
            "turn:[::1]x",
        ] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }
}
