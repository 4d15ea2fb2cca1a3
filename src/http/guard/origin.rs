//! Origins of web pages (RFC 6454): scheme, host and port, compared as browsers serialise them, in lower case and
//! without the scheme's own port.
//!
//! Parsed here, because `url` rewrites hosts (`0x7f.1`, IDNA names) that must be refused, and `headers::Origin` has no
//! wildcards for subdomains.

use std::net::Ipv6Addr;

/// No origin that could be listed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::http) enum OriginError {
    /// Another text.
    #[error(
        "that is not an origin: write it like https://example.org, with *. before the host for all its subdomains, or * for \
         every page"
    )]
    Malformed,
    /// Pages without an origin.
    #[error("null is the origin of sandboxed pages of every site: write * to allow every page, or leave it out")]
    Null,
}

/// Reads an origin, or `https://*.host`, as it is to be compared.
pub(in crate::http) fn normal(text: &str) -> Result<String, OriginError> {
    let lower = text.to_ascii_lowercase();
    if lower == "null" {
        return Err(OriginError::Null);
    }
    let (scheme, rest) = lower.split_once("://").ok_or(OriginError::Malformed)?;
    let default_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return Err(OriginError::Malformed),
    };
    let (host, port) = split_port(rest).ok_or(OriginError::Malformed)?;
    if !is_host(host.strip_prefix("*.").unwrap_or(host)) {
        return Err(OriginError::Malformed);
    }
    match port {
        Some(port) if port != default_port => Ok(format!("{scheme}://{host}:{port}")),
        _ => Ok(format!("{scheme}://{host}")),
    }
}

/// Whether the origin that a browser names is the listed one, or below it where that begins with `*.`.
pub(in crate::http) fn covers(listed: &str, asking: &str) -> bool {
    let (Ok(listed), Ok(asking)) = (normal(listed), normal(asking)) else { return false };
    if asking.contains('*') {
        return false;
    }
    match listed.split_once("*.") {
        None => listed == asking,
        Some((scheme, domain)) => {
            let host = asking.strip_prefix(scheme).and_then(|host| host.strip_suffix(domain));
            host.is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'))
        }
    }
}

/// A port of 0 and an empty one are no ports.
fn split_port(rest: &str) -> Option<(&str, Option<u16>)> {
    let end = if rest.starts_with('[') { rest.find(']')? + 1 } else { rest.find(':').unwrap_or(rest.len()) };
    let (host, port) = rest.split_at(end);
    if port.is_empty() {
        return Some((host, None));
    }
    let digits = port.strip_prefix(':')?;
    let port = digits.parse().ok().filter(|port| *port != 0 && digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((host, Some(port)))
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    host.len() <= 253 && host.split('.').all(|label| !label.is_empty() && label.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_compared_in_lower_case_without_its_schemes_port() {
        for (written, read) in [
            ("https://a.example", "https://a.example"),
            ("https://a.example:443", "https://a.example"),
            ("http://a.example:80", "http://a.example"),
            ("http://a.example:443", "http://a.example:443"),
            ("HTTPS://A.Example:0443", "https://a.example"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:80", "http://[::1]"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
            ("https://*.Example:443", "https://*.example"),
        ] {
            assert_eq!(normal(written).as_deref(), Ok(read));
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for wrong in [
            "",
            "*",
            "a.example",
            "https://",
            "https:///",
            "https://a.example/",
            "https://a.example/x",
            "https://a.example?",
            "https://a.example#x",
            "https://user@a.example",
            "https://a.example:",
            "https://a.example:0",
            "https://a.example:65536",
            "https://a.example:+443",
            "https://a..example",
            "https://.example",
            "https://*",
            "https://*example",
            "https://a.*.example",
            "https://*.*.example",
            "*.example",
            "*://a.example",
            "ftp://a.example",
            "https://b\u{fc}cher.example",
            "https://a example",
            "https://[::1",
            "https://[nonsense]",
            "https://*.",
        ] {
            assert_eq!(normal(wrong), Err(OriginError::Malformed), "{wrong}");
        }
        assert_eq!(normal("null"), Err(OriginError::Null));
    }

    #[test]
    fn a_wildcard_covers_subdomains_and_neither_the_domain_nor_what_only_ends_like_it() {
        let covered = |asking: &str| covers("https://*.example.org", asking);
        for good in ["https://a.example.org", "https://a.b.example.org", "https://A.example.org:443"] {
            assert!(covered(good), "{good}");
        }
        for bad in [
            "https://example.org",
            "https://evil-example.org",
            "https://a.evil-example.org",
            "https://a.example.org.evil",
            "http://a.example.org",
            "https://a.example.org:8443",
            "https://*.example.org",
            "https://.example.org",
            "null",
        ] {
            assert!(!covered(bad), "{bad}");
        }
        assert!(covers("https://*.example.org:8443", "https://a.example.org:8443"));
        assert!(covers("https://*.example", "https://a.example") && !covers("https://*.example", "https://example"));
    }

    #[test]
    fn a_listed_origin_covers_itself_however_it_is_written() {
        assert!(covers("https://a.example:443", "https://a.example"));
        assert!(covers("https://A.example", "https://a.example"));
        assert!(!covers("https://a.example", "https://b.example") && !covers("https://a.example", "http://a.example"));
    }
}
