//! The transport of an offer: ICE credentials, certificate fingerprint and DTLS role.
//!
//! Browsers write these into each section, libdatachannel once at the session level. With BUNDLE those of one section
//! apply to all.

use rtc::sdp::description::common::Attribute;

use super::OfferError;
use crate::ice::Credentials;

/// The client's DTLS role (RFC 8842 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    /// Takes either role.
    ActPass,
    /// Sends the ClientHello.
    Active,
    /// Waits for a ClientHello.
    Passive,
}

/// The transport attributes of the session level or of one section; each may be missing.
#[derive(Clone, Default)]
pub(crate) struct TransportLines {
    pub(crate) credentials: Option<Credentials>,
    pub(crate) fingerprint: Option<String>,
    pub(crate) setup: Option<Setup>,
}

/// The transport of a whole session.
pub(crate) struct Transport {
    pub(crate) credentials: Credentials,
    /// SHA-256, upper-case hexadecimal octets with colons.
    pub(crate) fingerprint: String,
    pub(crate) setup: Setup,
}

impl TransportLines {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self, OfferError> {
        Ok(Self {
            credentials: read_credentials(attributes)?,
            fingerprint: read_fingerprint(attributes)?,
            setup: read_setup(attributes)?,
        })
    }

    /// Takes missing attributes from another level.
    pub(crate) fn or(self, other: &Self) -> Self {
        Self {
            credentials: self.credentials.or_else(|| other.credentials.clone()),
            fingerprint: self.fingerprint.or_else(|| other.fingerprint.clone()),
            setup: self.setup.or(other.setup),
        }
    }

    pub(crate) fn complete(self) -> Result<Transport, OfferError> {
        let missing = |what| OfferError::malformed(format!("the offer has no {what}: WebRTC needs it"));
        Ok(Transport {
            credentials: self.credentials.ok_or_else(|| missing("a=ice-ufrag and a=ice-pwd"))?,
            fingerprint: self.fingerprint.ok_or_else(|| missing("a=fingerprint"))?,
            setup: self.setup.ok_or_else(|| missing("a=setup"))?,
        })
    }
}

fn values<'a>(attributes: &'a [Attribute], key: &'a str) -> impl Iterator<Item = &'a str> {
    attributes.iter().filter(move |attribute| attribute.key == key).filter_map(|attribute| attribute.value.as_deref())
}

fn read_credentials(attributes: &[Attribute]) -> Result<Option<Credentials>, OfferError> {
    let ufrag = single(attributes, "ice-ufrag")?;
    let pwd = single(attributes, "ice-pwd")?;
    let (ufrag, pwd) = match (ufrag, pwd) {
        (None, None) => return Ok(None),
        (Some(ufrag), Some(pwd)) => (ufrag, pwd),
        _ => return Err(OfferError::malformed("a=ice-ufrag and a=ice-pwd must stand together")),
    };
    Credentials::parse(ufrag, pwd).map(Some).map_err(|error| OfferError::malformed(error.to_string()))
}

/// The SHA-256 fingerprint among all: webrtc-rs verifies no other hash.
fn read_fingerprint(attributes: &[Attribute]) -> Result<Option<String>, OfferError> {
    let mut found: Option<String> = None;
    let mut others = false;
    for value in values(attributes, "fingerprint") {
        let Some((algorithm, digest)) = value.split_once(' ') else {
            return Err(OfferError::malformed("a=fingerprint must name a hash and its value"));
        };
        if !algorithm.eq_ignore_ascii_case("sha-256") {
            others = true;
            continue;
        }
        let digest = digest.trim().to_ascii_uppercase();
        let octet = |octet: &str| octet.len() == 2 && octet.bytes().all(|digit| digit.is_ascii_hexdigit());
        if digest.split(':').count() != 32 || !digest.split(':').all(octet) {
            return Err(OfferError::malformed("a=fingerprint:sha-256 must have 32 hexadecimal octets with colons"));
        }
        if found.as_ref().is_some_and(|earlier| *earlier != digest) {
            return Err(OfferError::unsupported("the offer has several certificates: offer one sha-256 fingerprint"));
        }
        found = Some(digest);
    }
    if found.is_none() && others {
        return Err(OfferError::unsupported("the offer has no sha-256 fingerprint: no other hash is verified here"));
    }
    Ok(found)
}

fn read_setup(attributes: &[Attribute]) -> Result<Option<Setup>, OfferError> {
    match single(attributes, "setup")? {
        None => Ok(None),
        Some("actpass") => Ok(Some(Setup::ActPass)),
        Some("active") => Ok(Some(Setup::Active)),
        Some("passive") => Ok(Some(Setup::Passive)),
        Some("holdconn") => Err(OfferError::unsupported("a=setup:holdconn opens no connection: offer actpass")),
        Some(_) => Err(OfferError::malformed("a=setup must be actpass, active or passive")),
    }
}

fn single<'a>(attributes: &'a [Attribute], key: &'a str) -> Result<Option<&'a str>, OfferError> {
    let mut found = values(attributes, key);
    let first = found.next();
    if found.any(|other| Some(other) != first) {
        return Err(OfferError::malformed(format!("a section of the offer has two different a={key} lines")));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::tests::attributes;

    fn read(lines: &[&str]) -> Result<TransportLines, OfferError> {
        TransportLines::read(&attributes(lines))
    }

    fn fingerprint(algorithm: &str, octet: &str, count: usize) -> String {
        format!("fingerprint:{algorithm} {}", vec![octet; count].join(":"))
    }

    #[test]
    fn takes_the_sha_256_fingerprint_among_several_whatever_its_case() {
        let lines =
            [fingerprint("sha-512", "AA", 64), fingerprint("SHA-256", "ab", 32), fingerprint("sha-1", "00", 20)];
        let lines = read(&lines.each_ref().map(String::as_str)).unwrap();
        assert_eq!(lines.fingerprint.unwrap(), ["AB"; 32].join(":"));
    }

    #[test]
    fn a_hash_that_is_not_verified_or_two_certificates_are_unsupported() {
        let sha_1 = fingerprint("sha-1", "00", 20);
        assert!(matches!(read(&[&sha_1]), Err(OfferError::Unsupported(_))));
        let (one, other) = (fingerprint("sha-256", "00", 32), fingerprint("sha-256", "01", 32));
        assert!(matches!(read(&[&one, &other]), Err(OfferError::Unsupported(_))));
        assert!(read(&[&one, &one]).is_ok());
    }

    #[test]
    fn malformed_transport_lines_are_refused() {
        let long = format!("ice-ufrag:{}", "u".repeat(257));
        let pwd = format!("ice-pwd:{}", "p".repeat(22));
        let (short, wide) = (fingerprint("sha-256", "00", 31), fingerprint("sha-256", "000", 32));
        for lines in [
            &["ice-ufrag:abcd"][..],
            &["ice-ufrag:abc", &pwd],
            &["ice-ufrag:ab:d", &pwd],
            &[&long, &pwd],
            &["ice-ufrag:abcd", "ice-pwd:short"],
            &["ice-ufrag:abcd", "ice-ufrag:efgh", &pwd],
            &["fingerprint:sha-256"],
            &[&short],
            &[&wide],
            &["setup:both"],
            &["setup:active", "setup:passive"],
        ] {
            assert!(matches!(read(lines), Err(OfferError::Malformed(_))), "{lines:?}");
        }
    }
}
