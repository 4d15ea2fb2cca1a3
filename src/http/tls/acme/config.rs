//! The settings of ACME: the names for which certificates are ordered, the authority, and how their values are written.

use std::net::IpAddr;
use std::path::PathBuf;

use url::Url;

/// The longest name in DNS, in octets (RFC 1035 2.3.4).
const NAME: usize = 253;
/// The longest label of a name, in octets.
const LABEL: usize = 63;

/// The names for which certificates are ordered, and the authority that issues them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeConfig {
    /// DNS names, at least one.
    pub domains: Vec<String>,
    /// The URL of the authority's directory (RFC 8555 7.1.1).
    pub directory: String,
    /// E-mail addresses that the authority may write to.
    pub contact: Vec<String>,
    /// PEM file with the root of a private authority; `None` for the public ones.
    pub ca: Option<PathBuf>,
}

/// Reads a name that a certificate can be ordered for, in lower case.
pub(in crate::http::tls) fn domain(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    if name.parse::<IpAddr>().is_ok() {
        return Err("certificates are ordered for names: write the DNS name of this machine".to_owned());
    }
    if name.starts_with("*.") {
        return Err(
            "a certificate for all subdomains needs a challenge by DNS: write each name, or get it by another \
                    program and name its files with --tls-cert and --tls-key"
                .to_owned(),
        );
    }
    let is_label = |label: &str| {
        (1..=LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if name.len() > NAME || !name.split('.').all(is_label) {
        return Err("write a DNS name, such as live.example.org, without scheme, port and path; other alphabets as \
                    xn--"
            .to_owned());
    }
    Ok(name)
}

/// Reads the URL of a directory.
pub(in crate::http::tls) fn directory(text: &str) -> Result<String, String> {
    match Url::parse(text) {
        Ok(url) if url.scheme() == "https" && url.has_host() => Ok(text.to_owned()),
        _ => Err("write the https URL of the authority's ACME directory".to_owned()),
    }
}

/// Reads an e-mail address, with or without `mailto:`.
pub(in crate::http::tls) fn contact(text: &str) -> Result<String, String> {
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    let is_plain = address.is_ascii() && !address.contains(|char: char| char.is_whitespace() || "?,".contains(char));
    match address.split_once('@') {
        Some((user, host)) if is_plain && !user.is_empty() && domain(host).is_ok() => Ok(address.to_owned()),
        _ => Err("write an e-mail address, such as admin@example.org".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_a_name_that_this_challenge_can_prove() {
        for (text, name) in [
            ("live.example.org", "live.example.org"),
            ("LIVE.Example.org", "live.example.org"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("relay", "relay"),
        ] {
            assert_eq!(domain(text).as_deref(), Ok(name));
        }
        for (text, advice) in [
            ("192.0.2.7", "DNS name of this machine"),
            ("2001:db8::7", "DNS name of this machine"),
            ("*.example.org", "each name"),
            ("https://live.example.org", "without scheme"),
            ("live.example.org:443", "port"),
            ("bücher.example", "xn--"),
            ("live..example.org", "such as live.example.org"),
            ("live.example.org.", "such as live.example.org"),
            ("-live.example.org", "such as live.example.org"),
            ("", "such as live.example.org"),
        ] {
            assert!(domain(text).unwrap_err().contains(advice), "{text}");
        }
        assert!(domain(&format!("{}.example", "a".repeat(64))).is_err() && domain(&"a.".repeat(127)).is_err());
    }

    #[test]
    fn the_url_of_a_directory_has_the_scheme_https() {
        assert!(directory("https://acme-v02.api.letsencrypt.org/directory").is_ok());
        for wrong in ["http://acme.example/directory", "acme.example", "https://", ""] {
            assert!(directory(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_contact_is_an_e_mail_address() {
        assert_eq!(contact("admin@example.org").as_deref(), Ok("admin@example.org"));
        assert_eq!(contact("mailto:admin@example.org").as_deref(), Ok("admin@example.org"));
        for wrong in ["admin", "@example.org", "admin@", "a b@example.org", "a@example.org?subject=x", "tel:1"] {
            assert!(contact(wrong).is_err(), "{wrong}");
        }
    }
}
